"""Bounds by resampling. The source of chance is passed in, so equal seeds give equal bounds."""

import math
from collections.abc import Sequence

import numpy as np

from tidegate.statistics.arrays import Reals
from tidegate.statistics.distributions import normal_share
from tidegate.statistics.graded import MeanDifference, checked_differences, without_variation
from tidegate.statistics.proportions import checked_alpha, normal_quantile
from tidegate.statistics.ratios import RatioInterval

VALUES_AT_ONCE = 2_000_000
"""Resampled values held in memory at a time."""


def paired_bca(
    differences: Sequence[float],
    generator: np.random.Generator,
    alpha: float = 0.05,
    resamples: int = 4999,
) -> MeanDifference:
    """Bias-corrected and accelerated bootstrap of the mean paired difference, in the unit of the scores.

    Bound p is the quantile Phi(z0 + (z0 + z_p) / (1 - a (z0 + z_p))) of the resampled means, z0 = Phi^-1(share
    of them below the observed mean), a = sum e^3 / (6 (sum e^2)^1.5), e_i = d_i - mean (the jackknife of a
    mean). For skewed scores of independent questions (30 or more); with clusters use `clustered_difference`.
    The question is resampled with both its answers, which is what pairs them.
    Source: B. Efron, JASA 82 (1987) 171-200. `scipy.stats.bootstrap(paired=True)` is the same and agrees, but
    its import costs more than the whole computation. Raises ValueError as `clustered_difference` does.
    """
    values = checked_differences(differences)
    checked_alpha(alpha)
    count, mean = len(values), float(values.mean())
    if np.ptp(values) == 0:
        return without_variation(mean, count, alpha)
    rows = max(1, VALUES_AT_ONCE // count)
    means = np.concatenate(
        [
            values[generator.integers(0, count, (min(rows, resamples - start), count))].mean(axis=1)
            for start in range(0, resamples, rows)
        ]
    )
    errors = values - mean
    acceleration = float((errors**3).sum()) / (6 * float((errors**2).sum()) ** 1.5)
    # Half of the ties: scores of right and wrong give few different means.
    ties = np.abs(means - mean) < 1e-12
    below = float((means[~ties] < mean).sum() + ties.sum() / 2) / resamples
    bias = normal_quantile(min(max(below, 1 / (2 * resamples)), 1 - 1 / (2 * resamples)))
    low, high = (_adjusted(bias, acceleration, share) for share in (alpha, 1 - alpha))
    bounds = np.quantile(means, [low, high])
    return MeanDifference(mean, float(bounds[0]), float(bounds[1]), count, alpha)


def block_bootstrap_ratio(
    candidate: Sequence[float],
    baseline: Sequence[float],
    share: float,
    generator: np.random.Generator,
    alpha: float = 0.05,
    resamples: int = 999,
) -> RatioInterval:
    """Ratio of a quantile between two single runs, by the circular block bootstrap; flagged optimistic.

    For imported results only, where there is one long run per arm. Values in the order of time; each run is
    rebuilt from blocks of length L = 3 n^(1/3) that start anywhere and wrap around; the bounds are quantiles
    of ln(Q_share(candidate*) / Q_share(baseline*)). At 80 % utilisation it errs in 18 to 30 % of cases, at 90 %
    in up to 51 % instead of 5 %, because a queue remembers longer than a block: so `is_optimistic` is set, and
    `judge_ratio` never decides by it. Measure alternating blocks and use `quantile_ratio` instead.
    Source: D. N. Politis and J. P. Romano, in: Exploring the Limits of Bootstrap (1992) 263-270.
    Raises ValueError for values of 0 or less, fewer than 20 of them, or a share outside 0 to 1.
    """
    runs = [np.asarray(run, dtype=float) for run in (candidate, baseline)]
    checked_alpha(alpha)
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    if min(map(len, runs)) < 20 or not all(np.all(run > 0) for run in runs):
        raise ValueError("needs at least 20 positive values of each run")
    ours, theirs = (np.log(_circular_quantiles(run, share, generator, resamples)) for run in runs)
    low, high = np.quantile(ours - theirs, [alpha, 1 - alpha])
    observed = float(np.quantile(runs[0], share) / np.quantile(runs[1], share))
    shorter = min(map(len, runs))
    blocks = math.ceil(shorter / _block_length(shorter))
    return RatioInterval(
        observed, math.exp(float(low)), math.exp(float(high)), blocks, alpha, is_optimistic=True
    )


def _circular_quantiles(run: Reals, share: float, generator: np.random.Generator, resamples: int) -> Reals:
    count, length = len(run), _block_length(len(run))
    blocks = math.ceil(count / length)
    rows = max(1, VALUES_AT_ONCE // count)
    found: list[Reals] = []
    for start in range(0, resamples, rows):
        starts = generator.integers(0, count, (min(rows, resamples - start), blocks, 1))
        places = (starts + np.arange(length)) % count
        drawn = run[places.reshape(len(starts), -1)[:, :count]]
        found.append(np.asarray(np.quantile(drawn, share, axis=1), dtype=float))
    return np.concatenate(found)


def _block_length(count: int) -> int:
    return min(count, math.ceil(3 * count ** (1 / 3)))


def _adjusted(bias: float, acceleration: float, share: float) -> float:
    shifted = bias + normal_quantile(share)
    return normal_share(bias + shifted / (1 - acceleration * shifted))
