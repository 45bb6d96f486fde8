"""Whether measured latency, speed and errors let a candidate pass. Pure.

Hard limits act first, with and without a baseline. The limit of a p95 is broken when it is proven that more than
5 % of all requests exceed it (exact binomial); a p95 of few requests that merely came out above the limit is not
judged: of a model whose p95 lies exactly at the limit every second one does. A share of errors above its limit is
judged the same way. Latencies against the baseline are judged by `compare`: one interval, one margin, block pairs.
Figures of a client-bound run, and of one of which half is missing, are not judged.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tidegate.benchmark.chunks import chunking_of
from tidegate.benchmark.comparable import MIN_OK_SHARE, incomplete
from tidegate.benchmark.compare import compare_runs
from tidegate.benchmark.compared import Comparison, MetricComparison
from tidegate.benchmark.goodput import Slo, attainment
from tidegate.benchmark.latencies import Latencies, judged_figure, latencies
from tidegate.benchmark.metrics import CompareLimits, Limit, metric_named
from tidegate.benchmark.record import Outcome, RunRecord
from tidegate.benchmark.summary import not_gateable, present
from tidegate.benchmark.wording import percent
from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.policy import PerformancePolicy
from tidegate.statistics import percentile, share_e_value, share_p_value, wilson_interval

PERFORMANCE_CHECKS = frozenset(
    {"performance.errors", "performance.ttft", "performance.itl", "performance.speed"}
)
SLO_CHECK = "performance.slo"
"""A row more, where the policy asks for a share of good requests."""
P95 = 0.95
CHECK_OF = {"ttft": "ttft", "ttft_answer": "ttft", "itl": "itl", "gap": "itl", "stall": "itl", "e2e": "speed"}
"""The row that a metric of the policy belongs to, by its figure."""


def judge_performance(
    candidate: RunRecord, baseline: RunRecord | None, policy: PerformancePolicy
) -> list[Evidence]:
    """One row for each of `PERFORMANCE_CHECKS`, and one for the service level. Without requests: not judged."""
    arms = _Arms.of(candidate, baseline, policy)
    rows = [_errors(arms), _ttft(arms), _itl(arms), _speed(arms)]
    return rows if policy.slo.min_attainment is None else [*rows, _slo(arms, policy.slo.min_attainment)]


@dataclass(frozen=True)
class _Arms:
    candidate: RunRecord
    policy: PerformancePolicy
    times: tuple[Latencies, ...]
    """Of the requests of the candidate that succeeded."""
    comparison: Comparison | None
    """None: there is no baseline."""

    @classmethod
    def of(cls, candidate: RunRecord, baseline: RunRecord | None, policy: PerformancePolicy) -> "_Arms":
        chunking = chunking_of(candidate.requests)
        times = tuple(latencies(request, chunking) for request in candidate.measured() if request.is_ok)
        compared = None if baseline is None else compare_runs(baseline, candidate, limits_of(policy))
        return cls(candidate, policy, times, compared)

    @property
    def missing(self) -> str:
        """Why no latency of the candidate may decide; empty when it may."""
        reasons = (*not_gateable(self.candidate), incomplete(self.candidate))
        return next((reason for reason in reasons if reason), "")

    def values(self, figure: str) -> list[float]:
        return present([judged_figure(figure, self.candidate.is_open_loop)(found) for found in self.times])

    def data(self, check: str, values: Sequence[float]) -> dict[str, Any]:
        """Numbers of the candidate, and every metric of this check against the baseline."""
        found: dict[str, Any] = {"samples": len(values), **_figures(values)}
        compared = self.compared(check)
        if compared:
            found["metrics"] = {row.metric: _metric_data(row) for row in compared}
            found["numbers"] = "; ".join(filter(None, (_numbers(row) for row in compared)))
            found["reach"] = " ".join(f"{row.label}: {row.plan}" for row in compared if row.plan)
            p_values = [row.p_beyond for row in compared if row.p_beyond is not None]
            if p_values:
                found["p_value"] = min(p_values)
        if slices := self.slices(check):
            found["slices"] = slices
        return found

    def slices(self, check: str) -> list[dict[str, Any]]:
        """Topics and tags of the prompts, shown and never decisive."""
        rows = self.comparison.slices if self.comparison is not None else ()
        return [
            {
                key: round(value, 4) if isinstance(value, float) else value
                for key, value in row.model_dump().items()
            }
            for row in rows
            if CHECK_OF[metric_named(row.metric).figure] == check
        ]

    def compared(self, check: str) -> list[MetricComparison]:
        rows = self.comparison.metrics if self.comparison is not None else ()
        return [row for row in rows if CHECK_OF[metric_named(row.metric).figure] == check]


def limits_of(policy: PerformancePolicy) -> CompareLimits:
    """The margins that a policy declares. Those that it sets to null decide nothing."""
    declared = {name: Limit(margin.max_ratio, margin.floor_ms) for name, margin in policy.metrics.declared()}
    return CompareLimits(declared, policy.alpha)


def _errors(arms: _Arms) -> Evidence:
    measured, limit = arms.candidate.measured(), arms.policy.limits.max_error_share
    outcomes = Counter(request.outcome for request in measured)
    bad, sent = (
        outcomes[Outcome.FAILED] + outcomes[Outcome.TRUNCATED],
        len(measured) - outcomes[Outcome.NOT_SENT],
    )
    if sent == 0:
        return _row("errors", Verdict.NOT_JUDGED, "No request was sent.", {})
    reasons = Counter(request.error for request in measured if not request.is_ok)
    low, high = wilson_interval(bad, sent)
    p_value = share_p_value(bad, sent, limit)
    data: dict[str, Any] = {
        "failed": outcomes[Outcome.FAILED],
        "truncated": outcomes[Outcome.TRUNCATED],
        "sent": sent,
        "planned": len(measured),
        "reasons": dict(reasons.most_common(20)),
        "share_95": [round(low, 4), round(high, 4)],
        "limit": limit,
        "p_value": p_value,
        "e_value": _finite(share_e_value(bad, sent, limit)) if limit < 1 else None,
        "samples": sent,
        "numbers": f"{bad / sent:.2%} (95 % interval {low:.2%} to {high:.2%}), p = {p_value:.2g}",
    }
    counts = (
        f"{outcomes[Outcome.FAILED]} failed and {outcomes[Outcome.TRUNCATED]} truncated of {sent} requests"
    )
    if bad / sent > limit:
        first = reasons.most_common(1)[0][0]
        text = f"{counts}, more than the {percent(limit)} allowed (first: {first})"
        if p_value <= arms.policy.alpha:
            return _row("errors", Verdict.FAIL, f"{text}.", data)
        return _row("errors", Verdict.NOT_JUDGED, f"{text}, which may be chance (p = {p_value:.2g}).", data)
    if sent < MIN_OK_SHARE * len(measured):
        text = f"{counts}, but {len(measured)} were planned."
        return _row("errors", Verdict.NOT_JUDGED, text, {**data, "samples": None})
    return _row("errors", Verdict.PASS, f"{counts}.", data)


def _ttft(arms: _Arms) -> Evidence:
    return _latency(arms, "ttft", "Time to first token", "ttft", arms.policy.limits.max_ttft_p95_ms)


def _itl(arms: _Arms) -> Evidence:
    return _latency(arms, "itl", "Time per token", "itl", arms.policy.limits.max_itl_p95_ms)


def _latency(arms: _Arms, check: str, title: str, figure: str, limit: float | None) -> Evidence:
    """First the hard limit of the p95, then the margins against the baseline."""
    values = arms.values(figure)
    if arms.missing or not values:
        return _row(check, Verdict.NOT_JUDGED, f"{title}: {arms.missing or 'no request has one'}.", {})
    data = arms.data(check, values)
    shown = f"{title}: median {median(values):.4g} ms"
    if limit is not None:
        broken = _broken_limit(arms, check, title, values, limit, data)
        if broken is not None:
            return broken
        shown = f"{title}: {_worst_shown(values)}, at most {limit:g} ms allowed"
    return _against_baseline(arms, check, shown, data)


def _broken_limit(
    arms: _Arms, check: str, title: str, values: Sequence[float], limit: float, data: dict[str, Any]
) -> Evidence | None:
    """None while the limit holds. With too few values for a p95 all of them must hold it, which is stricter."""
    p95 = percentile(values, P95)
    worst = p95 if p95 is not None else max(values)
    if worst <= limit:
        return None
    over = sum(value > limit for value in values)
    p_value = share_p_value(over, len(values), 1 - P95)
    data = {**data, "over_limit": over, "limit_ms": limit, "p_value": p_value}
    text = f"{title} was above {limit:g} ms in {over} of {len(values)} requests"
    if p_value <= arms.policy.alpha:
        return _row(check, Verdict.FAIL, f"{text}, in more than 5 % for certain.", data)
    text = f"{text} ({_worst_shown(values)}), too few to judge a p95 (p = {p_value:.2g})."
    return _row(check, Verdict.NOT_JUDGED, text, data)


def _speed(arms: _Arms) -> Evidence:
    limit = arms.policy.limits.min_tokens_per_second
    values = present([found.tokens_per_s for found in arms.times])
    if arms.missing or not values:
        return _row("speed", Verdict.NOT_JUDGED, f"Decode speed: {arms.missing or 'no request has one'}.", {})
    speed, data = median(values), arms.data("speed", values)
    text = f"Decode speed of one stream: median {speed:.0f} tokens/s, at least {limit:g} wanted"
    if speed < limit:
        return _row("speed", Verdict.FAIL, f"{text}.", data)
    return _against_baseline(arms, "speed", text, data, needs_baseline=False)


def _slo(arms: _Arms, wanted: float) -> Evidence:
    """Share of good requests among all that were planned, by exact tests on both sides."""
    policy = arms.policy.slo
    slo = Slo(ttft_ms=policy.ttft_ms, itl_ms=policy.itl_ms, e2e_ms=policy.e2e_ms)
    if reasons := not_gateable(arms.candidate):
        return _row("slo", Verdict.NOT_JUDGED, f"Service level: {reasons[0]}.", {})
    reached = attainment(arms.candidate, slo)
    if not reached.planned:
        return _row("slo", Verdict.NOT_JUDGED, "Service level: no request was planned.", {})
    missed, allowed = reached.planned - reached.good, 1 - wanted
    p_fail = share_p_value(missed, reached.planned, allowed)
    p_pass = share_p_value(reached.good, reached.planned, wanted)
    low, high = reached.interval
    data: dict[str, Any] = {
        "good": reached.good, "planned": reached.planned, "misses": reached.misses, "wanted": wanted,
        "slo": slo.limits(), "share_95": [round(low, 4), round(high, 4)], "p_value": p_fail, "p_pass": p_pass,
        "e_value": _finite(share_e_value(missed, reached.planned, allowed)), "samples": reached.planned,
        "numbers": f"95 % interval {low:.2%} to {high:.2%}, p = {p_fail:.2g} (worse), {p_pass:.2g} (better)",
    }  # fmt: skip
    text = f"{reached.good} of {reached.planned} requests kept {slo.describe()}, {percent(wanted)} wanted"
    if p_fail <= arms.policy.alpha:
        return _row("slo", Verdict.FAIL, f"{text}.", data)
    if p_pass <= arms.policy.alpha:
        return _row("slo", Verdict.PASS, f"{text}.", data)
    return _row("slo", Verdict.NOT_JUDGED, f"{text}: too few requests to decide.", data)


def _against_baseline(
    arms: _Arms, check: str, shown: str, data: dict[str, Any], *, needs_baseline: bool = True
) -> Evidence:
    if arms.comparison is None:
        text = f"{shown}, no baseline to compare with." if needs_baseline else f"{shown}."
        return _row(check, Verdict.PASS, text, data)
    compared = arms.compared(check)
    if not compared:
        return _row(check, Verdict.PASS, f"{shown}; the policy compares nothing here.", data)
    if any(row.reason for row in compared):
        # Not measured is not undecided: without a number of samples no policy can let it pass.
        data = {**data, "samples": None}
    for verdict in (Verdict.FAIL, Verdict.NOT_JUDGED):
        hits = [row.summary for row in compared if row.verdict is verdict]
        if hits:
            return _row(check, verdict, f"{'. '.join(map(_sentence, hits))}. {_sentence(shown)}.", data)
    said = ". ".join(_sentence(row.summary) for row in compared)
    return _row(check, Verdict.PASS, f"{said}. {_sentence(shown)}.", data)


def _sentence(text: str) -> str:
    """With a capital, but `p95` stays what it is."""
    return text if text[:1] == "p" and text[1:2].isdigit() else text[:1].upper() + text[1:]


def _worst_shown(values: Sequence[float]) -> str:
    p95 = percentile(values, P95)
    return f"maximum {max(values):.1f} ms" if p95 is None else f"p95 {p95:.1f} ms"


def _figures(values: Sequence[float]) -> dict[str, Any]:
    shares: dict[str, Callable[[], float | None]] = {
        "p50": lambda: percentile(values, 0.5),
        "p95": lambda: percentile(values, P95),
        "max": lambda: max(values, default=None),
    }
    return {name: None if (found := make()) is None else round(found, 3) for name, make in shares.items()}


def _metric_data(row: MetricComparison) -> dict[str, Any]:
    """Everything but the blocks, rounded, for evidence and reports."""
    found = row.model_dump(mode="json", exclude={"blocks", "summary"})
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in found.items()}


def _numbers(row: MetricComparison) -> str:
    if row.ratio is None or row.low is None or row.high is None:
        return ""
    allowed = f", limit {row.allowed_ratio:.3f}" if row.allowed_ratio is not None else ""
    p_value = f", p = {row.p_beyond:.2g}" if row.p_beyond is not None else ""
    return (
        f"{row.metric} {row.base_ms:.4g} to {row.candidate_ms:.4g} ms, ratio {row.ratio:.3f} "
        f"({row.low:.3f} to {row.high:.3f}){allowed}{p_value}, {row.pairs} pairs"
    )


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None


REMEDIES = {
    "errors": "Read the set's log and the reasons in the data; a sound set fails no request.",
    "ttft": "Measure again on a quieter machine, or look for a larger model, a longer template or fewer slots.",
    "itl": "Measure again on a quieter machine, or look for a larger model or a slower quantization.",
    "speed": "Give the set more threads or a smaller quantization, or lower the limit in the policy.",
    "slo": "Lower the load, give the set more slots, or measure more requests where too few decide.",
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
