"""What tells people and monitors how things stand. It is handed what it watches; it reaches for nothing itself."""
