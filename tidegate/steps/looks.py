"""When a comparison in block pairs may be looked at, at which error rate, and what a look may decide. Pure.

Looking again and again at one interval until it passes errs far more often than it says. So the error rate of a
policy is divided before anything is measured:

| look | share of alpha | may decide |
|---|---|---|
| after every pair, with early stopping | 1/5 | pass: by the sign e-value, which no number of looks can raise. Before the planned end also fail: by a t interval to which every one of these looks gives an equal part of the share |
| at the planned end | 3/5; 4/5 without one of the others | by the t interval |
| when the budget beyond it is spent | 1/5 | by the t interval |

By the union bound a candidate beyond a margin passes with a chance of at most alpha, and one inside all of them fails
with at most alpha. What a look has shown stands. An early stop needs the sign e-value (or the small t interval) and
the verdict of the gate itself at that share: that only makes it rarer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tidegate.domain.policy import LatencyMargin, PerformancePolicy

EARLY_SHARE = FINAL_SHARE = 0.2
FEWEST_PAIRS = 3
"""Fewer pairs are not looked at: of two, any spread is chance."""
PARTS_OF_A_MILLION = 1e6

Kind = Literal["early", "planned", "final"]


@dataclass(frozen=True)
class Look:
    """One look after `pairs` pairs. `alpha` is the error rate that it may use."""

    kind: Kind
    pairs: int
    alpha: float


def most_pairs(policy: PerformancePolicy) -> int:
    """Pairs that the budget allows, in whichever of its units it ends first."""
    most = policy.most_block_pairs
    if policy.budget.max_requests is not None:
        most = min(most, policy.budget.max_requests // (2 * policy.design.requests_per_block))
    return max(most, 1)


def look_after(pairs: int, policy: PerformancePolicy, *, is_spent: bool) -> Look | None:
    """The look that is due after this many pairs; `is_spent`: nothing more can be measured. None: there is none."""
    planned = policy.design.block_pairs
    early = EARLY_SHARE if policy.early_stopping else 0.0
    final = FINAL_SHARE if most_pairs(policy) > planned else 0.0
    if pairs == planned or (is_spent and pairs < planned):
        # A budget that ends before the planned end leaves the share of that look to be used.
        share = 1 - early - (0.0 if is_spent else final)
        return Look("planned" if pairs == planned else "final", pairs, _exact(share * policy.alpha))
    if is_spent:
        return Look("final", pairs, _exact(max(final, FINAL_SHARE) * policy.alpha))
    return Look("early", pairs, _exact(early * policy.alpha)) if early and pairs >= FEWEST_PAIRS else None


def pairs_of_next_round(pairs: int, policy: PerformancePolicy, wasted: int = 0) -> int:
    """Pairs to measure next, so that a round ends exactly at the planned end; 0 when the budget is spent.

    `pairs` may decide. `wasted` ones may not, because the client measured itself: they are made up for by as many as
    the budget has, but a budget in requests pays for them.
    """
    most, planned = most_pairs(policy), policy.design.block_pairs
    end = planned if pairs < planned <= most else most
    left = 2 * most - pairs - wasted
    if policy.budget.max_requests is not None:
        left = min(left, most - pairs - wasted)
    return max(0, min(policy.budget.step_block_pairs, end - pairs, left))


def allowed_ms(live_ms: float, margin: LatencyMargin) -> float:
    """Largest latency of the candidate beside this one of the live model: the margin, or the floor where it is more."""
    return max(live_ms * margin.max_ratio, live_ms + margin.floor_ms)


def excesses(candidate: Sequence[float], live: Sequence[float], margin: LatencyMargin) -> list[float]:
    """Each pair's latency over what it may be: below 1 is inside."""
    return [ours / allowed_ms(theirs, margin) for ours, theirs in zip(candidate, live, strict=True)]


def alpha_of_early_fail(look: Look, policy: PerformancePolicy) -> float:
    """Part of the early share that one look may use to fail a candidate; 0 after the planned end."""
    return look.alpha / policy.design.block_pairs if look.pairs < policy.design.block_pairs else 0.0


def stops_early(
    look: Look, of_metrics: Sequence[Sequence[float]], policy: PerformancePolicy
) -> Literal["pass", "fail", ""]:
    """What an early look may decide, from the `excesses` of each metric: pass needs all metrics, fail one of them.

    Of m metrics one that fails needs an error rate m times smaller (Bonferroni, with which Holm begins).
    """
    from tidegate.statistics import paired_log_ratio, sign_e_value

    if not of_metrics or look.alpha <= 0:
        return ""
    if small := alpha_of_early_fail(look, policy) / len(of_metrics):
        found = [paired_log_ratio(ratios, [1.0] * len(ratios), small) for ratios in of_metrics]
        if any(interval.low > 1 for interval in found):
            return "fail"
    within = min(sign_e_value(ratios, 1.0).within for ratios in of_metrics)
    return "pass" if within >= 1 / look.alpha else ""


def _exact(alpha: float) -> float:
    """Shares of 0.05 as people write them."""
    return round(alpha * PARTS_OF_A_MILLION) / PARTS_OF_A_MILLION
