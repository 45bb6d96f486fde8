"""Bounds of a mean whose values come in clusters and are skewed: Student's t resampled instead of assumed."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from tidegate.statistics.arrays import Reals
from tidegate.statistics.proportions import checked_alpha

SMALLEST_CLUSTERS = 6
"""With fewer, most resamples repeat one cluster, and the resampled t says nothing."""
CELLS_AT_ONCE = 2_000_000
LARGEST_LOG_FACTOR = 7.0
"""A bound more than a thousand times the mean says only that there is none."""


@dataclass(frozen=True)
class ClusterMean:
    """Mean over all values; each bound errs with probability `alpha`, the cluster being the unit."""

    mean: float
    low: float
    high: float
    clusters: int
    alpha: float


def cluster_mean(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    generator: np.random.Generator,
    alpha: float = 0.05,
    resamples: int = 999,
    *,
    is_positive: bool = False,
) -> ClusterMean | None:
    """Bootstrap-t over whole clusters; None where it cannot say anything: few clusters, or no variation.

    With sums S_g and counts n_g of the clusters, m = sum S / sum n, and the error that counts clusters as units,
    e = sqrt(G / (G - 1) sum (S_g - m n_g)^2) / sum n. Each resample of G clusters gives t* = (m* - m) / e*; the
    bounds are m - t*_(1-alpha) e and m - t*_(alpha) e. `is_positive` does the same for ln m with the error e / m, for
    quantities that cannot be negative (divergences, likelihoods): their means are skewed to the right.
    For log-normal means of texts (sigma 0.6) the upper bound of Student's t is too low in 12, 11 and 9 % of cases
    with 10, 20 and 58 texts instead of 5; this one in 9, 7 and 6.5 %. When 15 % of the texts have eight times the
    divergence of the others: 3 % with 58 texts, 8 % with 20.
    Source: P. Hall, Annals of Statistics 16 (1988) 927-953; whole clusters and their t: A. C. Cameron, J. B. Gelbach
    and D. L. Miller, Review of Economics and Statistics 90 (2008) 414-427.
    Raises ValueError without values, when a cluster is missing, or for a negative mean that must be positive.
    """
    checked_alpha(alpha)
    data = np.asarray(values, dtype=float)
    if len(data) == 0 or len(data) != len(clusters):
        raise ValueError("needs values, and a cluster for each")
    index = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    places = [index[name] for name in clusters]
    sums = np.bincount(places, weights=data).astype(float)
    counts = np.bincount(places).astype(float)
    mean, error = (float(one[0]) for one in _means(sums[None, :], counts[None, :]))
    if is_positive and mean < 0:
        raise ValueError(f"a mean of {mean} is not positive")
    if len(sums) < SMALLEST_CLUSTERS or error <= 1e-9 * abs(mean) or error == 0:
        return None
    rows = max(1, CELLS_AT_ONCE // len(sums))
    parts = [
        _statistics(sums, counts, mean, generator.integers(0, len(sums), (min(rows, resamples - first), len(sums))),
                    is_positive=is_positive)
        for first in range(0, resamples, rows)
    ]  # fmt: skip
    quantiles = np.quantile(np.concatenate(parts), [alpha, 1 - alpha], method="inverted_cdf")
    low, high = float(quantiles[0]), float(quantiles[1])
    if not is_positive and not math.isfinite(high - low):
        return None
    if not is_positive:
        return ClusterMean(mean, mean - high * error, mean - low * error, len(sums), alpha)
    relative = error / mean
    factors = (max(-high * relative, -LARGEST_LOG_FACTOR), min(-low * relative, LARGEST_LOG_FACTOR))
    return ClusterMean(mean, mean * math.exp(factors[0]), mean * math.exp(factors[1]), len(sums), alpha)


def _means(sums: Reals, counts: Reals) -> tuple[Reals, Reals]:
    """Mean and its error of each row of clusters."""
    total = counts.sum(axis=1)
    means = sums.sum(axis=1) / total
    residuals = sums - means[:, None] * counts
    clusters = sums.shape[1]
    scale = clusters / (clusters - 1) if clusters > 1 else 1.0
    return means, np.sqrt(scale * (residuals**2).sum(axis=1)) / total


def _statistics(
    sums: Reals,
    counts: Reals,
    mean: float,
    drawn: "np.ndarray[tuple[int, int], np.dtype[np.int64]]",
    *,
    is_positive: bool,
) -> Reals:
    means, errors = _means(sums[drawn], counts[drawn])
    # A resample of clusters that all agree has no error: it lies infinitely many of them away from the mean, and is
    # kept so. Where that is common, nothing bounds the mean: what was seen hangs on a few clusters.
    found = np.where(means < mean, -np.inf, np.inf)
    is_usable = errors > 1e-9 * np.abs(mean)
    means, errors = means[is_usable], errors[is_usable]
    found[is_usable] = (np.log(means / mean) * means if is_positive else means - mean) / errors
    return found
