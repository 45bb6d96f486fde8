"""The `tidegate` command. Its modules import late: help and mistakes are answered at once."""

from tidegate.cli.app import main

__all__ = ["main"]
