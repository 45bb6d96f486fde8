"""Tests on paired right/wrong answers: the same questions put to two models.

`losses` are questions that the baseline had right and the candidate has wrong, `wins` the reverse,
`pairs` all questions answered by both. The difference is always losses minus wins, as a share of pairs.
"""

import math

from tidegate.statistics.distributions import binomial_tail
from tidegate.statistics.proportions import Interval, one_sided_z

BISECTION_STEPS = 60


def mcnemar_exact(losses: int, wins: int) -> float:
    """One-sided p-value of "the candidate is worse": P(X >= losses) with X ~ Bin(losses + wins, 1/2).

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157, in its exact binomial form. For one look at the end;
    `discordant_e_value` may be looked at after every question. Raises ValueError for negative counts.
    """
    _check(losses, wins, losses + wins)
    return binomial_tail(losses, losses + wins, 0.5)


def tango_z(losses: int, wins: int, pairs: int, margin: float) -> float:
    """Score statistic for "the loss is at least `margin`"; strongly negative means that it is smaller.

    z = (b - c - nM) / sqrt(n (2q + M (1 - M))) with b losses, c wins, n pairs, margin M (a share, not points);
    q = (sqrt(B^2 - 4AC) - B) / (2A), the most likely share of wins if the loss were M; A = 2n,
    B = -b - c + (2n - b + c) M, C = -cM (1 - M).
    Source: T. Tango, "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17 (1998) 891-908. The Wald form is not used: with
    100 to 200 pairs it passes a candidate that lies exactly at the margin in 11 to 13 % of cases.
    Raises ValueError without pairs, for impossible counts, or a margin outside -1 to 1.
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
    return pairs > 0 and tango_z(losses, wins, pairs, margin) < -one_sided_z(alpha)


def largest_loss(losses: int, wins: int, pairs: int, alpha: float = 0.05) -> float:
    """Upper bound of the loss: the smallest margin that these pairs would show (1.0 without pairs)."""
    if pairs == 0:
        return 1.0
    _check(losses, wins, pairs)
    low, high = max(-1 + 1e-9, (losses - wins) / pairs), 1 - 1e-9
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2
        if shows_non_inferiority(losses, wins, pairs, middle, alpha):
            high = middle
        else:
            low = middle
    return high


def tango_interval(losses: int, wins: int, pairs: int, confidence: float = 0.95) -> Interval:
    """Two-sided score interval of the loss, in shares of all pairs: the margins that `tango_z` does not refute.

    Both ends are one-sided bounds at (1 - confidence) / 2. Source: as `tango_z`. Without pairs: -1 to 1.
    Raises ValueError for impossible counts or a confidence outside 0 to 1.
    """
    alpha = (1 - confidence) / 2
    if pairs == 0:
        return Interval(-1.0, 1.0)
    # A win seen from the other side is a loss.
    return Interval(-largest_loss(wins, losses, pairs, alpha), largest_loss(losses, wins, pairs, alpha))


def _check(losses: int, wins: int, pairs: int) -> None:
    if losses < 0 or wins < 0 or losses + wins > pairs:
        raise ValueError(f"losses ({losses}) and wins ({wins}) must not be negative nor exceed {pairs} pairs")
