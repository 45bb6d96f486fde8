"""Two sets at the same moments: is the new one's share of events inside a margin of the old one's, or beyond it?

Requests come in blocks: the same seconds of both sets. The e-value of one block is the likelihood of its counts under
an alternative that was fixed before the block, over their likelihood under the closest pair of shares (p, q) that the
hypothesis allows: the smallest n_old KL(p' || p) + n_new KL(q' || q). With c = (p' - p) / (p (1 - p)) of either set its
mean is the product of 1 + c (true share - p) over all requests, and the sum of their logarithms is at most
sum c (true share - p), which is at most 0 for every pair in a convex hypothesis, because the projection is where the
first derivative points out of it. So the product over blocks is a capital that reaches 1 / alpha with a chance of at
most alpha, at whatever time somebody looks. Shares may drift from block to block, and differ between the requests of a
block: only the means of each block enter. Requests of one block are taken as independent, given the block.
Sources: R. Turner, A. Ly, P. Gruenwald, "Generic E-variables for exact sequential k-sample tests", JSPI 230 (2024)
106116; R. Turner, P. Gruenwald, Statistics and Probability Letters 198 (2023) 109835. The closest pair on the line
q = p + gap is the root of a cubic: O. Miettinen, M. Nurminen, Statistics in Medicine 4 (1985) 213-226.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

MEMORY = 400.0
"""Requests of the new set over which the bet on harm forgets: harm that begins late is seen as fast as early harm."""
FEW_OLD, FEW_NEW = 50.0, 5.0
"""Requests that the first guess counts as: half an event in 50 of the old set, in 5 of the new one."""
SHRINKAGE = 100.0
"""Requests that "both are equal" counts as, before the observed shares outweigh it."""
EDGE = 1e-9


class RateBlock(NamedTuple):
    """Events of requests of both sets in the same seconds. `is_whole` is False when some requests were not measured."""

    old_events: float
    old: float
    new_events: float
    new: float
    is_whole: bool = True


@dataclass(frozen=True)
class Paths:
    """Logarithms of both capitals after each block."""

    beyond: tuple[float, ...]
    within: tuple[float, ...]


def closest_pair(p: float, q: float, old: float, new: float, gap: float) -> tuple[float, float]:
    """The shares (x, x + gap) with the smallest old KL(p || x) + new KL(q || x + gap)."""
    if gap < 0:
        y, x = closest_pair(q, p, new, old, -gap)
        return x, y
    total, events = old + new, old * p + new * q
    a2 = (new + 2 * old) * gap - total - events
    a1 = (old * gap - total - 2 * old * p) * gap + events
    a0 = old * p * gap * (1 - gap)
    third = a2 / (3 * total)
    width = math.sqrt(max(third * third - a1 / (3 * total), EDGE * EDGE))
    bend = third**3 - a1 * a2 / (6 * total * total) + a0 / (2 * total)
    width = math.copysign(width, bend)
    angle = (math.pi + math.acos(max(-1.0, min(1.0, bend / width**3)))) / 3
    x = min(max(2 * width * math.cos(angle) - third, EDGE), 1 - gap - EDGE)
    return x, x + gap


def log_ratio(events: float, trials: float, chosen: float, null: float) -> float:
    """Logarithm of the likelihood of these counts under one share over that under another."""
    return events * math.log(chosen / null) + (trials - events) * math.log((1 - chosen) / (1 - null))


def block_evidence(block: RateBlock, p: float, q: float, gap: float) -> float:
    """Logarithm of one block's e-value for the alternative (p, q) against the line q = p + gap."""
    x, y = closest_pair(p, q, block.old, block.new, gap)
    return log_ratio(block.old_events, block.old, p, x) + log_ratio(block.new_events, block.new, q, y)


def rate_paths(blocks: Iterable[RateBlock], margin: float, *, both_ways: bool = False) -> Paths:
    """Capitals of "beyond the margin" and of "within it" after each block, in order of time.

    beyond: against q <= p + margin (`both_ways`: against |q - p| <= margin), the mean of two gamblers. One bets on
    twice the margin or more, the other on what the last requests showed, and only when that is harm.
    within: against q >= p + margin; `both_ways`: the smaller of that and of its mirror image, since both must fall.
    A block in which one of the sets has no request is no evidence.
    """
    teller = _Teller(margin, both_ways)
    beyond: list[float] = []
    within: list[float] = []
    for block in blocks:
        teller.see(block)
        beyond.append(teller.beyond)
        within.append(teller.within)
    return Paths(tuple(beyond), tuple(within))


class _Teller:
    """The running capitals and what earlier blocks showed."""

    def __init__(self, margin: float, both_ways: bool) -> None:
        self._margin, self._both_ways = margin, both_ways
        self._all = [0.0] * 4
        self._recent = [0.0] * 4
        self._planned = self._adaptive = 0.0
        self._inside = [0.0, 0.0]

    @property
    def beyond(self) -> float:
        return log_sum(self._planned, self._adaptive) - math.log(2)

    @property
    def within(self) -> float:
        return min(self._inside) if self._both_ways else self._inside[0]

    def see(self, block: RateBlock) -> None:
        if block.old > 0 and block.new > 0:
            self._planned += self._bet_on_harm(block, self._all, twice=True)
            self._adaptive += self._bet_on_harm(block, self._recent, twice=False)
            if block.is_whole:
                self._bet_on_health(block)
        kept = math.exp(-block.new / MEMORY)
        counts = block[:4]
        self._all = [total + one for total, one in zip(self._all, counts, strict=True)]
        self._recent = [kept * total + one for total, one in zip(self._recent, counts, strict=True)]

    def _bet_on_harm(self, block: RateBlock, seen: list[float], *, twice: bool) -> float:
        p = (seen[0] + 0.5) / (seen[1] + FEW_OLD)
        q = (seen[2] + 0.5) / (seen[3] + FEW_NEW)
        if twice:
            q = max(q, p + 2 * self._margin)
        q = min(q, 1 - EDGE)
        if q > p + self._margin:
            return block_evidence(block, p, q, self._margin)
        if self._both_ways and q < p - self._margin:
            return block_evidence(block, p, q, -self._margin)
        return 0.0

    def _bet_on_health(self, block: RateBlock) -> None:
        old_events, old, new_events, new = self._all
        mean = (old_events + new_events + 0.5) / (old + new + FEW_OLD)
        p = (old_events + SHRINKAGE * mean) / (old + SHRINKAGE)
        q = (new_events + SHRINKAGE * mean) / (new + SHRINKAGE)
        if q - p < self._margin:
            self._inside[0] += block_evidence(block, p, q, self._margin)
        if self._both_ways and p - q < self._margin:
            self._inside[1] += block_evidence(block, p, q, -self._margin)


def limit_paths(blocks: Iterable[tuple[float, float, bool]], limit: float) -> Paths:
    """The same against one fixed share: (events, requests, is_whole) of the new set, and no old set beside it."""
    events = trials = recent_events = recent = 0.0
    planned = adaptive = inside = 0.0
    beyond: list[float] = []
    within: list[float] = []
    for block_events, block_trials, is_whole in blocks:
        hoped = (events + SHRINKAGE * min(0.01, limit / 2)) / (trials + SHRINKAGE)
        feared = max((events + 0.5) / (trials + FEW_NEW), min(2 * limit, (1 + limit) / 2))
        latest = (recent_events + 0.5) / (recent + FEW_NEW)
        planned += log_ratio(block_events, block_trials, min(feared, 1 - EDGE), limit)
        if latest > limit:
            adaptive += log_ratio(block_events, block_trials, min(latest, 1 - EDGE), limit)
        if is_whole and hoped < limit:
            inside += log_ratio(block_events, block_trials, hoped, limit)
        kept = math.exp(-block_trials / MEMORY)
        events, trials = events + block_events, trials + block_trials
        recent_events, recent = kept * recent_events + block_events, kept * recent + block_trials
        beyond.append(log_sum(planned, adaptive) - math.log(2))
        within.append(inside)
    return Paths(tuple(beyond), tuple(within))


def log_sum(a: float, b: float) -> float:
    """Logarithm of exp(a) + exp(b)."""
    top = max(a, b)
    return top + math.log1p(math.exp(min(a, b) - top))


def requests_until_within(margin: float, share: float, old_per_new: float, needed: float) -> float:
    """Requests of the new set after which equal sets have gained `needed` (a logarithm) of "within the margin".

    `needed` over the mean gain of one request when both shares are `share` (A. Wald, Sequential Analysis, 1947, of the
    mean length of a sequential test), learning the shares not counted.
    """
    p = min(max(share, EDGE), 1 - EDGE)
    x, y = closest_pair(p, p, old_per_new, 1.0, margin)
    gain = old_per_new * log_ratio(p, 1.0, p, x) + log_ratio(p, 1.0, p, y)
    return needed / gain
