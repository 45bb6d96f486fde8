"""What the memory estimate means for the machines that the policy allows, and whether the engine agrees. Pure."""

from fnmatch import fnmatchcase
from typing import Any

from tidegate.domain.plain import size
from tidegate.domain.policy import ValidationPolicy
from tidegate.validation.allocation import CrossCheck
from tidegate.validation.inspected import Inspected
from tidegate.validation.report import (
    GpuFit,
    ReportedFinding,
    ValidationCategory,
    ValidationResult,
    ValidationStatus,
)

GPU_FIT, CROSS_CHECK = "memory.gpu_fit", "memory.cross_check"
MEMORY_RESULTS = (GPU_FIT, CROSS_CHECK)

PASSED, FAILED, WARNING = ValidationStatus.PASSED, ValidationStatus.FAILED, ValidationStatus.WARNING
NOT_JUDGED = ValidationStatus.NOT_JUDGED


def judge_fit(seen: Inspected, policy: ValidationPolicy) -> ValidationResult:
    """At least one of the GPU types that the policy names holds a set. Without names, every known type counts."""
    if not seen.gpu_fit:
        return _result(GPU_FIT, NOT_JUDGED, "Not judged: there is no memory estimate.")
    allowed = [one for one in seen.gpu_fit if _is_allowed(one, policy)]
    fitting = [one for one in allowed if one.fits]
    details = {"fitting": [one.gpu for one in fitting], "looked_at": len(allowed)}
    if not allowed:
        text = f"No known GPU type is called {' or '.join(policy.gpus)}."
        return _result(GPU_FIT, FAILED, text, "Correct validation.gpus in the policy.", details)
    if not fitting:
        largest = max(allowed, key=lambda one: one.memory_gib)
        text = (
            f"A set fits on none of {len(allowed)} GPU types; on {largest.gpu} ({largest.memory_gib:g} GiB) "
            f"{size(-largest.headroom_bytes)} are missing."
        )
        return _result(
            GPU_FIT, FAILED, text, "Quantize it, shorten the context, or allow larger GPUs.", details
        )
    priced = min(
        (one for one in fitting if one.price_usd_per_hour is not None),
        key=lambda one: one.price_usd_per_hour or 0.0,
        default=None,
    )
    best = (
        ""
        if priced is None
        else f"; the cheapest with a price is {priced.gpu} at ${priced.price_usd_per_hour:.2f} an hour"
    )
    return _result(
        GPU_FIT, PASSED, f"A set fits on {len(fitting)} of {len(allowed)} GPU types{best}.", details=details
    )


def _is_allowed(one: GpuFit, policy: ValidationPolicy) -> bool:
    return not policy.gpus or any(fnmatchcase(one.gpu, pattern) for pattern in policy.gpus)


def judge_cross_check(check: CrossCheck | None, policy: ValidationPolicy) -> ValidationResult:
    """Our formulas against the engine's own plan. Where it makes none, the estimate stands unconfirmed."""
    if check is None:
        return _result(
            CROSS_CHECK, NOT_JUDGED, "Not judged: the structure is not sound, so the engine was not asked."
        )
    if check.ours is None or check.engines is None:
        text = f"Not judged: the engine made no plan ({check.problem})."
        return _result(CROSS_CHECK, NOT_JUDGED, text).model_copy(update={"is_needed": False})
    ours, engines = check.ours.total_bytes, check.engines.total_bytes
    share = abs(ours - engines) / max(engines, 1)
    details = {"estimate_bytes": ours, "engine_bytes": engines, "difference": share}
    findings = tuple(ReportedFinding.model_validate(one, from_attributes=True) for one in check.findings)
    text = f"The estimate is {size(ours)} and the engine plans {size(engines)} ({share:.1%} apart, without overhead)."
    if findings and share > policy.cross_check_tolerance:
        remedy = "Reckon with the larger of the two, and tell us the model: a formula is wrong for it."
        return _result(CROSS_CHECK, WARNING, text, remedy, details).model_copy(update={"findings": findings})
    return _result(CROSS_CHECK, PASSED, text, details=details)


def _result(
    check: str,
    status: ValidationStatus,
    message: str,
    remedy: str = "",
    details: dict[str, Any] | None = None,
) -> ValidationResult:
    return ValidationResult(
        category=ValidationCategory.MEMORY, check_name=check, status=status, message=message, remedy=remedy,
        details=dict(details or {}),
    )  # fmt: skip
