"""Tests on paired right/wrong answers: the same questions put to two models.

`losses` are questions that the baseline had right and the candidate has wrong, `wins` the reverse,
`pairs` all questions answered by both. The difference is always losses minus wins, as a share of pairs.
"""

import math
from statistics import NormalDist

from tidegate.statistics.distributions import binomial_tail

BISECTION_STEPS = 60


def mcnemar_exact(losses: int, wins: int) -> float:
    """One-sided p-value of "the candidate is worse": P(X >= losses) with X ~ Bin(losses + wins, 1/2).

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157, in its exact binomial form.
    """
    _check(losses, wins, losses + wins)
    return binomial_tail(losses, losses + wins, 0.5)


def tango_z(losses: int, wins: int, pairs: int, margin: float) -> float:
    """Score statistic for "the loss is at least `margin`"; strongly negative means that it is smaller.

    Source: T. Tango, "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17 (1998) 891-908. The Wald form is not used: with
    100 to 200 pairs it passes a candidate that lies exactly at the margin in 11 to 13 % of cases.
    """
    _check(losses, wins, pairs)
    if pairs == 0 or not -1 < margin < 1:
        raise ValueError(f"needs at least one pair and a margin between -1 and 1, not {pairs} and {margin}")
    a = 2.0 * pairs
    b = -losses - wins + (2.0 * pairs - losses + wins) * margin
    c = -wins * margin * (1 - margin)
    win_share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = pairs * (2 * win_share + margin * (1 - margin))
    distance = losses - wins - pairs * margin
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def shows_non_inferiority(losses: int, wins: int, pairs: int, margin: float, alpha: float = 0.05) -> bool:
    """True when the data show, at error rate `alpha`, that the candidate loses less than `margin`."""
    return pairs > 0 and tango_z(losses, wins, pairs, margin) < -_z(alpha)


def largest_loss(losses: int, wins: int, pairs: int, alpha: float = 0.05) -> float:
    """Upper bound of the loss: the smallest margin that these pairs would show (1.0 without pairs)."""
    if pairs == 0:
        return 1.0
    low, high = max(-1 + 1e-9, (losses - wins) / pairs), 1 - 1e-9
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if shows_non_inferiority(losses, wins, pairs, middle, alpha):
            high = middle
        else:
            low = middle
    return high


def smallest_bank(margin: float, alpha: float = 0.05) -> int:
    """Fewest questions that can show "loses less than `margin`", when no answer differs at all.

    From Tango's statistic with no discordant pair, z = -sqrt(n * margin / (1 - margin)).
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin must lie between 0 and 1, not {margin}")
    return math.floor(_z(alpha) ** 2 * (1 - margin) / margin) + 1


def detectable_drop(
    pairs: int, discordant_share: float = 0.1, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true drop that the regression test finds with probability `power`, as a share (1.0: none).

    Solves the usual sample size formula of the paired test for the drop D:
    n = (z_alpha * sqrt(pd) + z_power * sqrt(pd - D^2))^2 / D^2 (R. J. Connor, Biometrics 43 (1987) 207-211).
    A drop cannot exceed the discordant share, so that grows with D where needed.
    """
    if pairs <= 0:
        return 1.0
    z_alpha, z_power = _z(alpha), NormalDist().inv_cdf(power)

    def needed(drop: float) -> float:
        share = max(discordant_share, drop)
        return (
            z_alpha * math.sqrt(share) + z_power * math.sqrt(max(0.0, share - drop * drop))
        ) ** 2 / drop**2

    if needed(1.0) > pairs:
        return 1.0
    low, high = 1e-9, 1.0
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if needed(middle) <= pairs else (middle, high)
    return high


def _z(alpha: float) -> float:
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, not {alpha}")
    return NormalDist().inv_cdf(1 - alpha)


def _check(losses: int, wins: int, pairs: int) -> None:
    if losses < 0 or wins < 0 or losses + wins > pairs:
        raise ValueError(f"losses ({losses}) and wins ({wins}) must not be negative nor exceed {pairs} pairs")
