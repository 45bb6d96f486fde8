"""Sets the house up: locked packages, the engine, the commands in `.venv`. Standard library only."""
