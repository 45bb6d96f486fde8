"""What client traffic experienced: counts, recent latencies and every failure, readable from any thread."""

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime

from tidegate.benchmark.record import Outcome
from tidegate.statistics import percentile

RECENT = 200
MAX_FAILURES = 10_000
UNNAMED = "unnamed"
"""Key of replies without a set or release header (refused before a set was chosen, or not our gateway)."""


@dataclass(frozen=True)
class Ended:
    """One request as the client saw it end, with what helps to explain a failure."""

    at: datetime
    outcome: Outcome
    error: str
    is_stream: bool
    elapsed_ms: float
    status: int | None = None
    set_name: str | None = None
    release: str | None = None
    request_id: str | None = None
    ttft_ms: float | None = None


@dataclass(frozen=True)
class Counts:
    ok: int = 0
    failed: int = 0
    truncated: int = 0

    def plus(self, outcome: Outcome) -> "Counts":
        field_name = outcome.value
        return replace(self, **{field_name: getattr(self, field_name) + 1})


@dataclass(frozen=True)
class TrafficSnapshot:
    """`sent = ok + failed + truncated + aborted + in_flight`; `aborted` were cut off by our own stop."""

    sent: int = 0
    in_flight: int = 0
    ok: int = 0
    failed: int = 0
    truncated: int = 0
    aborted: int = 0
    by_set: dict[str, Counts] = field(default_factory=dict[str, Counts])
    by_release: dict[str, Counts] = field(default_factory=dict[str, Counts])
    ttft_p50_ms: float | None = None
    """Of the newest streams."""
    latency_p50_ms: float | None = None
    """Of the newest short requests."""
    failures: tuple[Ended, ...] = ()
    """Every request that failed or was truncated, oldest first (the newest 10 000)."""


class Tally:
    """Counts under one lock; a snapshot is consistent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = TrafficSnapshot()
        self._failures: deque[Ended] = deque(maxlen=MAX_FAILURES)
        self._ttft_ms: deque[float] = deque(maxlen=RECENT)
        self._latency_ms: deque[float] = deque(maxlen=RECENT)

    def sent(self) -> None:
        with self._lock:
            self._now = replace(self._now, sent=self._now.sent + 1, in_flight=self._now.in_flight + 1)

    def aborted(self) -> None:
        with self._lock:
            self._now = replace(self._now, aborted=self._now.aborted + 1, in_flight=self._now.in_flight - 1)

    def ended(self, request: Ended) -> None:
        with self._lock:
            now, name = self._now, request.outcome.value
            _add(now.by_set, request.set_name, request.outcome)
            _add(now.by_release, request.release, request.outcome)
            self._now = replace(now, in_flight=now.in_flight - 1, **{name: getattr(now, name) + 1})
            if request.outcome is not Outcome.OK:
                self._failures.append(request)
            elif not request.is_stream:
                self._latency_ms.append(request.elapsed_ms)
            elif request.ttft_ms is not None:
                self._ttft_ms.append(request.ttft_ms)

    def snapshot(self) -> TrafficSnapshot:
        with self._lock:
            return replace(
                self._now,
                by_set=dict(self._now.by_set),
                by_release=dict(self._now.by_release),
                ttft_p50_ms=percentile(list(self._ttft_ms), 0.5),
                latency_p50_ms=percentile(list(self._latency_ms), 0.5),
                failures=tuple(self._failures),
            )


def _add(counts: dict[str, Counts], key: str | None, outcome: Outcome) -> None:
    name = key or UNNAMED
    counts[name] = counts.get(name, Counts()).plus(outcome)
