"""Ratios of two runs that were taken one after the other, not side by side.

In alternating blocks a slow change of the machine hits both arms. In runs of other times it does not: neighbouring
pairs are then off in the same direction, and Student's t takes them for independent. What they have in common is
measured by the correlation of neighbouring pairs, and the interval is widened by it. A change that came between the
runs and stayed for all of one cannot be seen at all; the comparison says so.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tidegate.statistics import RatioInterval

MOST_PERSISTENCE = 0.9
NO_SPREAD = 1e-18
"""Below it what differs is rounding."""


def persistence(log_ratios: Sequence[float]) -> float:
    """Correlation of neighbouring pairs, 0 to 0.9: r + (1 + 4 r) / n, as the plain estimate of few is too small.

    Source: M. G. Kendall, Biometrika 41 (1954) 403-404.
    """
    count = len(log_ratios)
    mean = math.fsum(log_ratios) / count
    parts = [value - mean for value in log_ratios]
    total = math.fsum(part * part for part in parts)
    if count < 3 or total < NO_SPREAD:
        return 0.0
    found = math.fsum(one * other for one, other in pairwise(parts)) / total
    return min(MOST_PERSISTENCE, max(0.0, found + (1 + 4 * found) / count))


def widened(found: RatioInterval, shared: float) -> RatioInterval:
    """The interval for n (1 - r) / (1 + r) independent pairs instead of n (first-order autoregression).

    Source: G. V. Bayley and J. M. Hammersley, Suppl. JRSS 8 (1946) 184-197.
    """
    factor = math.sqrt((1 + shared) / (1 - shared))
    low, high = (
        found.ratio * (bound / found.ratio) ** factor if 0 < bound < math.inf else bound
        for bound in (found.low, found.high)
    )
    return replace(found, low=low, high=high, spread=found.spread * factor)
