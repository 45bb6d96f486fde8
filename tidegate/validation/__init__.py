"""Validates artifacts before anything runs them. Never imports an engine into the process of its caller.

Names are loaded when they are first used: the confined children of this room start a dozen times per
release, and need little of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.validation.artifact import STRUCTURE_CHECKS, recommend, validate_artifact
    from tidegate.validation.confinement import ChildLimits
    from tidegate.validation.inference import (
        INFERENCE_CHECKS,
        ChildLauncher,
        InferenceJob,
        InferenceLauncher,
        InferenceRun,
        check_inference,
        judge_inference,
    )
    from tidegate.validation.markdown import to_markdown
    from tidegate.validation.report import (
        CategoryResult,
        MemoryReport,
        ModelSummary,
        Recommendation,
        ReportedFinding,
        ValidationReport,
    )

__all__ = [
    "INFERENCE_CHECKS",
    "STRUCTURE_CHECKS",
    "CategoryResult",
    "ChildLauncher",
    "ChildLimits",
    "InferenceJob",
    "InferenceLauncher",
    "InferenceRun",
    "MemoryReport",
    "ModelSummary",
    "Recommendation",
    "ReportedFinding",
    "ValidationReport",
    "check_inference",
    "judge_inference",
    "recommend",
    "to_markdown",
    "validate_artifact",
]

_HOMES = {
    "artifact": ("STRUCTURE_CHECKS", "recommend", "validate_artifact"),
    "confinement": ("ChildLimits",),
    "inference": (
        "INFERENCE_CHECKS",
        "ChildLauncher",
        "InferenceJob",
        "InferenceLauncher",
        "InferenceRun",
        "check_inference",
        "judge_inference",
    ),
    "markdown": ("to_markdown",),
    "report": (
        "CategoryResult",
        "MemoryReport",
        "ModelSummary",
        "Recommendation",
        "ReportedFinding",
        "ValidationReport",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.validation.{_MODULE_OF[name]}"), name)
