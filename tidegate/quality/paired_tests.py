"""The tests that a decision rests on, on pairs of scores. Pure; each says "inside the margin", "worse", or neither.

A missing answer is counted for the candidate in the test for "worse": a fail must stand whatever it would have been.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.domain import Verdict
from tidegate.quality.pairs import Pair, Pairs
from tidegate.statistics import (
    MeanDifference,
    bet_on_margin,
    clustered_difference,
    first_crossing,
    largest_loss,
    log_capitals,
    log_share_evidence,
    mcnemar_exact,
    paired_bca,
    shows_non_inferiority,
    smallest_bank,
    tango_z,
)

FEWEST_DIFFERING = 10
"""Fewer graded differences than this are near to right/wrong ones, for which t and BCa err."""

MOST_STEPS = 500
MARGIN_STEP = 0.001


@dataclass(frozen=True)
class Rules:
    """How much loss is tolerated, how often a verdict may err, and how the data were looked at."""

    margin: float
    alpha: float = 0.05
    is_sequential: bool = False
    """Looked at while questions were asked: then only tests that allow for this decide."""
    alpha_fail: float | None = None
    """Error rate of the test for "worse" alone, where several are made at once."""
    is_graded: bool = False
    """Scores may be graded, whatever those seen so far are: which test is used must not depend on what was seen."""

    @property
    def fail_rate(self) -> float:
        return self.alpha if self.alpha_fail is None else self.alpha_fail


@dataclass(frozen=True)
class Tested:
    """What one family of tests shows. Losses are shares of all questions, positive when the candidate is worse."""

    method: str
    is_inside: bool
    is_worse: bool
    loss: float
    least_loss: float
    """One-sided bound at alpha; negative: a gain is possible."""
    most_loss: float
    worse_p: float | None
    """p-value of "worse", or 1 / e-value; None where only bounds are known."""
    factor: float
    """So many times these questions would about decide, if they came out as these did; infinity: none would."""
    used: int


def by_counts(pairs: Pairs, rules: Rules) -> Tested:
    """Right and wrong answers of independent questions: Tango's score test and exact McNemar."""
    losses, wins, complete = len(pairs.losses), len(pairs.wins), len(pairs.complete)
    worse_p = mcnemar_exact(losses, wins + pairs.missing)
    factors = [math.inf]
    if (z := tango_z(losses, wins, complete, rules.margin)) < 0:
        factors.append((_z(rules.alpha) / z) ** 2)
    if losses > wins:
        factors.append(_factor_of_counts(losses, wins, rules.fail_rate))
    return Tested(
        "Tango's test and exact McNemar",
        shows_non_inferiority(losses, wins, complete, rules.margin, rules.alpha),
        worse_p <= rules.fail_rate,
        (losses - wins) / complete,
        -largest_loss(wins, losses, complete, rules.alpha),
        largest_loss(losses, wins, complete, rules.alpha),
        worse_p,
        min(factors),
        complete,
    )


def _factor_of_counts(losses: int, wins: int, alpha: float) -> float:
    """So many times these answers until exact McNemar says "worse"; from the normal approximation upward."""
    rough = _z(alpha) ** 2 * (losses + wins) / (losses - wins) ** 2
    first = max(losses, math.floor(losses * rough))
    for more_losses in range(first, first + MOST_STEPS):
        if mcnemar_exact(more_losses, round(more_losses * wins / losses)) <= alpha:
            return more_losses / losses
    return math.inf


def by_means(pairs: Pairs, rules: Rules, *, is_resampled: bool = True) -> Tested:
    """Graded, weighted or clustered scores: bounds of the mean difference.

    Weighted differences are those of w d / max w, whose mean is the weighted one times mean w / max w.
    """
    scale, margin = _scale(pairs), rules.margin
    bounds = _widest_bounds if is_resampled else clustered_difference
    found = bounds(_differences(pairs), _clusters(pairs.complete), rules.alpha)
    worst_case = found
    if pairs.missing or rules.fail_rate != rules.alpha:
        worst_case = bounds(_best_differences(pairs), _clusters(pairs.every), rules.fail_rate)
    mean, low, high = (value / scale for value in (found.mean, found.low, found.high))
    differing = len(pairs.losses) + len(pairs.wins)
    is_sparse = differing < FEWEST_DIFFERING and found.units < smallest_bank(margin, rules.alpha)
    half = max(mean - low, high - mean)
    factors = [(half / (margin + mean)) ** 2 if mean > -margin else math.inf]
    factors.append((half / mean) ** 2 if mean < 0 else math.inf)
    return Tested(
        _told_method(pairs),
        low >= -margin and not is_sparse,
        worst_case.high < 0,
        -mean,
        -high,
        -low,
        None,
        max(min(factors), smallest_bank(margin, rules.alpha) / found.units if is_sparse else 0.0),
        len(pairs.complete),
    )


def by_bets(pairs: Pairs, rules: Rules) -> Tested:
    """Tests that may be looked at after every question: the first decision in the order of asking stands.

    "Inside" is a bet on the margin. "Worse" is the e-value on discordant pairs, for graded scores a bet on 0.
    """
    values, best = _differences(pairs), _best_differences(pairs)
    inside = bet_on_margin(values, rules.margin, rules.alpha)
    is_graded = rules.is_graded or pairs.is_graded
    path = log_capitals(best, 0.0)[1] if is_graded else _discordant_path(best)
    worse_at = first_crossing(path, rules.fail_rate)
    inside_at = inside.used if inside.verdict is Verdict.PASS else None
    decided = [at for at in (inside_at, worse_at) if at is not None]
    used = min(decided, default=len(values))
    bounds = by_means(pairs, rules, is_resampled=False) if is_graded else by_counts(pairs, rules)
    is_worse = worse_at is not None and worse_at == used
    least = -_most_loss([-value for value in values], rules.alpha)
    return Tested(
        "bets on the margin and e-values, looked at after every question",
        inside_at is not None and inside_at == used,
        is_worse,
        bounds.loss,
        max(0.0, least, _least_loss(values, rules.alpha)) if is_worse else least,
        _most_loss(values, rules.alpha),
        math.exp(-max(0.0, float(path[used - 1]))) if used else 1.0,
        bounds.factor,
        used,
    )


def _most_loss(values: list[float], alpha: float) -> float:
    """The smallest margin that a bet has ever shown: a bound that holds however often somebody looked."""
    return _smallest_margin(lambda margin: first_crossing(log_capitals(values, margin)[0], alpha) is not None)


def _least_loss(values: list[float], alpha: float) -> float:
    """The largest margin that the loss was ever shown to be beyond; 0 where there is none."""
    held = _smallest_margin(lambda margin: first_crossing(log_capitals(values, margin)[1], alpha) is None)
    return max(0.0, held - MARGIN_STEP)


def _smallest_margin(holds: Callable[[float], bool]) -> float:
    """From which on it holds, to a tenth of a point; 1 where it never does."""
    low, high = 0, round(1 / MARGIN_STEP)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle * MARGIN_STEP) else (middle + 1, high)
    return min(1.0, low * MARGIN_STEP)


def _discordant_path(differences: list[float]) -> NDArray[np.float64]:
    values = np.asarray(differences)
    return log_share_evidence(np.cumsum(values < 0), np.cumsum(values != 0), 0.5)


def _widest_bounds(values: list[float], clusters: list[str] | None, alpha: float) -> MeanDifference:
    """Over clusters by t. Else the wider of t and BCa: t errs where few answers differ, BCa where questions are few."""
    found = clustered_difference(values, clusters, alpha)
    if clusters is not None:
        return found
    other = paired_bca(values, np.random.default_rng(0), alpha)
    return MeanDifference(
        found.mean, min(found.low, other.low), max(found.high, other.high), found.units, alpha
    )


def _clusters(pairs: Sequence[Pair]) -> list[str] | None:
    names = [pair.cluster for pair in pairs]
    return names if len(set(names)) < len(names) else None


def _differences(pairs: Pairs) -> list[float]:
    """Of the complete pairs, as shares of the heaviest question."""
    heaviest = max(pair.weight for pair in pairs.every)
    return [pair.difference * pair.weight / heaviest for pair in pairs.complete]


def _best_differences(pairs: Pairs) -> list[float]:
    """Of all pairs, with what a missing answer could be at best for the candidate."""
    heaviest = max(pair.weight for pair in pairs.every)
    return [
        (pair.difference if pair.is_complete else 1.0 - (pair.theirs_value or 0.0)) * pair.weight / heaviest
        for pair in pairs.every
    ]


def _scale(pairs: Pairs) -> float:
    """Mean weight as a share of the heaviest: of complete pairs, which is what the mean is over."""
    weights = [pair.weight for pair in pairs.complete]
    heaviest = max(pair.weight for pair in pairs.every)
    return math.fsum(weights) / len(weights) / heaviest


def _told_method(pairs: Pairs) -> str:
    kind = "weighted mean difference" if pairs.is_weighted else "mean difference"
    return f"{kind}, t over clusters" if pairs.has_clusters else f"{kind}, the wider of t and BCa bounds"


def _z(alpha: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - alpha)
