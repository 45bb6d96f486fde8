"""Validates artifacts before anything runs them. Never imports an engine into the process of its caller.

Names are loaded when they are first used: the confined children of this room start a dozen times per
release, and need little of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.validation.artifact import STRUCTURE_CHECKS, validate_artifact
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
    from tidegate.validation.provenance import PROVENANCE_CHECK, check_signatures, judge_provenance
    from tidegate.validation.report import (
        CATEGORY_OF,
        GATE_OF,
        GpuFit,
        MemoryReport,
        ModelSummary,
        Profile,
        Recommendation,
        ReportedFinding,
        SpeedSample,
        TensorGroup,
        TestQuery,
        TestResponse,
        ValidationCategory,
        ValidationReport,
        ValidationResult,
        ValidationStatus,
        ValidationSummary,
        recommend,
        summarize,
        write_whole,
    )
    from tidegate.validation.signature_bundle import SignatureBundle, parse_bundle
    from tidegate.validation.signatures import CheckedSignature, ProvenanceFindings, SignatureState

__all__ = [
    "CATEGORY_OF",
    "GATE_OF",
    "INFERENCE_CHECKS",
    "PROVENANCE_CHECK",
    "STRUCTURE_CHECKS",
    "CheckedSignature",
    "ChildLauncher",
    "ChildLimits",
    "GpuFit",
    "InferenceJob",
    "InferenceLauncher",
    "InferenceRun",
    "MemoryReport",
    "ModelSummary",
    "Profile",
    "ProvenanceFindings",
    "Recommendation",
    "ReportedFinding",
    "SignatureBundle",
    "SignatureState",
    "SpeedSample",
    "TensorGroup",
    "TestQuery",
    "TestResponse",
    "ValidationCategory",
    "ValidationReport",
    "ValidationResult",
    "ValidationStatus",
    "ValidationSummary",
    "check_inference",
    "check_signatures",
    "judge_inference",
    "judge_provenance",
    "parse_bundle",
    "recommend",
    "summarize",
    "to_markdown",
    "validate_artifact",
    "write_whole",
]

_HOMES = {
    "artifact": ("STRUCTURE_CHECKS", "validate_artifact"),
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
    "provenance": ("PROVENANCE_CHECK", "check_signatures", "judge_provenance"),
    "signature_bundle": ("SignatureBundle", "parse_bundle"),
    "signatures": ("CheckedSignature", "ProvenanceFindings", "SignatureState"),
    "report": (
        "CATEGORY_OF",
        "GATE_OF",
        "GpuFit",
        "MemoryReport",
        "ModelSummary",
        "Profile",
        "Recommendation",
        "ReportedFinding",
        "SpeedSample",
        "TensorGroup",
        "TestQuery",
        "TestResponse",
        "ValidationCategory",
        "ValidationReport",
        "ValidationResult",
        "ValidationStatus",
        "ValidationSummary",
        "recommend",
        "summarize",
        "write_whole",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.validation.{_MODULE_OF[name]}"), name)
