"""How strong the evidence on one metric is: for harm, and for being inside the margin. Pure.

Clients' requests and our own probes are compared each with their like. Harm may show in either: the chance of error is
shared, most of it to the clients. For "inside the margin" the evidence of both is multiplied.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tidegate.domain import LiveBatch
from tidegate.domain.policy import LivePolicy
from tidegate.release.live.blocks import Block, Stratum, blocks_of
from tidegate.release.live.metrics import ANSWER_FAULTS, Rate, Size
from tidegate.statistics import wilson_interval
from tidegate.statistics.block_signs import MEMORY_BLOCKS, sign_path
from tidegate.statistics.concurrent import RateBlock, limit_paths, rate_paths

CLIENTS_SHARE = 0.9
"""Share of alpha that clients' requests get; probes have the rest."""
ENOUGH_BEFORE = 30
"""Requests of the old set that say what was usual."""
Step = tuple[int, float]
"""Second in which a block ended, and the logarithm of the capital then."""


@dataclass(frozen=True)
class Strength:
    """Logarithms of e-values: the highest that were ever reached, which is what a look may use."""

    beyond: float = 0.0
    """For harm, the share of alpha of its source already taken off."""
    within: float = 0.0
    within_now: float = 0.0
    blocks: int = 0
    limits: tuple[str, ...] = ()
    """What it was compared with where no old set answered at the same moments."""


@dataclass
class _Sum:
    """Evidence of clients' requests and of probes, put together."""

    beyond: float = 0.0
    within: list[tuple[Step, ...]] = field(default_factory=list[tuple[Step, ...]])
    limits: list[str] = field(default_factory=list[str])

    def add(
        self, ends: Sequence[int], beyond: Sequence[float], within: Sequence[float], *, is_probe: bool
    ) -> None:
        share = 1 - CLIENTS_SHARE if is_probe else CLIENTS_SHARE
        self.beyond = max(self.beyond, max(beyond, default=0.0) + math.log(share))
        self.within.append(tuple(zip(ends, within, strict=True)))

    def strength(self) -> Strength:
        steps = sorted(
            (end, value - before)
            for path in self.within
            for (end, value), before in zip(path, (0.0, *(value for _, value in path)), strict=False)
        )
        highest = total = 0.0
        for _, gain in steps:
            total += gain
            highest = max(highest, total)
        return Strength(self.beyond, highest, total, len(steps), tuple(self.limits))


@dataclass(frozen=True)
class Sources:
    """Where the evidence on a slice comes from. `may_use_before`: no old set carries live traffic now, and what it did
    before, or the policy's own limit, is what a share is compared with."""

    clients: Stratum
    probes: Stratum
    may_use_before: bool

    @property
    def all(self) -> tuple[tuple[Stratum, bool], ...]:
        return (self.clients, False), (self.probes, True)


def rate_strength(rate: Rate, margin: float, sources: Sources, policy: LivePolicy) -> Strength:
    found = _Sum()
    for source, is_probe in sources.all:

        def trials(batch: LiveBatch) -> float:
            return rate.count(batch)[1]

        if source.is_concurrent:
            blocks = blocks_of(source.seconds, trials)
            paths = rate_paths((_counts(rate, block) for block in blocks), margin, both_ways=rate.both_ways)
        elif sources.may_use_before and (limit := _limit(rate, margin, source.before, policy)) is not None:
            blocks = blocks_of(source.seconds, trials, is_paired=False)
            paths = limit_paths(((*rate.total(block.new), block.is_whole) for block in blocks), limit)
            found.limits += [f"a limit of {limit:.1%}"] if blocks else []
        else:
            continue
        found.add([block.ends for block in blocks], paths.beyond, paths.within, is_probe=is_probe)
    return found.strength()


def size_strengths(size: Size, margin: float, sources: Sources) -> list[Strength]:
    """One for larger values; where the metric has two sides, another for smaller ones."""
    directions = (True, False) if size.both_ways else (True,)
    sums = [_Sum() for _ in directions]
    for source, is_probe in sources.all:
        is_paired = source.is_concurrent
        usual = None if is_paired else _usual(size, source.before)
        if not is_paired and (usual is None or not sources.may_use_before):
            continue
        blocks = blocks_of(source.seconds, size.n, size.need, is_paired=is_paired)
        ends = [block.ends for block in blocks]
        for is_up, found in zip(directions, sums, strict=True):
            signs = [_is_beyond(size, margin, block, usual, is_up=is_up) for block in blocks]
            beyond = sign_path(signs, MEMORY_BLOCKS)
            within = sign_path(not sign and block.is_whole for sign, block in zip(signs, blocks, strict=True))
            found.add(ends, beyond, within, is_probe=is_probe)
            found.limits += [f"{usual:.0f} before the switch"] if usual is not None and blocks else []
    return [found.strength() for found in sums]


def _counts(rate: Rate, block: Block) -> RateBlock:
    return RateBlock(*rate.total(block.old), *rate.total(block.new), block.is_whole)


def _limit(rate: Rate, margin: float, before: Iterable[LiveBatch], policy: LivePolicy) -> float | None:
    """The upper bound of what was usual plus the margin; without a past the policy's own limit."""
    events, trials = rate.total(before)
    if trials >= ENOUGH_BEFORE:
        limit = wilson_interval(int(events), int(trials)).high + margin
    elif rate.metric in ANSWER_FAULTS:
        limit = policy.max_error_share
    else:
        return None
    return limit if limit < 1 else None


def _usual(size: Size, before: Sequence[LiveBatch]) -> float | None:
    return size.value(before) if sum(map(size.n, before)) >= ENOUGH_BEFORE else None


def _is_beyond(size: Size, margin: float, block: Block, usual: float | None, *, is_up: bool) -> bool:
    new, old = size.value(block.new), usual if usual is not None else size.value(block.old)
    assert new is not None
    assert old is not None, "a block is closed when both sets have values"
    larger, smaller = (new, old) if is_up else (old, new)
    return larger > smaller * (1 + margin) and larger - smaller > size.floor
