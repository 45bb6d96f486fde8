"""Validates artifacts before anything runs them. Never imports an engine into the process of its caller.

Names are loaded when they are first used: the confined children of this room start a dozen times per
release, and need little of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.validation.allocation import CrossCheck, EngineFigures, cross_check
    from tidegate.validation.artifact import STRUCTURE_CHECKS, recommend, validate_artifact
    from tidegate.validation.batch import usable_cores, validate_many
    from tidegate.validation.confinement import Cancellation, ChildLimits, cancellable
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
    from tidegate.validation.provenance import PROVENANCE_CHECK, check_signatures, judge_provenance
    from tidegate.validation.report import (
        CategoryResult,
        MemoryReport,
        ModelSummary,
        Recommendation,
        ReportedFinding,
        ValidationReport,
    )
    from tidegate.validation.signature_bundle import SignatureBundle, parse_bundle
    from tidegate.validation.signatures import CheckedSignature, ProvenanceFindings, SignatureState

__all__ = [
    "INFERENCE_CHECKS",
    "PROVENANCE_CHECK",
    "STRUCTURE_CHECKS",
    "Cancellation",
    "CategoryResult",
    "CheckedSignature",
    "ChildLauncher",
    "ChildLimits",
    "CrossCheck",
    "EngineFigures",
    "InferenceJob",
    "InferenceLauncher",
    "InferenceRun",
    "MemoryReport",
    "ModelSummary",
    "ProvenanceFindings",
    "Recommendation",
    "ReportedFinding",
    "SignatureBundle",
    "SignatureState",
    "ValidationReport",
    "cancellable",
    "check_inference",
    "check_signatures",
    "cross_check",
    "judge_inference",
    "judge_provenance",
    "parse_bundle",
    "recommend",
    "to_markdown",
    "usable_cores",
    "validate_artifact",
    "validate_many",
]

_HOMES = {
    "allocation": ("CrossCheck", "EngineFigures", "cross_check"),
    "artifact": ("STRUCTURE_CHECKS", "recommend", "validate_artifact"),
    "batch": ("usable_cores", "validate_many"),
    "confinement": ("Cancellation", "ChildLimits", "cancellable"),
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
    "provenance": ("PROVENANCE_CHECK", "check_signatures", "judge_provenance"),
    "signature_bundle": ("SignatureBundle", "parse_bundle"),
    "signatures": ("CheckedSignature", "ProvenanceFindings", "SignatureState"),
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
