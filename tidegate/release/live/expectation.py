"""How many live requests a decision takes, for the plan and while one waits. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.domain import LiveBatch
from tidegate.domain.policy import LivePolicy
from tidegate.release.live.metrics import Rate, Size, rates, sizes
from tidegate.release.live.strength import Strength
from tidegate.statistics.concurrent import log_ratio, requests_until_within

USUAL_SHARE = 0.005
"""Share of events that is assumed before anything was seen."""
LEARNING = 0.3
"""Evidence (a logarithm) that learning the shares costs, from simulation."""
GAIN_OF_A_BLOCK = 0.15
"""Evidence of one sign when four of five healthy blocks are inside the margin, learning included."""
LARGEST_NEED = 100_000


@dataclass(frozen=True)
class ExpectedStep:
    """What one step of the ladder takes for a healthy version. `seconds` None: no client sends anything."""

    weight: int
    requests: int
    seconds: float | None
    metric: str
    """The metric that takes longest."""


def needed_for(
    metric: Rate | Size,
    margin: float | None,
    old: Sequence[LiveBatch],
    new: Sequence[LiveBatch],
    strength: Strength,
    alpha: float,
) -> int:
    """More requests on the new set until a healthy one has probably shown that it is inside the margin."""
    rest = max(0.0, -math.log(alpha) - strength.within_now)
    if strength.within >= -math.log(alpha):
        return 0
    if isinstance(metric, Size):
        return math.ceil(rest / GAIN_OF_A_BLOCK) * metric.need
    assert margin is not None
    events, trials = metric.total(old)
    _, on_new = metric.total(new)
    share = max(USUAL_SHARE, events / trials) if trials else USUAL_SHARE
    ratio = trials / on_new if trials and on_new else 1.0
    learning = LEARNING if strength.blocks == 0 else LEARNING / 3
    return _requests(margin, share, ratio, rest + learning, both_ways=metric.both_ways)


def expected_requests(
    policy: LivePolicy, ladder: Sequence[int], rate: float | None
) -> tuple[ExpectedStep, ...]:
    """Requests on the new set, and seconds at `rate` requests a second of all clients, for each step of the ladder.

    For a version that is as good as the live one, half a percent of whose requests fail. At 100 percent there is no old
    set beside it, and what counts is the limit that its past gives.
    """
    return tuple(_expected(policy, weight, rate) for weight in ladder)


def _expected(policy: LivePolicy, weight: int, rate: float | None) -> ExpectedStep:
    rest = -math.log(policy.alpha)
    needs = {"nothing": 0}
    for one in rates(policy):
        if one.margin is not None and weight < 100:
            per_new = (100 - weight) / weight
            needs[one.metric] = _requests(
                one.margin, USUAL_SHARE, per_new, rest + LEARNING, both_ways=one.both_ways
            )
        elif one.margin is not None:
            limit = USUAL_SHARE + one.margin
            gain = log_ratio(USUAL_SHARE, 1.0, USUAL_SHARE, limit)
            needs[one.metric] = math.ceil((rest + LEARNING) / gain)
    for one in sizes(policy):
        if one.margin is not None:
            needs[one.metric] = math.ceil(rest / GAIN_OF_A_BLOCK) * one.need
    metric = max(needs, key=lambda name: needs[name])
    seconds = needs[metric] / (rate * weight / 100) if rate else None
    return ExpectedStep(weight, needs[metric], seconds, metric)


def _requests(margin: float, share: float, old_per_new: float, rest: float, *, both_ways: bool) -> int:
    sides = (margin, -margin) if both_ways and share > margin else (margin,)
    return min(
        LARGEST_NEED,
        max(math.ceil(requests_until_within(side, share, old_per_new, rest)) for side in sides),
    )
