"""How much must be measured, and what a given amount can show at all.

Shares are fractions (0.05 is 5 points), ratios have no unit. `power` is the chance of the right verdict.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tidegate.statistics.distributions import (
    binomial_chances,
    binomial_tail,
    binomial_tails,
    noncentral_t_tail,
    t_quantile,
)
from tidegate.statistics.proportions import normal_quantile, one_sided_z

BISECTION_STEPS = 60
MOST_PAIRS = 10_000
MOST_REQUESTS = 100_000
USUAL_DISCORDANT_SHARE = 0.1
"""Questions whose answer changes between two fine-tunes of one model, where nothing better is known."""


@dataclass(frozen=True)
class QualityPlan:
    """What a bank of this size can show. `describe` says it in words."""

    questions: int
    margin: float
    discordant_share: float
    alpha: float
    power: float
    detectable_drop: float
    """Smallest true drop that the regression test finds."""
    provable_margin: float
    """Smallest margin inside which an equal candidate is shown to be."""
    questions_for_margin: int
    """Questions with which an equal candidate is shown to be inside `margin`."""

    @property
    def reach(self) -> str:
        """What to put after "this bank": "can detect a drop of 7 points"."""
        if self.detectable_drop >= 1:
            return "cannot detect any drop"
        return f"can detect a drop of {_points(self.detectable_drop)}"

    def describe(self) -> str:
        """Two sentences for a person; a quantity that no bank of this size can show is named as such."""
        proof = (
            f"It can show that an equal candidate loses less than {_points(self.provable_margin)}"
            if self.provable_margin < 1
            else "It can show no margin for an equal candidate"
        )
        return (
            f"This bank of {self.questions} questions {self.reach} ({self.power:.0%} power, "
            f"{self.discordant_share:.0%} of the answers changing). "
            f"{proof}; a margin of {_points(self.margin)} needs {self.questions_for_margin:,} questions."
        )


@dataclass(frozen=True)
class LatencyPlan:
    """What this many block pairs can show about a ratio limit. `describe` says it in words."""

    pairs: int
    limit: float
    spread: float
    alpha: float
    power: float
    chance_to_pass: float
    """Of a candidate that is exactly as fast."""
    detectable_ratio: float
    """Smallest true ratio that is shown to be beyond the limit; infinity with a single pair."""
    pairs_needed: int | None
    """Pairs with which an equal candidate passes with probability `power`; None: not with 10 000."""

    def describe(self) -> str:
        """Two sentences for a person."""
        slower = (
            f"one that is {self.detectable_ratio - 1:.0%} slower fails with {self.power:.0%}"
            if math.isfinite(self.detectable_ratio)
            else "no slowdown can be shown"
        )
        needed = f"{self.pairs_needed:,}" if self.pairs_needed is not None else f"more than {MOST_PAIRS:,}"
        return (
            f"With {self.pairs} block pairs (spread {self.spread:.0%}) and {self.limit - 1:.0%} allowed, an equal "
            f"candidate passes with a chance of {self.chance_to_pass:.0%}, {slower}. "
            f"A chance of {self.power:.0%} to pass needs {needed} pairs."
        )


def plan_quality(
    questions: int,
    margin: float,
    discordant_share: float = USUAL_DISCORDANT_SHARE,
    alpha: float = 0.05,
    power: float = 0.8,
) -> QualityPlan:
    """What `questions` paired questions can show about a loss. Raises ValueError for impossible settings."""
    return QualityPlan(
        questions,
        margin,
        discordant_share,
        alpha,
        power,
        detectable_drop(questions, discordant_share, alpha, power),
        provable_margin(questions, discordant_share, alpha, power),
        questions_for_margin(margin, discordant_share, alpha, power),
    )


def plan_latency(
    pairs: int, limit: float, spread: float, alpha: float = 0.05, power: float = 0.8
) -> LatencyPlan:
    """What `pairs` block pairs can show. `spread` is the standard deviation of the log ratios of pairs, from a
    baseline measured against itself. Raises ValueError for a limit of 1 or less, or a spread of 0 or less."""
    return LatencyPlan(
        pairs,
        limit,
        spread,
        alpha,
        power,
        ratio_power(pairs, limit, spread, alpha=alpha),
        detectable_ratio(pairs, limit, spread, alpha, power),
        pairs_for_limit(limit, spread, alpha, power),
    )


def smallest_bank(margin: float, alpha: float = 0.05) -> int:
    """Fewest questions that can show "loses less than `margin`", when no answer differs at all.

    From Tango's statistic with no discordant pair, z = -sqrt(n * margin / (1 - margin)): 52 questions for 5
    points, 88 for 3, 133 for 2, 268 for 1. Raises ValueError unless 0 < margin < 1.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin must lie between 0 and 1, not {margin}")
    return math.floor(one_sided_z(alpha) ** 2 * (1 - margin) / margin) + 1


def questions_for_drop(
    drop: float,
    discordant_share: float = USUAL_DISCORDANT_SHARE,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Questions with which the paired test calls a true `drop` a regression with probability `power`.

    n = (z_alpha sqrt(pd) + z_power sqrt(pd - D^2))^2 / D^2; pd is at least D. By the normal distribution: exact
    McNemar has a few percent less power (`mcnemar_power` is exact).
    Source: R. J. Connor, Biometrics 43 (1987) 207-211. Raises ValueError unless 0 < drop <= 1.
    """
    _check_share(drop, "a drop")
    return math.ceil(_connor(drop, discordant_share, alpha, power))


def detectable_drop(
    pairs: int,
    discordant_share: float = USUAL_DISCORDANT_SHARE,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Smallest true drop that the regression test finds with probability `power`, as a share (1.0: none).

    `questions_for_drop` solved for the drop: the minimum detectable effect of a bank.
    """
    if pairs <= 0 or _connor(1.0, discordant_share, alpha, power) > pairs:
        return 1.0
    return _smallest(lambda drop: _connor(drop, discordant_share, alpha, power) <= pairs, 1e-9, 1.0)


def questions_for_margin(
    margin: float,
    discordant_share: float = USUAL_DISCORDANT_SHARE,
    alpha: float = 0.05,
    power: float = 0.8,
) -> int:
    """Questions with which an equal candidate is shown to lose less than `margin` with probability `power`.

    n = (z_alpha + z_power)^2 pd / M^2, but at least `smallest_bank`.
    Source: J.-P. Liu et al., Statistics in Medicine 21 (2002) 231-245. Raises ValueError unless 0 < margin < 1.
    """
    _check_share(discordant_share, "a discordant share")
    needed = (one_sided_z(alpha) + normal_quantile(power)) ** 2 * discordant_share / margin**2
    return max(smallest_bank(margin, alpha), math.ceil(needed))


def provable_margin(
    pairs: int,
    discordant_share: float = USUAL_DISCORDANT_SHARE,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Smallest margin that `pairs` questions show for an equal candidate with probability `power` (1.0: none)."""
    widest = 1 - 1e-9
    if pairs < questions_for_margin(widest, discordant_share, alpha, power):
        return 1.0
    return _smallest(
        lambda margin: questions_for_margin(margin, discordant_share, alpha, power) <= pairs, 1e-6, widest
    )


def mcnemar_power(
    pairs: int, drop: float, discordant_share: float = USUAL_DISCORDANT_SHARE, alpha: float = 0.05
) -> float:
    """Exact chance that one-sided exact McNemar at `alpha` calls a true `drop` a regression.

    Sum over N of P(N of `pairs` differ) P(losses >= smallest count with p <= alpha | N), losses binomial with
    chance (pd + drop) / (2 pd). At drop = 0 it is the size of the test.
    Raises ValueError unless 0 <= drop <= discordant share <= 1.
    """
    _check_share(discordant_share, "a discordant share")
    if not 0 <= drop <= discordant_share:
        raise ValueError(f"a drop of {drop} cannot exceed the discordant share of {discordant_share}")
    loss_chance = (1 + drop / discordant_share) / 2
    total = 0.0
    for differing, chance in enumerate(binomial_chances(pairs, discordant_share).tolist()):
        if chance > 1e-12:
            critical = int(np.flatnonzero(binomial_tails(differing, 0.5) <= alpha)[0])
            total += chance * binomial_tail(critical, differing, loss_chance)
    return total


def ratio_power(
    pairs: int, limit: float, spread: float, true_ratio: float = 1.0, alpha: float = 0.05
) -> float:
    """Chance that `pairs` block pairs show a ratio below `limit`, when it is `true_ratio`.

    P(T > t(1 - alpha, K - 1)), T non-central t around ln(limit / true ratio) sqrt(K) / spread. With the two
    ratios exchanged it is the chance to show a ratio beyond the limit.
    Raises ValueError for a spread or ratio of 0 or less.
    """
    if not (spread > 0 and limit > 0 and true_ratio > 0):
        raise ValueError(f"limit, ratio and spread must be positive, not {limit}, {true_ratio} and {spread}")
    if pairs < 2:
        return 0.0
    shift = math.log(limit / true_ratio) * math.sqrt(pairs) / spread
    return noncentral_t_tail(t_quantile(1 - alpha, pairs - 1), pairs - 1, shift)


def pairs_for_limit(limit: float, spread: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Block pairs with which an equally fast candidate passes with probability `power`; None above 10 000.

    Raises ValueError for a limit of 1 or less: an equal candidate cannot be shown to be faster than it is.
    """
    if not limit > 1:
        raise ValueError(f"a limit must allow some slowdown, so be above 1, not {limit}")
    return _smallest_count(lambda pairs: ratio_power(pairs, limit, spread, alpha=alpha) >= power, MOST_PAIRS)


def detectable_ratio(
    pairs: int, limit: float, spread: float, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true ratio that `pairs` block pairs show to be beyond `limit` with probability `power`."""
    if pairs < 2:
        return math.inf

    def is_found(log_excess: float) -> bool:
        return ratio_power(pairs, math.exp(log_excess), spread, alpha=alpha) >= power

    widest = spread * 100
    return limit * math.exp(_smallest(is_found, 0.0, widest)) if is_found(widest) else math.inf


def requests_for_share(
    allowed: float, true_share: float, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Requests with which "more than `allowed` miss" is proven with probability `power`; None above 100 000.

    The first n at which P(X >= k) >= power under the true share, k the smallest count with
    P(X >= k) <= alpha under the allowed one (exact binomial). Raises ValueError unless 0 <= allowed < true <= 1.
    """
    if not 0 <= allowed < true_share <= 1:
        raise ValueError(f"the true share ({true_share}) must be above the allowed one ({allowed})")
    critical = 1
    for trials in range(1, MOST_REQUESTS + 1):
        while binomial_tail(critical, trials, allowed) > alpha:
            critical += 1
        if binomial_tail(critical, trials, true_share) >= power:
            return trials
    return None


def _connor(drop: float, discordant_share: float, alpha: float, power: float) -> float:
    _check_share(discordant_share, "a discordant share")
    # More answers cannot be lost than change.
    share = max(discordant_share, drop)
    spread = one_sided_z(alpha) * math.sqrt(share) + normal_quantile(power) * math.sqrt(
        max(0.0, share - drop * drop)
    )
    return (spread / drop) ** 2


def _smallest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Smallest value for which it holds, given that it holds at `high` and from some value on."""
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _smallest_count(holds: Callable[[int], bool], most: int) -> int | None:
    low, high = 0, 2
    while not holds(high):
        low, high = high, high * 2
        if low >= most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high if high <= most else None


def _check_share(share: float, name: str) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, not {share}")


def _points(share: float) -> str:
    points = share * 100
    return f"{points:.2g} points" if points < 10 else f"{points:.0f} points"
