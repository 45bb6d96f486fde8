"""Seeded draws for simulations of size and power, and the error that a simulated rate itself has."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tidegate.statistics import log_share_evidence

Flags = NDArray[np.bool_]
Reals = NDArray[np.float64]


def tolerance(rate: float, rounds: int) -> float:
    """Three standard errors of a simulated rate: a sound test exceeds it in one of 700 seeds."""
    return 3 * math.sqrt(rate * (1 - rate) / rounds)


def paired_counts(
    generator: np.random.Generator, rounds: int, pairs: int, drop: float, discordant: float
) -> NDArray[np.int64]:
    """(losses, wins) of each round, for a candidate whose true loss is `drop`."""
    chances = [(discordant + drop) / 2, (discordant - drop) / 2, 1 - discordant]
    return generator.multinomial(pairs, chances, rounds)[:, :2]


def rate_of(counts: NDArray[np.int64], decides: Callable[[int, int], bool]) -> float:
    """Share of the rounds in which `decides`, asked once for each different outcome."""
    outcomes, times = np.unique(counts, axis=0, return_counts=True)
    hits = [bool(decides(*outcome)) for outcome in outcomes.tolist()]
    return float(times[hits].sum() / len(counts))


def paired_paths(
    generator: np.random.Generator, rounds: int, questions: int, drop: float, discordant: float
) -> Reals:
    """Differences -1, 0, 1 question by question, one row a round."""
    roll = generator.random((rounds, questions))
    losing = (discordant + drop) / 2
    return np.where(roll < losing, -1.0, np.where(roll < discordant, 1.0, 0.0))


def stops(log_evidence: Reals, alpha: float = 0.05) -> tuple[float, float]:
    """Share of the rows that ever reach 1 / alpha, and the median length at which they do (of all rows)."""
    reached = log_evidence >= math.log(1 / alpha)
    ever = reached.any(axis=1)
    length = np.where(ever, reached.argmax(axis=1) + 1.0, math.inf)
    return float(ever.mean()), float(np.median(length))


def queue_waits(
    generator: np.random.Generator, runs: int, requests: int, utilisation: float, slots: int = 4
) -> Reals:
    """Time to first token of Poisson requests at a server with `slots`, one row a run; mean service time 1."""
    arrivals = np.cumsum(generator.exponential(1 / (utilisation * slots), (runs, requests)), axis=1)
    service = generator.lognormal(-0.125, 0.5, (runs, requests))
    free_at = np.zeros((runs, slots))
    times = np.empty((runs, requests))
    rows = np.arange(runs)
    for index in range(requests):
        slot = free_at.argmin(axis=1)
        start = np.maximum(arrivals[:, index], free_at[rows, slot])
        free_at[rows, slot] = start + service[:, index]
        times[:, index] = start - arrivals[:, index] + 0.1 * service[:, index]
    return times


def evidence_along(misses: NDArray[np.int64], trials: NDArray[np.int64], allowed: float) -> Reals:
    """`log_share_evidence` of whole paths, computed once for each different outcome."""
    k, n = np.meshgrid(np.arange(misses.max() + 1), np.arange(trials.max() + 1))
    return log_share_evidence(np.minimum(k, n), n, allowed)[trials, misses]
