"""Intervals for a share of successes."""

import math
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """Both ends belong to it."""

    low: float
    high: float


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Two-sided score interval of a proportion; sound for few trials and for shares near 0 and 1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    JASA 22 (1927) 209-212. Without trials nothing is known: the whole range 0 to 1.
    """
    if not 0 <= successes <= max(trials, 0):
        raise ValueError(f"successes must lie between 0 and trials ({trials}), not {successes}")
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
