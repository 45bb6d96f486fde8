"""Batches of two sets into blocks of the same seconds. Pure.

A block is closed by its contents and its place in time alone: how often somebody looks, and in how many parts the
counts of a second were sent, changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tidegate.domain import Histogram, LiveBatch
from tidegate.domain.live import MEASURED, total

GROWTH = 0.02
"""Least length of a block against the time before it: at most some two hundred blocks whatever a look lasts, and what begins late
is seen after a fiftieth of the time that has passed."""


@dataclass
class Block:
    """What ended in the same seconds at both sets."""

    ends: int
    old: list[LiveBatch] = field(default_factory=list[LiveBatch])
    new: list[LiveBatch] = field(default_factory=list[LiveBatch])

    @property
    def is_whole(self) -> bool:
        """Nothing that took place at the new set is known to be missing."""
        return not any(batch.lost for batch in self.new)


@dataclass(frozen=True)
class Stratum:
    """Requests of one kind, clients' or ours, of one slice: by seconds, in order."""

    seconds: tuple[Block, ...]
    before: tuple[LiveBatch, ...] = ()
    """The old set's, from before it lost its traffic."""

    @property
    def is_concurrent(self) -> bool:
        return any(batch.requests for second in self.seconds for batch in second.old)

    @property
    def new(self) -> list[LiveBatch]:
        return [batch for second in self.seconds for batch in second.new]

    @property
    def old(self) -> list[LiveBatch]:
        """The concurrent ones, or those from before where there are none."""
        found = [batch for second in self.seconds for batch in second.old]
        return found if self.is_concurrent else list(self.before)


def merged(batches: Sequence[LiveBatch]) -> list[LiveBatch]:
    """All of them as one, or none. Its place in time is the first one's."""
    if len(batches) < 2:
        return list(batches)
    stops: dict[str, int] = {}
    for batch in batches:
        for reason, number in batch.stops.items():
            stops[reason] = stops.get(reason, 0) + number
    measured = {name: Histogram.sum(getattr(batch, name) for batch in batches) for name in MEASURED}
    return [batches[0].model_copy(update={**total(batches), **measured, "stops": stops})]


def stratum(
    new: Iterable[LiveBatch],
    old: Iterable[LiveBatch],
    before: Iterable[LiveBatch],
    *,
    name: str,
    is_probe: bool,
) -> Stratum:
    """The requests of one slice, clients' or ours."""

    def of(batches: Iterable[LiveBatch]) -> list[LiveBatch]:
        return [batch for batch in batches if batch.slice == name and batch.is_probe == is_probe]

    seconds: dict[int, Block] = {}
    for is_new, batches in ((True, of(new)), (False, of(old))):
        for batch in batches:
            second = int(batch.ended_at.timestamp())
            block = seconds.setdefault(second, Block(second))
            (block.new if is_new else block.old).append(batch)
    return Stratum(tuple(seconds[second] for second in sorted(seconds)), tuple(of(before)))


def blocks_of(
    seconds: Sequence[Block],
    count: Callable[[LiveBatch], float],
    need: float = 1,
    *,
    is_paired: bool = True,
) -> list[Block]:
    """Consecutive seconds put together until both sets (or, unpaired, the new one) have `need` of what is counted.

    The seconds after the last closed block are not in it yet.
    """
    closed: list[Block] = []
    if not seconds:
        return closed
    first = start = seconds[0].ends
    block, has_new, has_old = Block(first), 0.0, 0.0
    for second in seconds:
        block.new += second.new
        block.old += second.old
        has_new += sum(map(count, second.new))
        has_old += sum(map(count, second.old))
        is_long = second.ends + 1 - start >= GROWTH * (start - first)
        if is_long and has_new >= need and (not is_paired or has_old >= need):
            block.ends, start = second.ends, second.ends + 1
            closed.append(block)
            block, has_new, has_old = Block(start), 0.0, 0.0
    return closed
