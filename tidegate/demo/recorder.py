"""Collects what one service goes through: traffic of clients, weights, releases, kills. Readable from any thread."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tidegate.benchmark.tally import TrafficSnapshot
from tidegate.demo.scenario import Act, Cast, Outcome
from tidegate.demo.story import ActRecord, Counts, Kill, Sample, ServiceStory, failure_of
from tidegate.domain import JournalEntry, ModelVersion, Route, ServiceRef

MAX_EVENTS = 200


class Clients(Protocol):
    """Clients of one service: `benchmark.traffic.TrafficClient` outside of tests."""

    def start(self) -> None: ...
    def snapshot(self) -> TrafficSnapshot: ...
    def stop(self) -> TrafficSnapshot: ...


class Routes(Protocol):
    """The part of the ledger that says which version a set serves and how much traffic it gets."""

    def get_route(self, ref: ServiceRef) -> Route | None: ...
    def version_by_digest(self, org: str, digest: str) -> ModelVersion | None: ...


@dataclass(frozen=True)
class Event:
    """Something worth telling a person."""

    at: datetime
    text: str
    tone: str = "plain"
    """`plain`, `good`, `bad` or `loud`."""


@dataclass(frozen=True)
class Scene:
    """The release that runs now."""

    act: Act
    entries: tuple[JournalEntry, ...] = ()
    kill: Kill | None = None


@dataclass(frozen=True)
class Board:
    """Everything a view shows of one service, at one moment."""

    cast: Cast
    acts: tuple[Act, ...]
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    scene: Scene | None = None
    sample: Sample | None = None
    events: tuple[Event, ...] = ()
    is_over: bool = False


class Recorder:
    """One service's records. The player tells it what it does; a sampler asks it to look."""

    def __init__(
        self,
        cast: Cast,
        acts: tuple[Act, ...],
        ledger: Routes,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._board = Board(cast, acts)
        self._samples: list[Sample] = []
        self._records: list[ActRecord] = []
        self._kills: list[Kill] = []
        self._labels: dict[str, str] = {}
        self._clients: Clients | None = None
        self._problem = ""

    @property
    def board(self) -> Board:
        with self._lock:
            return self._board

    def attach(self, clients: Clients) -> None:
        """From now on the service has clients."""
        with self._lock:
            self._clients = clients

    def traffic(self) -> TrafficSnapshot:
        with self._lock:
            clients = self._clients
        return clients.snapshot() if clients else TrafficSnapshot()

    def counts(self) -> Counts:
        return _counts(self.traffic())

    def sample(self) -> Sample:
        """Look at the route and at the clients, and remember it."""
        ref = self._board.cast.ref
        route, traffic = self._ledger.get_route(ref), self.traffic()
        taken = Sample(
            at=self._clock(),
            weights=self._weights(route),
            answered=self._by_version(route, traffic),
            counts=_counts(traffic),
            ttft_p50_ms=traffic.ttft_p50_ms,
            latency_p50_ms=traffic.latency_p50_ms,
        )
        with self._lock:
            self._samples.append(taken)
            self._board = replace(self._board, sample=taken)
        return taken

    def begin(self, act: Act) -> None:
        with self._lock:
            self._board = replace(self._board, scene=Scene(act))

    def saw(self, entries: tuple[JournalEntry, ...]) -> None:
        """The journal of the present release, as far as it goes."""
        with self._lock:
            if self._board.scene is not None:
                self._board = replace(self._board, scene=replace(self._board.scene, entries=entries))

    def killed(self, kill: Kill) -> None:
        with self._lock:
            self._kills.append(kill)
            if self._board.scene is not None:
                self._board = replace(self._board, scene=replace(self._board.scene, kill=kill))

    def tell(self, text: str, tone: str = "plain", at: datetime | None = None) -> None:
        event = Event(at or self._clock(), text, tone)
        with self._lock:
            self._board = replace(self._board, events=(*self._board.events, event)[-MAX_EVENTS:])

    def end(self, record: ActRecord) -> None:
        with self._lock:
            self._records.append(record)
            outcomes = {**self._board.outcomes, record.version: record.outcome}
            self._board = replace(self._board, outcomes=outcomes)

    def close(self, problem: str = "") -> None:
        """No further release comes; `problem` says why when that is too early."""
        with self._lock:
            self._problem = problem
            self._board = replace(self._board, is_over=True)

    def stop_traffic(self) -> None:
        with self._lock:
            clients = self._clients
        if clients is not None:
            clients.stop()

    def story(self) -> ServiceStory:
        """All of it, once the traffic has stopped."""
        traffic = self.traffic()
        with self._lock:
            failures = tuple(
                failure_of(ended, ended.at - timedelta(milliseconds=ended.elapsed_ms), self._kills)
                for ended in traffic.failures
            )
            return ServiceStory(
                service=str(self._board.cast.ref),
                model=self._board.cast.model,
                acts=tuple(self._records),
                samples=tuple(self._samples),
                totals=_counts(traffic),
                failures=failures,
                problem=self._problem,
            )

    def _weights(self, route: Route | None) -> dict[str, int]:
        if route is None:
            return {}
        found: dict[str, int] = {}
        for upstream in route.upstreams:
            label = self._label(upstream.set_name, upstream.digest)
            found[label] = found.get(label, 0) + route.weights[upstream.set_name]
        return found

    def _by_version(self, route: Route | None, traffic: TrafficSnapshot) -> dict[str, int]:
        """Whole answers by version. A set that was seen in the route once is known for good."""
        for upstream in route.upstreams if route else ():
            self._label(upstream.set_name, upstream.digest)
        found: dict[str, int] = {}
        for set_name, counts in traffic.by_set.items():
            label = self._labels.get(set_name)
            if label is not None:
                found[label] = found.get(label, 0) + counts.ok
        return found

    def _label(self, set_name: str, digest: str) -> str:
        """`v2`: the version that a set serves."""
        if set_name not in self._labels:
            version = self._ledger.version_by_digest(self._board.cast.ref.org, digest)
            self._labels[set_name] = version.version if version else digest[:8]
        return self._labels[set_name]


def _counts(traffic: TrafficSnapshot) -> Counts:
    return Counts(
        sent=traffic.sent,
        ok=traffic.ok,
        failed=traffic.failed,
        truncated=traffic.truncated,
        aborted=traffic.aborted,
        in_flight=traffic.in_flight,
    )
