"""Releases: the pure state machine, the controller that executes its steps, and the ports it needs."""

from tidegate.release.controller import Controller
from tidegate.release.machine import ALL_GATES, decide
from tidegate.release.observation import Observation, View
from tidegate.release.planning import make_plan
from tidegate.release.step import Step
from tidegate.release.view import fold_view

__all__ = [
    "ALL_GATES",
    "Controller",
    "Observation",
    "Step",
    "View",
    "decide",
    "fold_view",
    "make_plan",
]
