"""Sets as engine processes of this machine."""

from tidegate.platforms.local.agent import run_agent
from tidegate.platforms.local.healing import HealingPolicy
from tidegate.platforms.local.lifecycle import Limits
from tidegate.platforms.local.platform import LocalPlatform

__all__ = ["HealingPolicy", "Limits", "LocalPlatform", "run_agent"]
