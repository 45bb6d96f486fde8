"""How fast a model answers on the machine that validated it: time to the first token, tokens per second."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from tidegate.domain.policy import LatencyPolicy
from tidegate.validation.engine_report import EngineReport
from tidegate.validation.report import SpeedSample, ValidationCategory, ValidationResult, ValidationStatus

FASTER = "Quantize the model, choose a smaller one, or serve it on a faster machine; then validate there."

PASSED, WARNING, FAILED = ValidationStatus.PASSED, ValidationStatus.WARNING, ValidationStatus.FAILED


def judge_latency(report: EngineReport, policy: LatencyPolicy) -> list[ValidationResult]:
    """Two results, from the median of the measured answers. Nothing measured judges nothing."""
    samples = [said.sample() for said in report.speed]
    if not samples:
        why = report.speed_problem or "no answer was measured"
        return [
            _result(check, ValidationStatus.NOT_JUDGED, f"Not judged: {why}.") for check in ("speed", "ttft")
        ]
    return [_speed(samples, policy, report.device), _ttft(samples, policy, report.device)]


def _speed(samples: Sequence[SpeedSample], policy: LatencyPolicy, device: str) -> ValidationResult:
    rate = median(sample.tokens_per_second for sample in samples)
    details: dict[str, Any] = {
        "tokens_per_second": rate,
        "samples": len(samples),
        "device": device,
        "minimum": policy.min_tokens_per_second,
        "optimal": policy.optimal_tokens_per_second,
    }
    text = f"{rate:.1f} tokens/s on this {device or 'machine'}"
    if rate < policy.min_tokens_per_second:
        text = f"{text}; at least {policy.min_tokens_per_second:g} are wanted."
        return _result("speed", FAILED, text, FASTER, details)
    if rate < policy.optimal_tokens_per_second:
        text = f"{text}; {policy.optimal_tokens_per_second:g} or more are better."
        return _result("speed", WARNING, text, FASTER, details)
    return _result("speed", PASSED, f"{text}.", "", details)


def _ttft(samples: Sequence[SpeedSample], policy: LatencyPolicy, device: str) -> ValidationResult:
    wait = median(sample.ttft_ms for sample in samples)
    details: dict[str, Any] = {
        "ttft_ms": wait,
        "prompt_tokens": samples[0].prompt_tokens,
        "device": device,
        "maximum_ms": policy.max_ttft_ms,
        "optimal_ms": policy.optimal_ttft_ms,
    }
    text = f"The first token came after {wait:.0f} ms (prompt of {samples[0].prompt_tokens} tokens)"
    if wait > policy.max_ttft_ms:
        return _result(
            "ttft", FAILED, f"{text}; at most {policy.max_ttft_ms:g} are allowed.", FASTER, details
        )
    if wait > policy.optimal_ttft_ms:
        return _result(
            "ttft", WARNING, f"{text}; {policy.optimal_ttft_ms:g} or fewer are better.", FASTER, details
        )
    return _result("ttft", PASSED, f"{text}.", "", details)


def judge_slowdown(
    candidate: EngineReport, baseline: EngineReport, policy: LatencyPolicy
) -> ValidationResult:
    """Time per token against the baseline's, measured the same way on the same machine."""
    ours, theirs = _per_token_ms(candidate), _per_token_ms(baseline)
    if ours is None or theirs is None:
        return _result(
            "baseline", ValidationStatus.NOT_JUDGED, "Not judged: one of the two was not measured."
        )
    details: dict[str, Any] = {
        "ms_per_token": ours,
        "baseline_ms_per_token": theirs,
        "ratio": ours / theirs,
    }
    text = f"{ours:.2f} ms per token against {theirs:.2f} of the baseline ({ours / theirs:.1f} times)"
    is_slower = ours > theirs * policy.max_slowdown and ours - theirs > policy.slowdown_floor_ms
    if is_slower:
        return _result(
            "baseline", FAILED, f"{text}; {policy.max_slowdown:g} times are allowed.", FASTER, details
        )
    return _result("baseline", PASSED, f"{text}.", "", details)


def _per_token_ms(report: EngineReport) -> float | None:
    rates = [said.tokens_per_second for said in report.speed]
    return 1000 / median(rates) if rates else None


def _result(
    name: str,
    status: ValidationStatus,
    message: str,
    remedy: str = "",
    details: dict[str, Any] | None = None,
) -> ValidationResult:
    return ValidationResult(
        category=ValidationCategory.LATENCY, check_name=f"latency.{name}", status=status, message=message,
        remedy=remedy, details=dict(details or {}),
    )  # fmt: skip
