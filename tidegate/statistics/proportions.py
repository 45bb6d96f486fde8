"""Intervals and tests for a share of successes (or of misses)."""

import math
from statistics import NormalDist
from typing import NamedTuple

from tidegate.statistics.distributions import binomial_tail


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Two-sided score interval of a proportion; sound for few trials and for shares near 0 and 1.

    All p with |k/n - p| <= z sqrt(p (1 - p) / n). For a one-sided bound at error rate alpha take the end
    of the interval with confidence 1 - 2 alpha. The Wald interval is not used: at 0 of n it has no width.
    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927) 209-212. Without trials nothing is known: the whole range 0 to 1.
    Raises ValueError for impossible counts or a confidence outside 0 to 1.
    """
    _check(successes, trials)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    if trials == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    widening = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / widening
    half = z / widening * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Rounding must not leave the observed share outside its own interval at 0 and 1.
    return Interval(min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def share_p_value(misses: int, trials: int, allowed: float) -> float:
    """Exact one-sided p-value of "more than `allowed` miss": P(X >= misses) with X ~ Bin(trials, allowed).

    Example: the limit of a p95 is broken when more than 5 % of all requests are above it; 6 of 48 prove it
    (p = 0.034), 3 of 48 do not (p = 0.43), although the p95 of those 48 is above the limit.
    Source: C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404-413. For one look at a fixed number of
    trials; `share_e_value` may be looked at after every trial. Raises ValueError for impossible counts.
    """
    _check(misses, trials)
    if not 0 <= allowed <= 1:
        raise ValueError(f"an allowed share must lie between 0 and 1, not {allowed}")
    return binomial_tail(misses, trials, allowed)


def _check(successes: int, trials: int) -> None:
    if not 0 <= successes <= max(trials, 0):
        raise ValueError(f"successes must lie between 0 and trials ({trials}), not {successes}")


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution; 1.645 at 0.95. Raises ValueError outside 0 to 1."""
    if not 0 < probability < 1:
        raise ValueError(f"a probability must lie between 0 and 1, not {probability}")
    return NormalDist().inv_cdf(probability)


def one_sided_z(alpha: float) -> float:
    """How many standard errors a one-sided bound at error rate `alpha` lies away; 1.645 at 0.05."""
    return normal_quantile(1 - checked_alpha(alpha))


def checked_alpha(alpha: float) -> float:
    """The error rate itself; raises ValueError unless 0 < alpha < 1/2."""
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha must lie between 0 and 0.5, not {alpha}")
    return alpha
