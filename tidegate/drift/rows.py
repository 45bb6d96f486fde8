"""What the rows of evidence on drift have in common: their numbers, their wording, and why there may be none. Pure."""

from collections.abc import Mapping
from typing import Any

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.plain import plain, plural
from tidegate.drift.report import DriftReport, Estimate, SetDrift

COMPARABLE = "drift.comparable"
SHOWN_NAME = 80
MORE = "Measure more texts: give more of them, or raise the limit on tokens."


def unjudged(check: str, found: SetDrift | None, min_texts: int) -> Evidence | None:
    """Why there is no verdict on a set; None when there can be one."""
    if found is None:
        return nothing(check)
    if found.unmeasured:
        first = next(iter(found.unmeasured.items()))
        text = (
            f"Not judged: {plural(len(found.unmeasured), 'text')} of {len(found.unmeasured) + found.texts} could not "
            f"be measured, the first is {plain(first[0], SHOWN_NAME)}: {plain(first[1])}."
        )
        return row(check, Verdict.NOT_JUDGED, text, "Correct or leave out these texts, or give more time.")
    if found.texts < min_texts:
        text = f"Not judged: {plural(found.texts, 'text')}; a verdict needs {min_texts}."
        return row(check, Verdict.NOT_JUDGED, text, MORE)
    return None


def nothing(check: str) -> Evidence:
    return row(check, Verdict.NOT_JUDGED, "Not judged: nothing was measured.", f"See {COMPARABLE}.")


def sample(found: SetDrift) -> str:
    return f"{plural(found.texts, 'text')} ({found.tokens:,} tokens)"


def interval(found: Estimate, unit: str, *, signed: bool = False) -> str:
    """`0.031 nats (0.029 to 0.034)`."""
    form = "+.3g" if signed else ".3g"
    mean = f"{found.mean:{form}} {unit}".rstrip()
    if found.low is None or found.high is None:
        return f"{mean} (one text gives no bounds)"
    return f"{mean} ({found.low:{form}} to {found.high:{form}})"


def data_of(found: SetDrift, report: DriftReport, limits: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a row; the whole report is kept elsewhere."""
    floor = f"; against itself the baseline has {report.noise.kl_mean:.2g}" if report.noise else ""
    return {
        "limits": dict(limits),
        "samples": found.tokens,
        "texts": found.texts,
        "numbers": f"mean KL {interval(found.kl, 'nats')}, same top token {found.same_top.mean:.4f}, change of NLL "
        f"{interval(found.nll_change, 'nats', signed=True)}{floor}; bounds by resampling whole "
        "texts, each errs in about 5 %",
        "reach": f"{found.texts} texts show the mean divergence to about {_half_width(found.kl):.2g} nats",
        "kl": found.kl.model_dump(),
        "same_top": found.same_top.model_dump(),
        "nll_change": found.nll_change.model_dump(),
        "set": {"source": found.source, "digest": found.digest},
        "noise_floor_kl": report.noise.kl_mean if report.noise else None,
        "base_digest": report.base.digest,
        "digest": report.candidate.digest,
    }


def _half_width(found: Estimate) -> float:
    return 0.0 if found.high is None else found.high - found.mean


def row(
    check: str,
    verdict: Verdict,
    summary: str,
    remedy: str = "",
    *,
    data: Mapping[str, Any] | None = None,
    is_warning: bool = False,
) -> Evidence:
    """A warning passes with its text; `level` says so to whoever shows it."""
    level = {"level": "warning"} if is_warning else {}
    return Evidence(
        gate=Gate.QUALITY,
        check=check,
        verdict=Verdict.PASS if is_warning else verdict,
        summary=summary,
        remedy=remedy,
        data={**(data or {}), **level},
    )
