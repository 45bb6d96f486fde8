"""From a drift report to evidence rows. Pure: the same report and policy give the same rows.

Pass only what is shown to be inside every limit, fail only what is shown to be beyond one, else not judged
(`statistics.judge_interval`). What was not measured never passes. A warning lets a candidate through with its text
in the row, as everywhere. A set that the policy has no limit for gives no row: it is shown, not judged.
"""

from collections.abc import Collection
from dataclasses import dataclass

from tidegate.domain import Evidence, Verdict
from tidegate.domain.plain import plain
from tidegate.domain.policy import DRIFT_CHECKS, DriftLimits, DriftPolicy
from tidegate.drift.judging_quantization import judge_quantization
from tidegate.drift.quantization import costs
from tidegate.drift.report import DriftReport, SetDrift, SetName
from tidegate.drift.rows import COMPARABLE, MORE, data_of, interval, nothing, row, sample, unjudged
from tidegate.statistics import judge_interval

WORST_FIRST = (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_JUDGED, Verdict.PASS)

USUAL_LIMITS = DriftPolicy(
    must_not_change=DriftLimits(max_mean_kl=0.2), meant_to_change=DriftLimits(max_nll_rise=0.02)
)
"""For who has no policy. 0.2 nats lie between what a 3-bit and a 2-bit quantization cost."""


def usual_limits(sets: Collection[SetName], *, is_quantization: bool = False) -> DriftPolicy:
    """Those of `USUAL_LIMITS` for the sets that are measured. A quantization goes by what is usual for its type."""
    if is_quantization:
        return DriftPolicy()
    none = DriftLimits()
    return DriftPolicy(
        must_not_change=USUAL_LIMITS.must_not_change if "must_not_change" in sets else none,
        meant_to_change=USUAL_LIMITS.meant_to_change if "meant_to_change" in sets else none,
    )


_LOOK = (
    "Look at the kinds and the worst tokens in the report; train with a lower rate, fewer epochs, or texts of the "
    "old behaviour mixed in."
)
_WORSE = (
    "Check that the candidate was trained on such texts and is served with the template it was trained with."
)
_OTHER = "Compare models of one tokenizer: a fine-tune with what it was trained from."


@dataclass(frozen=True, slots=True)
class Finding:
    """One limit and what was found of it."""

    verdict: Verdict
    words: str


def judge_drift(report: DriftReport, policy: DriftPolicy) -> list[Evidence]:
    """Rows for everything that the policy has a limit for, and whether the two can be compared at all.

    A report that was refused or broken off gives rows that do not pass.
    """
    if report.is_quantization:
        return [comparable(report), *judge_quantization(report, policy)]
    wanted: tuple[tuple[SetName, DriftLimits], ...] = (
        ("must_not_change", policy.must_not_change),
        ("meant_to_change", policy.meant_to_change),
    )
    rows = [_judged(name, limits, report, policy) for name, limits in wanted if not limits.is_empty]
    return [comparable(report), *rows]


def comparable(report: DriftReport) -> Evidence:
    """Whether both speak of the same tokens, and the comparison came to its end."""
    if report.refusal:
        text = f"These two cannot be compared token by token: {plain(report.refusal)}."
        return row(COMPARABLE, Verdict.FAIL, text, _OTHER)
    if report.problem or report.vocabulary is None:
        text = f"The comparison did not come to its end: {plain(report.problem) or 'nothing was said'}."
        return row(COMPARABLE, Verdict.ERROR, text, "See why, and run it again.")
    if report.vocabulary.notes:
        listed = " ".join(plain(note) for note in report.vocabulary.notes)
        return row(COMPARABLE, Verdict.PASS, f"The vocabularies can be compared. {listed}", is_warning=True)
    text = f"Both have the same vocabulary of {report.vocabulary.base_tokens} tokens."
    return row(COMPARABLE, Verdict.PASS, text)


def _judged(name: SetName, limits: DriftLimits, report: DriftReport, policy: DriftPolicy) -> Evidence:
    check = DRIFT_CHECKS[name]
    found = None if report.problem or report.refusal else report.set_named(name)
    missing = unjudged(check, found, policy.min_texts)
    if missing is not None or found is None:
        return missing or nothing(check)
    findings = _findings(found, limits)
    verdict = next(one for one in WORST_FIRST if one in {finding.verdict for finding in findings})
    text = f"{_told(name, found)}. {' '.join(finding.words for finding in findings)}"
    is_must_not = name == "must_not_change"
    level = policy.when_changed if is_must_not else policy.when_worse
    remedy = {Verdict.FAIL: _LOOK if is_must_not else _WORSE, Verdict.NOT_JUDGED: MORE}.get(verdict, "")
    return row(
        check,
        verdict,
        f"Not judged: {text}" if verdict is Verdict.NOT_JUDGED else text,
        remedy,
        data=data_of(found, report, limits.model_dump(exclude_none=True)),
        is_warning=verdict is not Verdict.PASS and level == "warn",
    )


def _told(name: SetName, found: SetDrift) -> str:
    if name == "must_not_change":
        return (
            f"On {sample(found)} that must not change, the candidate is {interval(found.kl, 'nats')} a token from the "
            f"baseline, {costs(found.kl.mean)}; both want the same token in "
            f"{found.same_top.mean:.1%} of cases"
        )
    change = found.nll_change
    is_better = change.high is not None and change.high < 0
    return (
        f"On {sample(found)} that are meant to change, the right tokens cost the candidate {found.cand_nll.mean:.3f} "
        f"nats each and the baseline {found.base_nll.mean:.3f}: a change of {interval(change, 'nats', signed=True)}"
        f"{', so it learned them' if is_better else ''}"
    )


def _findings(found: SetDrift, limits: DriftLimits) -> list[Finding]:
    """One for each limit that is set."""
    findings: list[Finding] = []
    if limits.max_mean_kl is not None:
        findings.append(_at_most("The mean divergence", found.kl.low, found.kl.high, limits.max_mean_kl))
    if limits.max_kl_p99 is not None:
        bounds = found.kl_percentiles.p99_bounds or (None, None)
        findings.append(_at_most("Its 99th percentile", *bounds, limits.max_kl_p99))
    if limits.min_top1_agreement is not None:
        same, allowed = found.same_top, 1 - limits.min_top1_agreement
        low = None if same.high is None else 1 - same.high
        high = None if same.low is None else 1 - same.low
        findings.append(_at_most("The share of other likeliest tokens", low, high, allowed))
    if limits.max_nll_rise is not None:
        change = found.nll_change
        findings.append(_at_most("The rise", change.low, change.high, limits.max_nll_rise))
    return findings


def _at_most(what: str, low: float | None, high: float | None, limit: float) -> Finding:
    if low is None or high is None:
        return Finding(Verdict.NOT_JUDGED, f"{what} has no bounds: there is too little text.")
    verdict = judge_interval(low, high, limit)
    if verdict is Verdict.PASS:
        return Finding(verdict, f"{what} is inside the {limit:g} allowed.")
    if verdict is Verdict.FAIL:
        return Finding(verdict, f"{what} is beyond the {limit:g} allowed.")
    return Finding(verdict, f"{what} may be {low:.3g} to {high:.3g}, on both sides of the {limit:g} allowed.")
