"""Whether measured latency, speed and errors let a candidate pass. Pure.

Rule for a ratio (TTFT, ITL). The unit is the block: the median of the candidate's block against the
median of the baseline's block beside it.
1. The median over blocks of (candidate - baseline) is below the policy's floor: pass. It is a point
   estimate on purpose; on a busy machine with a tiny model any ratio of sub-millisecond figures is noise.
2. The upper bound of the ratio (one-sided t interval on log ratios, 5 %) is inside the limit: pass.
3. The lower bound is beyond the limit: fail.
4. Otherwise the samples do not decide: not judged.
Absolute limits hold with and without a baseline, and act first. The limit of the p95 is broken when it is
proven that more than 5 % of all requests exceed it (exact binomial, 5 %). A p95 of few requests that merely
came out above the limit is not judged: of a model whose p95 lies exactly at the limit every second one does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from tidegate.benchmark.measures import ArmResult, Outcome, Sample, Summary, present, summarise
from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.policy import LatencyMargin, PerformancePolicy
from tidegate.statistics import (
    RatioInterval,
    judge_ratio,
    paired_log_ratio,
    plan_latency,
    share_p_value,
    wilson_interval,
)

PERFORMANCE_CHECKS = frozenset(
    {"performance.errors", "performance.ttft", "performance.itl", "performance.speed"}
)
MIN_BLOCKS = 3
P95 = 0.95
ALPHA = 0.05
"""Error rate of each bound and of each fail."""
MIN_OK_SHARE = 0.5
"""Below this share of the planned requests a latency is not judged: what is missing may be the slow ones."""
SMALLEST_MS = 0.001
"""Shorter times are below what the client can tell apart, and a ratio needs positive numbers."""


def judge_performance(
    candidate: ArmResult, baseline: ArmResult | None, policy: PerformancePolicy
) -> list[Evidence]:
    """One row for each of `PERFORMANCE_CHECKS`. Without samples: not judged."""
    arms = _Arms(candidate, baseline, summarise(candidate), policy)
    return [_errors(arms), _ttft(arms), _itl(arms), _speed(arms)]


@dataclass(frozen=True)
class _Arms:
    candidate: ArmResult
    baseline: ArmResult | None
    summary: Summary
    policy: PerformancePolicy

    def too_few(self, values: list[float]) -> str:
        """Why these samples cannot be judged, empty when they can."""
        needed = max(1, round(MIN_OK_SHARE * self.candidate.planned))
        return (
            ""
            if len(values) >= needed
            else f"only {len(values)} of {self.candidate.planned} requests measured"
        )


def _errors(arms: _Arms) -> Evidence:
    summary, limit = arms.summary, arms.policy.limits.max_error_share
    bad = summary.failed + summary.truncated
    if summary.sent == 0:
        return _row("errors", Verdict.NOT_JUDGED, "No request was sent.", {})
    low, high = wilson_interval(bad, summary.sent)
    reasons: dict[str, int] = {}
    for sample in arms.candidate.samples:
        if sample.outcome is not Outcome.OK:
            reasons[sample.error] = reasons.get(sample.error, 0) + 1
    data: dict[str, Any] = {
        "failed": summary.failed,
        "truncated": summary.truncated,
        "sent": summary.sent,
        "reasons": reasons,
        "share_95": [round(low, 4), round(high, 4)],
    }
    counts = f"{summary.failed} failed and {summary.truncated} truncated of {summary.sent} streams"
    if bad / summary.sent > limit:
        first = next(iter(reasons))
        return _row("errors", Verdict.FAIL, f"{counts}, more than {limit:.1%} (first: {first}).", data)
    if summary.sent < MIN_OK_SHARE * arms.candidate.planned:
        text = f"{counts}, but {arms.candidate.planned} were planned."
        return _row("errors", Verdict.NOT_JUDGED, text, data)
    return _row("errors", Verdict.PASS, f"{counts}.", data)


def _ttft(arms: _Arms) -> Evidence:
    values = present([sample.ttft_ms for sample in arms.candidate.ok])
    limit = arms.policy.limits.max_ttft_p95_ms
    if reason := arms.too_few(values):
        return _row("ttft", Verdict.NOT_JUDGED, f"Time to first token: {reason}.", _data(arms))
    # With too few samples for a p95 all of them must hold the limit, which is stricter.
    p95 = arms.summary.ttft_p95_ms
    worst, name = (p95, "p95") if p95 is not None else (max(values), "maximum")
    if worst > limit:
        over = sum(value > limit for value in values)
        p_value = share_p_value(over, len(values), 1 - P95)
        text = f"Time to first token was above {limit:g} ms in {over} of {len(values)} requests"
        if p_value <= ALPHA:
            return _row("ttft", Verdict.FAIL, f"{text}, in more than 5 % for certain.", _data(arms))
        text = f"{text} ({name} {worst:.1f} ms), too few to judge a p95 (p = {p_value:.2g})."
        return _row("ttft", Verdict.NOT_JUDGED, text, _data(arms))
    verdict, text, data = _compare(arms, lambda sample: sample.ttft_ms, arms.policy.metrics.ttft_p50)
    return _row("ttft", verdict, f"Time to first token {text}; {name} {worst:.1f} ms.", data)


def _itl(arms: _Arms) -> Evidence:
    values = present([sample.itl_ms for sample in arms.candidate.ok])
    if reason := arms.too_few(values):
        return _row("itl", Verdict.NOT_JUDGED, f"Time between tokens: {reason}.", _data(arms))
    verdict, text, data = _compare(arms, lambda sample: sample.itl_ms, arms.policy.metrics.itl_p50)
    return _row("itl", verdict, f"Time between tokens {text}.", data)


def _speed(arms: _Arms) -> Evidence:
    values = present([sample.tokens_per_s for sample in arms.candidate.ok])
    limit = arms.policy.limits.min_tokens_per_second
    if reason := arms.too_few(values):
        return _row("speed", Verdict.NOT_JUDGED, f"Decode speed: {reason}.", _data(arms))
    speed = median(values)
    verdict = Verdict.PASS if speed >= limit else Verdict.FAIL
    text = f"Decode speed of one stream: median {speed:.0f} tokens/s, at least {limit:g} wanted."
    return _row("speed", verdict, text, _data(arms))


def _compare(
    arms: _Arms, value: Callable[[Sample], float | None], margin: LatencyMargin | None
) -> tuple[Verdict, str, dict[str, Any]]:
    """The rule of the module docstring for one latency."""
    ours = _block_medians(arms.candidate, value)
    data = _data(arms)
    if arms.baseline is None:
        return Verdict.PASS, f"median {median(ours.values()):.2f} ms, no baseline to compare with", data
    if margin is None:
        return Verdict.PASS, f"median {median(ours.values()):.2f} ms, without a margin in the policy", data
    limit, floor_ms = margin.max_ratio, margin.floor_ms
    theirs = _block_medians(arms.baseline, value)
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) < MIN_BLOCKS:
        text = f"cannot be compared: {len(shared)} blocks measured on both sides, {MIN_BLOCKS} needed"
        return Verdict.NOT_JUDGED, text, data
    candidate = [max(ours[block], SMALLEST_MS) for block in shared]
    baseline = [max(theirs[block], SMALLEST_MS) for block in shared]
    found = paired_log_ratio(candidate, baseline, arms.policy.alpha)
    difference = median(a - b for a, b in zip(candidate, baseline, strict=True))
    data |= {
        "ratio": round(found.ratio, 4),
        "ratio_low": round(found.low, 4),
        "ratio_high": round(found.high, 4),
        "difference_ms": round(difference, 3),
        "blocks": found.pairs,
        "limit": limit,
        "floor_ms": floor_ms,
        "plan": _plan(found, limit),
        "baseline": summarise(arms.baseline).as_dict(),
    }
    text = (
        f"median {median(candidate):.2f} ms against {median(baseline):.2f} ms, "
        f"ratio {found.ratio:.2f} ({found.low:.2f} to {found.high:.2f}, limit {limit:g})"
    )
    if difference < floor_ms:
        return (
            Verdict.PASS,
            f"{text}, difference {difference:+.2f} ms below the floor of {floor_ms:g} ms",
            data,
        )
    verdict = judge_ratio(found, limit)
    ending = {Verdict.FAIL: ", clearly slower", Verdict.NOT_JUDGED: ", too uncertain to decide"}
    return verdict, f"{text}{ending.get(verdict, '')}", data


def _plan(found: RatioInterval, limit: float) -> str:
    """What so many blocks of such a spread can show; empty where nothing varied or nothing slower is allowed."""
    if found.spread <= 0 or limit <= 1:
        return ""
    return plan_latency(found.pairs, limit, found.spread, found.alpha).describe()


def _block_medians(result: ArmResult, value: Callable[[Sample], float | None]) -> dict[int, float]:
    """Median of each block that has at least one successful value."""
    blocks: dict[int, list[float]] = {}
    for sample in result.ok:
        if (measured := value(sample)) is not None:
            blocks.setdefault(sample.block, []).append(measured)
    return {block: median(values) for block, values in blocks.items()}


def _data(arms: _Arms) -> dict[str, Any]:
    return {"candidate": arms.summary.as_dict()}


REMEDIES = {
    "errors": "Read the set's log and the reasons in the data; a sound set fails no request.",
    "ttft": "Measure again on a quieter machine, or look for a larger model, a longer template or fewer slots.",
    "itl": "Measure again on a quieter machine, or look for a larger model or a slower quantization.",
    "speed": "Give the set more threads or a smaller quantization, or lower the limit in the policy.",
}


def _row(name: str, verdict: Verdict, summary: str, data: dict[str, Any]) -> Evidence:
    return Evidence(
        gate=Gate.PERFORMANCE,
        check=f"performance.{name}",
        verdict=verdict,
        summary=summary,
        remedy="" if verdict is Verdict.PASS else REMEDIES[name],
        data=data,
    )
