"""What is counted and measured of live requests, by name. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tidegate.domain import Histogram, LiveBatch
from tidegate.domain.live import bin_of, middle_of
from tidegate.domain.policy import LivePolicy

REASONS = ("length", "tool_calls", "content_filter", "other")
"""Finish reasons beside `stop`; the same for every service, so that the number of tests is fixed beforehand."""
ANSWER_FAULTS = ("errors", "attempts", "truncated", "empty", "malformed")
"""Metrics that have a limit of their own where there is no old set."""

TOLD = {
    "errors": "live requests failed",
    "attempts": "attempts failed",
    "truncated": "streams were cut",
    "empty": "answers were empty",
    "malformed": "answers were malformed",
    "stalls": "streams stalled",
    "left": "clients left",
    "length": "answers ended by length",
    "tool_calls": "answers ended by tool calls",
    "content_filter": "answers ended by a content filter",
    "other": "answers ended otherwise",
}
Counter = Callable[[LiveBatch], tuple[float, float]]
"""Events and requests of one batch."""


@dataclass(frozen=True)
class Rate:
    """A share of requests. `part` tells the tests of one metric apart."""

    metric: str
    count: Counter
    margin: float | None
    part: str = ""
    both_ways: bool = False

    @property
    def told(self) -> str:
        return TOLD[self.part or self.metric]

    def total(self, batches: Iterable[LiveBatch]) -> tuple[float, float]:
        pairs = [self.count(batch) for batch in batches]
        return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


@dataclass(frozen=True)
class Size:
    """A quantile of a histogram, compared block by block as a ratio."""

    metric: str
    field: str
    quantile: float
    need: int
    """Values that a block must have of both sets."""
    margin: float | None
    floor: float = 0.0
    both_ways: bool = False

    def histogram(self, batches: Iterable[LiveBatch]) -> Histogram:
        return Histogram.sum(getattr(batch, self.field) for batch in batches)

    def n(self, batch: LiveBatch) -> int:
        return getattr(batch, self.field).n

    def value(self, batches: Iterable[LiveBatch]) -> float | None:
        return quantile(self.histogram(batches), self.quantile)


def rates(policy: LivePolicy) -> tuple[Rate, ...]:
    limit = bin_of(policy.max_stall_ms)
    margin = policy.metrics
    return (
        Rate("errors", lambda b: (b.failed, _answered(b)), margin.errors),
        Rate("attempts", lambda b: (b.attempts_failed, max(b.attempts, b.attempts_failed)), margin.attempts),
        Rate("truncated", lambda b: (b.truncated, _answered(b)), margin.truncated),
        Rate("empty", lambda b: (b.empty, _complete(b)), margin.empty),
        Rate("malformed", lambda b: (b.malformed, _answered(b)), margin.malformed),
        Rate("stalls", lambda b: (b.gap_ms.above(limit), b.gap_ms.n), margin.stalls),
        Rate("left", lambda b: (b.clients_left, b.requests), margin.left),
        *(Rate("stops", _stopped_by(reason), margin.stops, reason, both_ways=True) for reason in REASONS),
    )


def sizes(policy: LivePolicy) -> tuple[Size, ...]:
    margin, ttft, itl = policy.metrics, policy.ttft_floor_ms, policy.itl_floor_ms
    return (
        Size("ttft_p50", "ttft_ms", 0.5, 3, margin.ttft_p50, ttft),
        Size("ttft_p95", "ttft_ms", 0.95, 20, margin.ttft_p95, ttft),
        Size("itl_p50", "itl_ms", 0.5, 3, margin.itl_p50, itl),
        Size("length", "tokens", 0.5, 5, margin.length, 1.0, both_ways=True),
    )


def quantile(values: Histogram, share: float) -> float | None:
    """Median-unbiased whatever the number of values: sets of different size are compared, and the usual quantile of
    few values lies lower. Source: R. J. Hyndman and Y. Fan, Amer. Statist. 50 (1996) 361-365, type 8."""
    n = values.n
    if n == 0:
        return None
    rank = min(max(share * (n + 1 / 3) + 1 / 3, 1.0), float(n))
    at = [(0.0, 0.0)]
    for number in sorted(values.counts):
        at.append((at[-1][0] + values.counts[number], middle_of(number)))
    low = next(value for (reached, value) in at[1:] if reached >= int(rank))
    high = next((value for (reached, value) in at[1:] if reached >= int(rank) + 1), low)
    return low + (rank - int(rank)) * (high - low)


def _answered(batch: LiveBatch) -> float:
    """Requests whose client waited for the end, whatever it was."""
    known = max(batch.failed, batch.truncated, batch.malformed)
    return max(batch.requests - batch.clients_left, known)


def _complete(batch: LiveBatch) -> float:
    return max(batch.requests - batch.clients_left - batch.failed, batch.empty)


def _stopped_by(reason: str) -> Counter:
    def count(batch: LiveBatch) -> tuple[float, float]:
        named = {name: number for name, number in batch.stops.items() if name in ("stop", *REASONS[:-1])}
        total = sum(batch.stops.values())
        return (total - sum(named.values()) if reason == "other" else named.get(reason, 0)), total

    return count
