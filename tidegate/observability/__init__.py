"""What an operator sees of an installation. Works on protocols: what it looks at is handed in by `wiring`."""
