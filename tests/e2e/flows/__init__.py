"""A package, so that its stack ends when its tests do."""
