"""What clients got from one set, as its gateway saw it: counts and histograms of the requests that ended in a second.

Histograms have the same bins everywhere, so that those of several gateways and seconds are added without loss.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

BIN_RATIO = 1.05
"""Upper edge of a bin over its lower one: a value is known to 5 %."""
LOWEST_BIN = -200
"""Everything below 0.06 (of a millisecond or a token), zero included."""
HIGHEST_BIN = 400

_LOG_RATIO = math.log(BIN_RATIO)


def bin_of(value: float) -> int:
    """Number k of the bin [1.05^k, 1.05^(k+1)) that holds a value."""
    if value <= 0:
        return LOWEST_BIN
    return max(LOWEST_BIN, min(HIGHEST_BIN, math.floor(math.log(value) / _LOG_RATIO)))


def middle_of(number: int) -> float:
    """Geometric middle of a bin; the lowest one is zero."""
    return 0.0 if number <= LOWEST_BIN else BIN_RATIO ** (number + 0.5)


class Histogram(BaseModel):
    """Counts by bin. Only bins with values are kept."""

    model_config = ConfigDict(frozen=True)

    counts: dict[int, NonNegativeInt] = Field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        counts: dict[int, int] = {}
        for value in values:
            number = bin_of(value)
            counts[number] = counts.get(number, 0) + 1
        return cls(counts=counts)

    @classmethod
    def sum(cls, parts: Iterable["Histogram"]) -> Self:
        counts: dict[int, int] = {}
        for part in parts:
            for number, count in part.counts.items():
                counts[number] = counts.get(number, 0) + count
        return cls(counts=counts)

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    def above(self, number: int) -> int:
        """Values in bins higher than this one."""
        return sum(count for bin_number, count in self.counts.items() if bin_number > number)

    def quantile(self, share: float) -> float | None:
        """Middle of the bin in which this share of the values is reached; None when there are no values."""
        number = self.quantile_bin(share)
        return None if number is None else middle_of(number)

    def quantile_bin(self, share: float) -> int | None:
        """The bin in which this share of the values is reached."""
        needed, seen = share * self.n, 0
        for number in sorted(self.counts):
            seen += self.counts[number]
            if seen >= needed:
                return number
        return None

    @property
    def mean(self) -> float | None:
        n = self.n
        return sum(middle_of(number) * count for number, count in self.counts.items()) / n if n else None


ALL, STREAM, PLAIN, SHADOW = "", "stream", "plain", "shadow"
SMALL, MEDIUM, LARGE = "prompt-small", "prompt-medium", "prompt-large"
SLICES = (ALL, STREAM, PLAIN, SMALL, MEDIUM, LARGE, SHADOW)
"""Slices that gateways report. A request stands in ALL, in STREAM or PLAIN, and in one size; a copy (mirrored
request) stands in SHADOW alone."""
MEDIUM_BYTES, LARGE_BYTES = 2_048, 16_384
"""Request bodies of at least so many bytes are medium and large."""


def size_slice(request_bytes: int) -> str:
    """The slice of a request by its size: a prompt-size class that is known before anything is answered."""
    if request_bytes < MEDIUM_BYTES:
        return SMALL
    return MEDIUM if request_bytes < LARGE_BYTES else LARGE


class Timing(BaseModel):
    """Times counted exactly by the edges of `live_edges`."""

    model_config = ConfigDict(frozen=True)

    counts: dict[int, int] = Field(default_factory=dict, description="By number of the edge; only what came.")
    sum_s: float = 0.0


CodeClass = Literal["2xx", "3xx", "4xx", "429", "5xx", "timeout", "cancelled"]
"""How a request ended for its client. A reply that broke off after a good status is a 5xx."""


class LiveBatch(BaseModel):
    """Requests of one set that ended at one gateway within one interval.

    A failure is what the set did: clients that left are in `requests` and in `clients_left`, never in `failed`.
    A truncated stream is also a failed request. `attempts*` count what the gateway tried at the set, so also
    failures that a retry hid; the slices by kind know only the attempt that answered. Streams alone have gaps; a
    plain answer has its whole time as TTFT. `lost` is what is known to be missing: such a batch is no proof of
    health.
    """

    model_config = ConfigDict(frozen=True)

    gateway: str
    org: str
    service: str
    set_name: str
    started_at: datetime
    ended_at: datetime
    slice: str = Field(
        default=ALL, description="Slice of the traffic, one of SLICES; empty for all requests."
    )
    is_probe: bool = Field(default=False, description="Our own pinned requests, never mixed with clients'.")
    requests: int = Field(default=0, ge=0)
    failed: int = Field(default=0, ge=0, description="Requests of which the client saw a failure of the set.")
    attempts: int = Field(default=0, ge=0)
    attempts_failed: int = Field(default=0, ge=0)
    truncated: int = Field(default=0, ge=0, description="Streams that ended without their end mark.")
    clients_left: int = Field(default=0, ge=0)
    empty: int = Field(default=0, ge=0, description="Complete answers without any text or tool call.")
    malformed: int = Field(
        default=0, ge=0, description="Answers with an event that is not what it should be."
    )
    stalled: int = Field(default=0, ge=0, description="Streams with a gap longer than the gateway's limit.")
    lost: int = Field(default=0, ge=0, description="Requests that took place and whose measurement was lost.")
    stops: dict[str, int] = Field(default_factory=dict, description="Complete answers by finish reason.")
    ttft_ms: Histogram = Histogram()
    itl_ms: Histogram = Field(
        default=Histogram(), description="Mean time between tokens, one value a stream."
    )
    gap_ms: Histogram = Field(default=Histogram(), description="Longest gap, one value a stream.")
    tokens: Histogram = Field(default=Histogram(), description="Completion tokens, one value an answer.")
    codes: dict[CodeClass, int] = Field(
        default_factory=dict, description="Requests by how they ended; of all requests and of copies only."
    )
    timings: dict[str, Timing] = Field(
        default_factory=dict, description="By a name of EDGES_S; of all requests and of copies only."
    )
    tokens_in: int = Field(default=0, ge=0, description="Prompt tokens, where the engine told them.")
    tokens_out: int = Field(default=0, ge=0)

    @property
    def key(self) -> tuple[str, str, str, bool, datetime]:
        """What makes a batch the same one when it is sent again."""
        return self.gateway, self.set_name, self.slice, self.is_probe, self.started_at


COUNTED = (
    "requests", "failed", "attempts", "attempts_failed", "truncated", "clients_left", "empty", "malformed",
    "stalled", "lost",
)  # fmt: skip
MEASURED = ("ttft_ms", "itl_ms", "gap_ms", "tokens")


def total(batches: Iterable[LiveBatch]) -> Mapping[str, int]:
    """Sum of every count."""
    kept = list(batches)
    return {name: sum(getattr(batch, name) for batch in kept) for name in COUNTED}
