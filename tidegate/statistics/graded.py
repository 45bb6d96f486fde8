"""Mean difference of graded scores, paired by question, with or without clusters of related questions."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tidegate.statistics.arrays import Reals
from tidegate.statistics.distributions import t_quantile
from tidegate.statistics.proportions import checked_alpha

SMALLEST_ERROR = 1e-12
"""A standard error below it is rounding: the units do not vary."""

Unit = TypeVar("Unit", bound=Hashable)


@dataclass(frozen=True)
class MeanDifference:
    """Mean of candidate minus baseline in the unit of the scores; each bound errs with probability `alpha`."""

    mean: float
    low: float
    high: float
    units: int
    """Clusters where there are any, else questions: what the bounds count as independent."""
    alpha: float


def unit_means(units: Sequence[Unit], values: Sequence[float]) -> dict[Unit, float]:
    """Mean of the values of each unit, in order of first appearance.

    Several samples of one question are averaged first: the question is the unit, not the sample.
    Raises ValueError for sequences of different lengths.
    """
    gathered: dict[Unit, list[float]] = {}
    for unit, value in zip(units, values, strict=True):
        gathered.setdefault(unit, []).append(value)
    return {unit: math.fsum(found) / len(found) for unit, found in gathered.items()}


def clustered_difference(
    differences: Sequence[float], clusters: Sequence[Hashable] | None = None, alpha: float = 0.05
) -> MeanDifference:
    """Interval by Student's t that counts questions of one cluster (document, template) as related.

    With residual sums u_g = sum over cluster g of (d_i - mean), standard error = sqrt(G / (G - 1) sum u_g^2) / n
    and the t distribution with G - 1 degrees of freedom. Without clusters each question is one, and this is
    Student's paired interval. With 10 clusters of 20 questions and an intraclass correlation of 0.3 the
    paired interval errs in 36 % of cases, this one in 5 %.
    `differences` lie in -1 to 1 (scores in 0 to 1). A single unit bounds nothing (-1 to 1), and units that all
    differ alike are bounded as `without_variation` says. For right/wrong answers it is the wrong tool: of 60
    questions it would pass a candidate that truly loses the margin of 5 points in 19 % of cases (`tango_z`: 5).
    Source: K.-Y. Liang and S. L. Zeger, Biometrika 73 (1986) 13-22; A. C. Cameron and D. L. Miller, Journal of
    Human Resources 50 (2015) 317-372, for the correction and the degrees of freedom.
    Raises ValueError without differences, outside -1 to 1, when a cluster is missing, or for a wrong alpha.
    """
    values = checked_differences(differences)
    names = list(range(len(values))) if clusters is None else list(clusters)
    if len(names) != len(values):
        raise ValueError(f"needs a cluster for each of {len(values)} differences, not {len(names)}")
    index = {name: position for position, name in enumerate(dict.fromkeys(names))}
    units, mean = len(index), float(values.mean())
    checked_alpha(alpha)
    if units == 1:
        return MeanDifference(mean, -1.0, 1.0, units, alpha)
    sums = np.bincount([index[name] for name in names], weights=values - mean)
    error = math.sqrt(units / (units - 1) * float(sums @ sums)) / len(values)
    if error < SMALLEST_ERROR:
        return without_variation(mean, units, alpha)
    half = t_quantile(1 - alpha, units - 1) * error
    return MeanDifference(mean, max(-1.0, mean - half), min(1.0, mean + half), units, alpha)


def without_variation(mean: float, units: int, alpha: float) -> MeanDifference:
    """Bounds when every unit differs by the same amount, where a t interval would have no width at all.

    At most a share s = 1 - alpha^(1 / units) of all questions can behave otherwise unseen, and they could be
    as far off as -1 or 1. So three equal answers prove nothing, and 59 prove a margin of 5 points.
    Source: the exact binomial bound of zero in n (Clopper and Pearson 1934).
    """
    unseen = 1 - alpha ** (1 / units)
    return MeanDifference(mean, mean * (1 - unseen) - unseen, mean * (1 - unseen) + unseen, units, alpha)


def checked_differences(differences: Sequence[float]) -> Reals:
    """As an array; raises ValueError when there are none or one lies outside -1 to 1."""
    values = np.asarray(differences, dtype=float)
    if len(values) == 0 or not np.all(np.abs(values) <= 1):
        raise ValueError("needs differences of scores, each between -1 and 1")
    return values
