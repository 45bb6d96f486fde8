"""The HTTP API of an installation: for training pipelines, monitors and people's own tools. Loopback by default."""

from tidegate.console.server import ALERT_TOKEN, API_TOKEN, Console, serve

__all__ = ["ALERT_TOKEN", "API_TOKEN", "Console", "serve"]
