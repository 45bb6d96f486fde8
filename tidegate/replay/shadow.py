"""What copies of live requests show about a new version beside the live one. Pure.

Both got the same requests in the same seconds, but nobody knows which answers belong together: so the tests are those
of two samples, which is less than pairs would show and never more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.domain.live import Histogram, LiveBatch, middle_of, total
from tidegate.domain.policy import ShiftPolicy
from tidegate.statistics import judge_interval, share_e_value, wilson_interval
from tidegate.statistics.proportions import one_sided_z

SHADOW_CHECKS = frozenset({"shadow.errors", "shadow.answers", "shadow.latency"})
SEND_MORE = "Let the shadow run longer (shift.shadow_s) or copy more (shift.shadow_percent)."


@dataclass(frozen=True)
class Side:
    """What one set did with its requests."""

    requests: int
    failed: int
    """Errors, and streams that ended before their end."""
    useless: int
    """Complete answers that were empty or malformed."""
    lost: int
    """Requests whose outcome nobody knows."""
    ttft_ms: Histogram

    @classmethod
    def of(cls, batches: Sequence[LiveBatch]) -> "Side":
        counts = total(batches)
        return cls(
            requests=counts["requests"] - counts["clients_left"],
            failed=counts["failed"],
            useless=counts["empty"] + counts["malformed"],
            lost=counts.get("lost", 0),
            ttft_ms=Histogram.sum(batch.ttft_ms for batch in batches),
        )


def judge_shadow(
    copies: Sequence[LiveBatch], live: Sequence[LiveBatch], policy: ShiftPolicy, alpha: float
) -> list[Evidence]:
    """One row for each of `SHADOW_CHECKS`. Too few copies judge nothing, whatever they show."""
    new, old = Side.of(copies), Side.of(live)
    if min(new.requests, old.requests) < max(1, policy.min_requests):
        why = f"{new.requests} copies and {old.requests} live requests were measured; {policy.min_requests} are needed"
        if not new.requests:
            why = "no gateway measured a copy of a live request"
        return [
            _row(check, Verdict.NOT_JUDGED, f"Not judged: {why}.", new.requests)
            for check in sorted(SHADOW_CHECKS)
        ]
    return [
        _share("shadow.errors", "failed or were cut off", new, old, (new.failed, old.failed), policy, alpha),
        _share(
            "shadow.answers", "were empty or malformed", new, old, (new.useless, old.useless), policy, alpha
        ),
        _latency(new, old, policy, alpha),
    ]


def harm_so_far(
    copies: Sequence[LiveBatch], live: Sequence[LiveBatch], policy: ShiftPolicy, alpha: float
) -> Evidence | None:
    """A failed row as soon as more copies go wrong than the margin and the live set's own upper bound allow.

    An e-value, so it may be looked at at any time. None while nothing is shown.
    """
    new, old = Side.of(copies), Side.of(live)
    wrong = min(new.requests, new.failed + new.useless)
    if wrong == 0:
        return None
    most = wilson_interval(min(old.requests, old.failed + old.useless), old.requests, 1 - alpha).high
    allowed = min(0.9, policy.shadow_margin + (most if old.requests else 0.0))
    if share_e_value(wrong, new.requests, allowed) < 1 / alpha:
        return None
    text = f"{wrong} of {new.requests} copies went wrong: more than {allowed:.1%} of them do, which is not allowed."
    return _row("shadow.errors", Verdict.FAIL, text, new.requests, {"p_value": alpha})


def _share(
    check: str, what: str, new: Side, old: Side, wrong: tuple[int, int], policy: ShiftPolicy, alpha: float
) -> Evidence:
    """What was lost counts as wrong where that makes passing harder, and as right where it makes failing harder."""
    requests = new.requests + new.lost
    worst = min(requests, wrong[0] + new.lost)
    _, high = share_difference(worst, requests, wrong[1], old.requests, alpha)
    low, _ = share_difference(
        min(wrong[0], requests),
        requests,
        min(old.requests, wrong[1] + old.lost),
        old.requests,
        alpha / len(SHADOW_CHECKS),
    )
    verdict = judge_interval(min(low, high), high, policy.shadow_margin)
    text = (
        f"{wrong[0]} of {new.requests} copies {what}, and {wrong[1]} of {old.requests} live requests; the difference is "
        f"at most {high:.1%}, allowed are {policy.shadow_margin:.1%}."
    )
    data = {"numbers": f"difference [{low:.4f}, {high:.4f}] (Newcombe, alpha {alpha:g})", "lost": new.lost}
    return _row(check, verdict, text, new.requests, data)


def share_difference(
    wrong: int, count: int, other_wrong: int, other_count: int, alpha: float
) -> tuple[float, float]:
    """Bounds of the difference of two independent shares, each at error rate `alpha`.

    d - sqrt((p1 - l1)^2 + (u2 - p2)^2) and d + sqrt((u1 - p1)^2 + (p2 - l2)^2), with Wilson's l and u.
    Source: R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, method 10.
    """
    one, two = wrong / count, other_wrong / other_count
    first = wilson_interval(wrong, count, 1 - 2 * alpha)
    second = wilson_interval(other_wrong, other_count, 1 - 2 * alpha)
    down = math.hypot(one - first.low, second.high - two)
    up = math.hypot(first.high - one, two - second.low)
    return one - two - down, one - two + up


def _latency(new: Side, old: Side, policy: ShiftPolicy, alpha: float) -> Evidence:
    """Medians of the time to the first byte, with bounds that assume nothing about their distribution."""
    ours, theirs = median_bounds(new.ttft_ms, alpha / 2), median_bounds(old.ttft_ms, alpha / 2)
    if ours is None or theirs is None or theirs[0] <= 0:
        return _row("shadow.latency", Verdict.NOT_JUDGED, "Not judged: no times were measured.", 0)
    limit = max(policy.max_latency_ratio, 1 + policy.latency_floor_ms / theirs[0])
    low, high = ours[0] / theirs[1], ours[1] / theirs[0]
    text = f"The median time to the first byte is {low:.2f} to {high:.2f} times the live set's; {limit:.2f} are allowed."
    return _row("shadow.latency", judge_interval(low, high, limit), text, new.requests)


def median_bounds(values: Histogram, alpha: float) -> tuple[float, float] | None:
    """Each bound errs with at most about `alpha`: the order statistics n/2 -+ z sqrt(n)/2. None for too few values.

    Source: W. J. Conover, Practical Nonparametric Statistics (1999), 3.2, in its normal approximation.
    """
    if values.n == 0:
        return None
    half = one_sided_z(alpha) / (2 * math.sqrt(values.n))
    if half >= 0.5:
        return None
    low, high = values.quantile_bin(0.5 - half), values.quantile_bin(0.5 + half)
    return None if low is None or high is None else (middle_of(low), middle_of(high))


def _row(
    check: str, verdict: Verdict, summary: str, samples: int, data: Mapping[str, object] | None = None
) -> Evidence:
    return Evidence(
        gate=Gate.SHADOW,
        check=check,
        verdict=verdict,
        summary=summary,
        remedy=SEND_MORE if verdict is Verdict.NOT_JUDGED else "",
        data={"samples": samples, **(data or {})},
    )
