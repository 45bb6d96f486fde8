"""The composition of health: which checks this installation has, who looks, and where it is written."""

from tidegate.watching.checks import Connect, build_checks
from tidegate.watching.looking import look_once, watch
from tidegate.watching.process import ready

__all__ = ["Connect", "build_checks", "look_once", "ready", "watch"]
