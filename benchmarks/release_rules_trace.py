"""An hour of requests, and what each of two sets would answer to every one of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HORIZON_S = 3600
MEDIAN_MS, SPREAD = 120.0, 0.4
"""Time to the first token: log-normal, p99 at 300 ms."""

Reals = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Scenario:
    """How the new set differs; None and 1 are "not at all"."""

    name: str
    base_errors: float = 0.005
    errors: float | None = None
    slower: float = 1.0
    empty: float = 0.0

    @property
    def is_harmful(self) -> bool:
        return (self.errors or 0) > self.base_errors + 0.02 or self.slower > 1.25 or self.empty > 0.02


@dataclass(frozen=True)
class Part:
    """A stretch of the trace under one weight: what either set answered."""

    start: int
    end: int
    weight: int
    new_s: Whole
    new_failed: Flags
    new_empty: Flags
    new_ms: Reals
    old_s: Whole
    old_failed: Flags
    old_empty: Flags
    old_ms: Reals
    hurt: int
    """Requests on the new set that the old one would have answered well: failed, empty, or a quarter slower."""


@dataclass(frozen=True)
class Trace:
    """One request an index: second, draws for the way, the failure, the answer and the time."""

    scenario: Scenario
    second: Whole
    way: Reals
    failure: Reals
    answer: Reals
    ms: Reals

    def route(self, start: int, end: int, weight: int) -> Part:
        low, high = np.searchsorted(self.second, [start, end])
        here = slice(int(low), int(high))
        to_new = self.way[here] < weight / 100
        one = self.scenario
        errors = one.base_errors if one.errors is None else one.errors
        second, failure, answer, ms = self.second[here], self.failure[here], self.answer[here], self.ms[here]
        fails, blank, old_fails = failure < errors, answer < one.empty, failure < one.base_errors
        spoiled = (fails & ~old_fails) | blank | (one.slower > 1.25)
        none = np.zeros(int((~to_new).sum()), dtype=bool)
        return Part(
            start, end, weight,
            second[to_new], fails[to_new], blank[to_new], (ms * one.slower)[to_new],
            second[~to_new], old_fails[~to_new], none, ms[~to_new],
            int((spoiled & to_new).sum()),
        )  # fmt: skip


def draw(generator: np.random.Generator, scenario: Scenario, per_s: float) -> Trace:
    second = np.repeat(np.arange(HORIZON_S), generator.poisson(per_s, HORIZON_S))
    n = len(second)
    ms = MEDIAN_MS * np.exp(SPREAD * generator.standard_normal(n))
    return Trace(scenario, second, generator.random(n), generator.random(n), generator.random(n), ms)
