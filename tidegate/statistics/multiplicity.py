"""p-values of several questions asked at once.

Passing needs no correction: all metrics must pass (intersection-union). Failing on any of m metrics is
corrected by Holm; slices that are only shown are corrected by Benjamini and Hochberg.
"""

from collections.abc import Sequence

import numpy as np

from tidegate.statistics.arrays import Reals


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: those at most alpha err, all together, in at most alpha of the cases.

    Sorted upward, p_(i) becomes the largest (m - j + 1) p_(j) with j <= i, at most 1. Holds under any
    dependence. Source: S. Holm, Scand. J. Statist. 6 (1979) 65-70. Raises ValueError for values outside 0 to 1.
    """
    values, order = _sorted(p_values)
    steps = np.arange(len(values), 0, -1)
    return _in_place(np.minimum(1.0, np.maximum.accumulate(values[order] * steps)), order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: among those at most alpha, the expected share of false ones is at most alpha.

    Sorted upward, p_(i) becomes the smallest m p_(j) / j with j >= i, at most 1. For independent or positively
    dependent tests. Source: Y. Benjamini and Y. Hochberg, JRSS B 57 (1995) 289-300.
    Raises ValueError for values outside 0 to 1.
    """
    values, order = _sorted(p_values)
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _in_place(np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1]), order)


def _sorted(p_values: Sequence[float]) -> tuple[Reals, "np.ndarray[tuple[int], np.dtype[np.intp]]"]:
    values = np.asarray(p_values, dtype=float)
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("p-values must lie between 0 and 1")
    return values, np.argsort(values, kind="stable")


def _in_place(adjusted: Reals, order: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> list[float]:
    result = np.empty_like(adjusted)
    result[order] = adjusted
    return result.tolist()
