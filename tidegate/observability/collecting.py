"""Collectors look again and again, each in a thread of its own; a scrape joins what they saw last and waits for none."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tidegate.domain import TidegateError
from tidegate.domain.error_tracking import FORGET, NoteError
from tidegate.observability.exposition import head_of, lines_of, page_of
from tidegate.observability.names import METRICS
from tidegate.observability.names import metric as declared
from tidegate.observability.registry import CARDINALITY, Family, Labels, Readings, Register

log = logging.getLogger(__name__)

LAST_SUCCESS = "tidegate_collector_last_success_timestamp_seconds"
DURATION = "tidegate_collector_duration_seconds"
ERRORS = "tidegate_collector_errors_total"
OWN = (LAST_SUCCESS, DURATION, ERRORS)

NEVER = 0.0
"""The last success of a collector that tried and has none."""
KEEP_INTERVALS = 6
KEEP_LEAST_S = 60.0
"""What a collector saw last is shown for so long, or so many intervals: then it says nothing about now."""

PATIENCE_S = 60.0
"""What passes by itself is kept as an error when it has lasted so long: at a start, others are not there yet."""


class Collector(Protocol):
    """One place that metrics come from. `names` are the metrics that it may show."""

    @property
    def name(self) -> str: ...

    @property
    def interval_s(self) -> float: ...

    @property
    def names(self) -> Sequence[str]: ...

    def collect(self, into: Readings) -> None:
        """Look once. Whatever it raises counts as an error of this collector, and of no other."""
        ...


@dataclass
class Standing:
    """What is known of one collector. A look replaces values and texts as a whole."""

    collector: Collector
    last_success: float | None = None
    duration_s: float = 0.0
    errors: int = 0
    families: dict[str, Family] = field(default_factory=dict[str, Family])
    pieces: dict[str, dict[Labels, bytes]] = field(default_factory=dict[str, dict[Labels, bytes]])
    """The text of every label set, made once for as long as its value stays."""
    texts: dict[str, bytes] = field(default_factory=dict[str, bytes])
    problem: str = ""
    """What went wrong last, without the text of a stranger; empty when nothing did."""
    failing_since: float | None = None
    is_noted: bool = False
    """Whether the failure that lasts now was kept as an error."""

    def is_fresh(self, now: float) -> bool:
        keep_s = max(KEEP_LEAST_S, KEEP_INTERVALS * self.collector.interval_s)
        return bool(self.last_success) and now - (self.last_success or 0.0) <= keep_s


class Collecting:
    """All collectors of one exporter."""

    def __init__(
        self,
        collectors: Sequence[Collector],
        *,
        register: Register | None = None,
        clock: Callable[[], float] = time.time,
        note: NoteError = FORGET,
    ):
        self.standings = [Standing(one) for one in collectors]
        self.register = register or Register()
        self._clock = clock
        self._note = note
        self._heads = {one.name: head_of(one) for one in METRICS}

    def run(self, stop: threading.Event) -> list[threading.Thread]:
        """Start looking. The threads are daemons: one that hangs at a platform must not keep the process."""
        threads = [
            threading.Thread(
                target=self._loop, args=(one, stop), name=f"collect-{one.collector.name}", daemon=True
            )
            for one in self.standings
        ]
        for thread in threads:
            thread.start()
        return threads

    def look(self, standing: Standing) -> bool:
        """One look of one collector; False when it failed. Its former values then stay until they are too old."""
        collector = standing.collector
        began = time.perf_counter()
        readings = Readings(collector.name, collector.names)
        try:
            collector.collect(readings)
            families = self.register.settle(readings)
        except Exception as error:  # noqa: BLE001 - a collector is one of many, and speaks to foreign code
            self._failed(standing, error)
            return False
        finally:
            standing.duration_s = time.perf_counter() - began
        standing.pieces = {name: _rendered(standing, name, family) for name, family in families.items()}
        standing.texts = {name: b"".join(pieces.values()) for name, pieces in standing.pieces.items()}
        standing.families = families
        standing.last_success, standing.problem = self._clock(), ""
        standing.failing_since, standing.is_noted = None, False
        return True

    def look_all(self) -> None:
        """Every collector once, one after the other: for tests, and for whoever wants one page and no process."""
        for standing in self.standings:
            self.look(standing)

    def page(self) -> bytes:
        """What Prometheus reads. Asks nobody: it only joins texts."""
        now = self._clock()
        bodies: dict[str, list[bytes]] = {}
        for standing in self.standings:
            if standing.is_fresh(now):
                for name, text in standing.texts.items():
                    bodies.setdefault(name, []).append(text)
        for name, family in self._own().items():
            bodies[name] = [lines_of(declared(name), labels, family[labels]) for labels in sorted(family)]
        return page_of(self._heads, bodies)

    def _own(self) -> dict[str, Family]:
        own: dict[str, Family] = {LAST_SUCCESS: {}, DURATION: {}, ERRORS: {}}
        for one in self.standings:
            labels = (one.collector.name,)
            own[ERRORS][labels] = float(one.errors)
            if one.last_success is not None:
                own[LAST_SUCCESS][labels] = one.last_success
                own[DURATION][labels] = one.duration_s
        own[ERRORS][CARDINALITY,] = float(self.register.refused)
        return own

    def _failed(self, standing: Standing, error: Exception) -> None:
        standing.errors += 1
        standing.last_success = standing.last_success or NEVER
        # The words of a domain error are ours; those of any other may quote an address with a key.
        problem = error.message if isinstance(error, TidegateError) else type(error).__name__
        if problem != standing.problem:
            log.warning("collector %s: %s", standing.collector.name, problem)
            log.debug("collector %s", standing.collector.name, exc_info=True)
            standing.is_noted = False
        standing.problem = problem
        self._keep(standing, error)

    def _keep(self, standing: Standing, error: Exception) -> None:
        """Once for as long as it lasts: a platform that is away for a night is one error, and not ten thousand."""
        now = self._clock()
        standing.failing_since = now if standing.failing_since is None else standing.failing_since
        may_pass = isinstance(error, TidegateError) and error.is_retryable
        if standing.is_noted or (may_pass and now - standing.failing_since < PATIENCE_S):
            return
        standing.is_noted = True
        self._note(error, f"collector {standing.collector.name}")

    def _loop(self, standing: Standing, stop: threading.Event) -> None:
        while not stop.is_set():
            self.look(standing)
            stop.wait(standing.collector.interval_s)


def _rendered(standing: Standing, name: str, family: Family) -> dict[Labels, bytes]:
    """In a stable order. Of hundreds of services few have traffic in the same seconds."""
    before, pieces = standing.families.get(name, {}), standing.pieces.get(name, {})
    return {
        labels: pieces[labels]
        if labels in pieces and before.get(labels) == family[labels]
        else lines_of(declared(name), labels, family[labels])
        for labels in sorted(family)
    }
