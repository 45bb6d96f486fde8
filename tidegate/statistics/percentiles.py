"""Percentiles, only where there are samples enough to speak of one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.statistics.distributions import binomial_tails

BEYOND_FOR_AN_INTERVAL = 10
"""Samples expected beyond a percentile before it is stated with an interval: p95 needs 200, p99 1000."""


@dataclass(frozen=True)
class PercentileEstimate:
    """A percentile in the unit of the samples, with the interval that covers the true one."""

    value: float
    low: float
    high: float
    samples: int
    confidence: float


def smallest_sample(share: float, beyond: int = 1) -> int:
    """Samples needed before the quantile at `share` (0.95 for p95) has `beyond` samples expected beyond it.

    ceil(beyond / min(share, 1 - share)). Raises ValueError unless 0 < share < 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    # The rounding keeps 1 / (1 - 0.95) from becoming 21 by floating point.
    return math.ceil(round(beyond / min(share, 1 - share), 9))


def percentile(values: Sequence[float], share: float) -> float | None:
    """Quantile at `share`, linear between samples (type 7 of Hyndman and Fan, The American Statistician 50
    (1996) 361-365); None when there are fewer than `smallest_sample(share)` values. The median needs one.
    For display; what is compared or published carries an interval: `percentile_interval`."""
    needed = 1 if share == 0.5 else smallest_sample(share)
    return linear_quantile(values, share) if len(values) >= needed else None


def linear_quantile(values: Sequence[float], share: float) -> float:
    """Quantile of type 7 of at least one value, as numpy has it, but without its NaN beside infinite values.

    x_(i) + (h - i) (x_(i+1) - x_(i)) with h = (n - 1) share + 1, i = floor(h). Raises ValueError without values.
    """
    if len(values) == 0:
        raise ValueError("needs at least one value")
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    part = position - below
    if part == 0 or ordered[below] == ordered[below + 1]:
        return float(ordered[below])
    return ordered[below] + part * (ordered[below + 1] - ordered[below])


def percentile_interval(
    values: Sequence[float], share: float, confidence: float = 0.95
) -> PercentileEstimate | None:
    """Quantile at `share` with its order-statistic interval; None unless n (1 - share) >= 10.

    With B ~ Bin(n, share) values below the true quantile, the interval runs from the largest rank l with
    P(B < l) <= (1 - confidence) / 2 to the smallest rank u with P(B >= u) <= (1 - confidence) / 2. It covers
    the true quantile at least as often as it says, whatever the distribution, if samples are independent;
    requests under load are not, so it describes one run and compares nothing (`quantile_ratio` does).
    Failures count as +infinity: put `math.inf` among the values for a failure-adjusted tail.
    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd ed. (2003), section 7.1.
    Raises ValueError for NaN, or a share or confidence outside 0 to 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    needed = smallest_sample(share, BEYOND_FOR_AN_INTERVAL)
    if np.isnan(np.asarray(values, dtype=float)).any():
        raise ValueError("NaN is no sample; a failed request is +infinity")
    if len(values) < needed:
        return None
    ordered = sorted(values)
    tails = binomial_tails(len(ordered), share)
    allowed = (1 - confidence) / 2
    lower = int(np.flatnonzero(1 - tails <= allowed)[-1])
    upper = int(np.flatnonzero(tails <= allowed)[0])
    return PercentileEstimate(
        linear_quantile(ordered, share),
        float(ordered[max(lower, 1) - 1]),
        float(ordered[min(upper, len(ordered)) - 1]),
        len(ordered),
        confidence,
    )
