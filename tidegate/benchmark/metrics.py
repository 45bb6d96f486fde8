"""Latencies that two runs are compared by: a quantile of a figure, such as `ttft_p95`, with its usual margin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from tidegate.benchmark.chunks import Chunking
from tidegate.benchmark.definitions import definitions
from tidegate.benchmark.latencies import FIGURES, judged_figure, latencies
from tidegate.benchmark.record import RequestRecord
from tidegate.domain import InvalidInput

SMALLEST_MS = 0.001
"""Shorter times are below what the client can tell apart, and a ratio needs positive numbers."""
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Metric:
    """A quantile over the requests of a block (of `gap`: over all gaps of the block)."""

    name: str
    figure: str
    share: float

    @property
    def label(self) -> str:
        """`p95 TTFT`, as a sentence names it."""
        return f"{self.name.rpartition('_')[2]} {LABELS[self.figure]}"

    @property
    def fewest_per_block(self) -> int:
        """Values that a block needs before this quantile is more than its maximum."""
        return 1 if self.share == 0.5 else round(1 / (1 - self.share))

    def values(
        self, requests: Iterable[RequestRecord], chunking: Chunking, is_open_loop: bool
    ) -> list[float]:
        """In milliseconds, of the requests that succeeded, in their order."""
        times = (latencies(request, chunking) for request in requests if request.is_ok)
        if self.figure == "gap":
            return [max(gap, SMALLEST_MS) for found in times for gap in found.gaps_ms]
        figure = judged_figure(self.figure, is_open_loop)
        return [max(value, SMALLEST_MS) for found in times if (value := figure(found)) is not None]


LABELS: Mapping[str, str] = {
    "ttft": "TTFT", "ttft_answer": "time to the answer", "itl": "time per token", "gap": "time between chunks",
    "stall": "longest pause", "e2e": "time to the last token",
}  # fmt: skip


@cache
def metric_named(name: str) -> Metric:
    """From its name. Raises InvalidInput for one that does not exist."""
    figure, _, share = name.rpartition("_")
    if figure not in LABELS or share not in SHARES:
        raise InvalidInput(
            f"'{name}' is no latency that can be compared.",
            remedy=f"Use one of {', '.join(LABELS)} with {', '.join(SHARES)}, for example ttft_p95.",
            field="metric",
        )
    assert figure == "gap" or figure in FIGURES
    assert figure in definitions()
    return Metric(name, figure, SHARES[share])


@dataclass(frozen=True)
class Limit:
    """How much slower a metric may be."""

    max_ratio: float
    """Candidate over base; 1.15 allows 15 % slower."""
    floor_ms: float = 0.0
    """So much more is always allowed: ratios of tiny numbers are noise."""

    def effective(self, base_ms: float) -> float:
        """The ratio that is allowed on top of such a base: the larger of the share and the floor."""
        return max(self.max_ratio, 1 + self.floor_ms / base_ms)


@dataclass(frozen=True)
class CompareLimits:
    """What a comparison judges. Every metric here decides; all must pass."""

    metrics: Mapping[str, Limit] = field(default_factory=lambda: USUAL_LIMITS)
    alpha: float = 0.05
    """Chance of passing what lies beyond a limit, and of failing anything where nothing does."""


USUAL_LIMITS: Mapping[str, Limit] = {
    "ttft_p50": Limit(1.15, 5.0),
    "ttft_p95": Limit(1.25, 5.0),
    "itl_p50": Limit(1.15, 2.0),
}


def by_block(requests: Sequence[RequestRecord]) -> dict[int, list[RequestRecord]]:
    """Requests of the window by their block, blocks in rising order."""
    blocks: dict[int, list[RequestRecord]] = {}
    for request in requests:
        blocks.setdefault(request.block, []).append(request)
    return dict(sorted(blocks.items()))
