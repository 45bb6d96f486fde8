"""Has a series of nights changed its level? Rank tests, so that one odd night cannot decide."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tidegate.statistics.arrays import Reals

ARRANGEMENTS = 1999
"""Random orders that a series is compared with; the smallest p-value is one in (ARRANGEMENTS + 1)."""
MOST_VALUES = 1000


class ChangePoint(NamedTuple):
    """The place where a series most likely went up, and how surprising that is if nothing changed."""

    place: int
    """First value of the new level."""
    p_value: float
    before: float
    """Median of the values before `place`."""
    after: float


def rise(values: Sequence[float], generator: np.random.Generator) -> ChangePoint:
    """Find the most likely single rise of a series. For a fall, give the negative values.

    Pettitt's statistic K+ = max over t of sum_{i <= t < j} sign(x_j - x_i); the p-value is the share of random
    orders of the same values that reach it, (1 + reached) / (1 + orders), which is exact whatever the law of
    the values, ties included, as long as the nights are exchangeable while nothing changes. Pettitt's own
    formula exp(-6 K^2 / (n^3 + n^2)) is for long series; here twenty nights are many.
    Looked at again every night, the chance of a false alarm adds up: see `benchmarks/evidence_simulation.py`.
    Source: A. N. Pettitt, Applied Statistics 28 (1979) 126-135.
    Raises ValueError for fewer than 4 or more than 1000 values, or one that is not finite.
    """
    series = np.asarray(values, dtype=float)
    if not 4 <= len(series) <= MOST_VALUES or not np.all(np.isfinite(series)):
        raise ValueError(f"needs 4 to {MOST_VALUES} finite values, not {len(series)}")
    ranks = _centred_ranks(series)
    sums = _sums_behind(ranks[np.newaxis, :])[0]
    place, largest = int(np.argmax(sums)) + 1, float(sums.max())
    orders = generator.permuted(np.tile(ranks, (ARRANGEMENTS, 1)), axis=1)
    # A sum of half ranks is exact, so "reaches" needs no tolerance.
    reached = int(np.count_nonzero(_sums_behind(orders).max(axis=1) >= largest))
    return ChangePoint(
        place,
        (1 + reached) / (1 + ARRANGEMENTS),
        float(np.median(series[:place])),
        float(np.median(series[place:])),
    )


def _centred_ranks(series: Reals) -> Reals:
    """For each value the number of smaller ones minus the number of larger ones: ranks without ties' arbitrariness."""
    ordered = np.sort(series)
    smaller = np.searchsorted(ordered, series, side="left")
    larger = len(series) - np.searchsorted(ordered, series, side="right")
    return np.asarray(smaller - larger, dtype=float)


def _sums_behind(rows: Reals) -> Reals:
    """For each place t the sum of centred ranks behind it, which equals sum_{i <= t < j} sign(x_j - x_i).

    Pairs within either side cancel, and so do all centred ranks together: the sum behind is minus that before.
    """
    return -np.cumsum(rows, axis=1)[:, :-1]
