"""Health: what was seen is judged here, purely; when it is looked at, and what a process says of itself, too."""

from tidegate.observability.health.checks import CHECKS, Check, Turn
from tidegate.observability.health.thresholds import Thresholds, load_thresholds

__all__ = ["CHECKS", "Check", "Thresholds", "Turn", "load_thresholds"]
