"""How much slower one thing is than another, from paired blocks of measurements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.statistics.distributions import t_quantile
from tidegate.statistics.percentiles import linear_quantile
from tidegate.statistics.proportions import checked_alpha


@dataclass(frozen=True)
class RatioInterval:
    """Geometric mean of candidate / baseline, and a bound on each side at error rate `alpha`. No unit."""

    ratio: float
    low: float
    high: float
    pairs: int
    alpha: float
    spread: float = 0.0
    """Standard deviation of the log ratios of the pairs, which planning needs; 0 with one pair."""
    is_optimistic: bool = False
    """The bounds are narrower than the truth under load (`block_bootstrap_ratio`): nothing is decided by them."""


def quantile_ratio(
    candidate: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]],
    share: float = 0.5,
    alpha: float = 0.05,
) -> RatioInterval:
    """Ratio of a quantile (0.5 for p50, 0.95 for p95) from alternating blocks (ABBA), pair by pair.

    d_k = ln(Q_share(candidate block k) / Q_share(baseline block k)), then `paired_log_ratio`. Both blocks of a
    pair carry the same prompts, send times and seeds. Each list holds the values of one block, in any unit of
    time. Raises ValueError for unpaired or empty blocks, values of 0 or less, or a share outside 0 to 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    if not all(len(block) and all(value > 0 for value in block) for block in (*candidate, *baseline)):
        raise ValueError("needs at least one value in each block, and positive values only")
    ours, theirs = ([linear_quantile(block, share) for block in blocks] for blocks in (candidate, baseline))
    return paired_log_ratio(ours, theirs, alpha)


def paired_log_ratio(
    candidate: Sequence[float], baseline: Sequence[float], alpha: float = 0.05
) -> RatioInterval:
    """Student's t interval on ln(candidate / baseline) of paired blocks, one value of each per block.

    mean(d) -+ t(1 - alpha, K - 1) sd(d) / sqrt(K) over K pairs, taken back by exp.
    The block is the unit, because requests under load are not independent: with two identical builds at
    80 % utilisation a rank test on single requests sees a difference in 70 % of comparisons, this interval
    in 3 to 7 %. Each bound errs with probability `alpha`; with one pair they are 0 and infinity.
    Source: Student, Biometrika 6 (1908) 1-25, on the logarithms.
    Raises ValueError for unpaired blocks, and for values that are not positive and finite.
    """
    # Loaded here: most who import the room want a proportion or a test of pairs, which need no arrays.
    import numpy as np

    if len(candidate) != len(baseline) or not candidate:
        raise ValueError(
            f"needs as many candidate blocks ({len(candidate)}) as baseline blocks ({len(baseline)})"
        )
    if not all(0 < value < math.inf for value in (*candidate, *baseline)):
        raise ValueError("a ratio needs positive, finite values")
    checked_alpha(alpha)
    logs = np.log(np.asarray(candidate, dtype=float)) - np.log(np.asarray(baseline, dtype=float))
    mean, pairs = float(logs.mean()), len(logs)
    if pairs == 1:
        return RatioInterval(math.exp(mean), 0.0, math.inf, pairs, alpha)
    spread = float(logs.std(ddof=1))
    half = t_quantile(1 - alpha, pairs - 1) * spread / math.sqrt(pairs)
    return RatioInterval(math.exp(mean), math.exp(mean - half), math.exp(mean + half), pairs, alpha, spread)
