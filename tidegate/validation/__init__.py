"""Validates artifacts before anything runs them. Never imports an engine into the process of its caller.

Names are loaded when they are first used: the confined children of this room start a dozen times per
release, and need little of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.validation.allocation import (
        CrossCheck,
        EngineFigures,
        cross_check,
    )
    from tidegate.validation.artifact import (
        STRUCTURE_CHECKS,
        validate_artifact,
    )
    from tidegate.validation.checks import (
        GROUP,
        Check,
        CheckContext,
    )
    from tidegate.validation.confinement import (
        ChildLimits,
    )
    from tidegate.validation.engine_report import (
        EngineJob,
        EngineReport,
        EngineRun,
        Query,
    )
    from tidegate.validation.inference import (
        ENGINE_RESULTS,
        INFERENCE_CHECKS,
        ChildLauncher,
        EngineLauncher,
        check_inference,
        judge_engine,
        not_judged,
    )
    from tidegate.validation.levels import (
        at_level,
    )
    from tidegate.validation.markdown import (
        to_markdown,
    )
    from tidegate.validation.provenance import (
        PROVENANCE_CHECK,
        check_signatures,
        judge_provenance,
    )
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
        evidence_of_result,
        evidence_of_results,
        recommend,
        summarize,
        write_whole,
    )
    from tidegate.validation.signature_bundle import (
        SignatureBundle,
        parse_bundle,
    )
    from tidegate.validation.signatures import (
        CheckedSignature,
        ProvenanceFindings,
        SignatureState,
    )
    from tidegate.validation.validator import (
        EnginePart,
        PreDeploymentValidator,
        with_engine_part,
    )

__all__ = [
    "CATEGORY_OF",
    "ENGINE_RESULTS",
    "GATE_OF",
    "GROUP",
    "INFERENCE_CHECKS",
    "PROVENANCE_CHECK",
    "STRUCTURE_CHECKS",
    "Check",
    "CheckContext",
    "CheckedSignature",
    "ChildLauncher",
    "ChildLimits",
    "CrossCheck",
    "EngineFigures",
    "EngineJob",
    "EngineLauncher",
    "EnginePart",
    "EngineReport",
    "EngineRun",
    "GpuFit",
    "MemoryReport",
    "ModelSummary",
    "PreDeploymentValidator",
    "Profile",
    "ProvenanceFindings",
    "Query",
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
    "at_level",
    "check_inference",
    "check_signatures",
    "cross_check",
    "evidence_of_result",
    "evidence_of_results",
    "judge_engine",
    "judge_provenance",
    "not_judged",
    "parse_bundle",
    "recommend",
    "summarize",
    "to_markdown",
    "validate_artifact",
    "with_engine_part",
    "write_whole",
]

_HOMES = {
    "allocation": (
        "CrossCheck",
        "EngineFigures",
        "cross_check",
    ),
    "artifact": (
        "STRUCTURE_CHECKS",
        "validate_artifact",
    ),
    "checks": (
        "GROUP",
        "Check",
        "CheckContext",
    ),
    "confinement": ("ChildLimits",),
    "engine_report": (
        "EngineJob",
        "EngineReport",
        "EngineRun",
        "Query",
    ),
    "inference": (
        "ENGINE_RESULTS",
        "INFERENCE_CHECKS",
        "ChildLauncher",
        "EngineLauncher",
        "check_inference",
        "judge_engine",
        "not_judged",
    ),
    "levels": ("at_level",),
    "markdown": ("to_markdown",),
    "provenance": (
        "PROVENANCE_CHECK",
        "check_signatures",
        "judge_provenance",
    ),
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
        "evidence_of_result",
        "evidence_of_results",
        "recommend",
        "summarize",
        "write_whole",
    ),
    "signature_bundle": (
        "SignatureBundle",
        "parse_bundle",
    ),
    "signatures": (
        "CheckedSignature",
        "ProvenanceFindings",
        "SignatureState",
    ),
    "validator": (
        "EnginePart",
        "PreDeploymentValidator",
        "with_engine_part",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"tidegate.validation.{_MODULE_OF[name]}"), name)
