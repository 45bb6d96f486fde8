"""A worker's life as one queue of events, read by the main thread: prepared, asked to stop, engine ended, failed.

Signal handlers only put into that queue: `SimpleQueue.put` is the one call that is safe there.
"""

import queue
import random
import signal
import socket
import threading
import time
from dataclasses import dataclass

from tidegate_worker.configuration import Configuration
from tidegate_worker.engine import TERMINATE_GRACE_S, Engine
from tidegate_worker.json_log import JsonLog
from tidegate_worker.preparation import prepare
from tidegate_worker.problems import ENGINE_FAILED, Stopped, WorkerProblem
from tidegate_worker.worker_state import Phase, WorkerState

LOOPBACK = "127.0.0.1"
# Below those that outgoing connections take: the engine listens on its port only once the model is there.
ENGINE_PORTS = range(10_000, 32_768)
PORTS_TRIED = 100
DRAIN_POLL_S = 0.25
# An engine that still has streams waits for them when it is asked to end.
CUT_SHORT_GRACE_S = 1.0
# A reply's last bytes leave after the engine has counted it as done.
QUIET_POLLS = 2
# A client that reads slowly may have taken all there was a moment ago, and the engine not yet written the rest.
# It closes a connection that is idle for five seconds, so whoever is connected longer was waiting for something.
QUIET_POLLS_WHILE_CONNECTED = 24
PREPARATION_ENDS_S = 2.0
# So that whoever asks for health reads the 503 once, instead of finding nobody.
FAILURE_SHOWN_S = 2.0


@dataclass(frozen=True)
class StopAsked:
    signal_number: int


@dataclass(frozen=True)
class Prepared:
    """The engine serves."""


@dataclass(frozen=True)
class Failed:
    problem: WorkerProblem


@dataclass(frozen=True)
class EngineEnded:
    status: int


Event = StopAsked | Prepared | Failed | EngineEnded


class Lifecycle:
    """Signals, preparation and ends, shared by both modes. Methods return an exit code where the worker must end."""

    def __init__(self, wanted: Configuration, state: WorkerState, log: JsonLog):
        self.wanted = wanted
        self.state = state
        self.log = log
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._preparation: threading.Thread | None = None

    @property
    def engine(self) -> Engine:
        """Only after `get_ready`."""
        assert self.state.engine is not None
        return self.state.engine

    @property
    def is_ending(self) -> bool:
        return self._stopping.is_set()

    def next_event(self, within_s: float | None = None) -> Event | None:
        """None when nothing happened in time."""
        try:
            return self.events.get(timeout=within_s)
        except queue.Empty:
            return None

    def watch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: self.events.put(StopAsked(number)))

    def begin(self) -> None:
        """Prepare beside the main thread, which stays free to hear signals."""
        host, port = _engine_address(self.wanted)
        self.state.engine_url = f"http://{host}:{port}"

        def work() -> None:
            try:
                prepare(
                    self.wanted,
                    self.state,
                    self.log,
                    self._stopping,
                    lambda status: self.events.put(EngineEnded(status)),
                    host,
                    port,
                )
            except WorkerProblem as problem:
                self.events.put(Failed(problem))
            except Stopped:
                return
            except Exception as bug:  # noqa: BLE001 - a thread's error would be lost, and the worker wait for ever
                message = f"The worker itself failed: {type(bug).__name__}: {bug}"
                remedy = "Report this with the worker's log."
                self.events.put(Failed(WorkerProblem(message, remedy=remedy, exit_code=ENGINE_FAILED)))
            else:
                self.events.put(Prepared())

        self._preparation = threading.Thread(target=work, name="preparation", daemon=True)
        self._preparation.start()

    def get_ready(self) -> int | None:
        """Wait until it serves; an exit code when it never will."""
        ended: int | None = None
        while True:
            match self.events.get():
                case Prepared() if ended is not None:
                    return self.fail_for_dead_engine(ended)
                case Prepared():
                    self.state.enter(Phase.READY)
                    self.log.info("ready", **_brief(self.state))
                    return None
                case Failed(problem):
                    return self.fail(problem)
                case StopAsked():
                    return self.end("stopped_before_ready")
                case EngineEnded(status):
                    # The preparing thread mostly sees it too, and says what it was doing.
                    ended = status

    def end(self, event: str, engine_grace_s: float = TERMINATE_GRACE_S) -> int:
        """A wanted end."""
        self._stop_preparing()
        if self.state.engine is not None:
            self.state.engine.stop(engine_grace_s)
        self.log.info(event)
        return 0

    def fail(self, problem: WorkerProblem) -> int:
        """Say why, let health say 503 for a moment, and give the exit code that makes the platform replace us."""
        self.state.fail(problem)
        self._stopping.set()
        tail = self.state.engine.last_lines() if self.state.engine is not None else []
        self.log.error("failed", **problem.as_dict(), engine_tail=tail)
        if self.state.engine is not None:
            self.state.engine.stop()
        self._let_it_be_seen()
        return problem.exit_code

    def fail_for_dead_engine(self, status: int) -> int:
        return self.fail(
            WorkerProblem(
                f"The engine ended by itself with status {status}.",
                remedy="Read the engine's last lines in this log; often it ran out of memory.",
                exit_code=ENGINE_FAILED,
            )
        )

    def _stop_preparing(self) -> None:
        self._stopping.set()
        if self._preparation is not None:
            # A read from a silent source may outlast this; it starts nothing any more.
            self._preparation.join(PREPARATION_ENDS_S)

    def _let_it_be_seen(self) -> None:
        deadline = time.monotonic() + FAILURE_SHOWN_S
        while (left_s := deadline - time.monotonic()) > 0:
            if isinstance(self.next_event(left_s), StopAsked):
                return


def _engine_address(wanted: Configuration) -> tuple[str, int]:
    """Behind a load balancer or proxy the engine is the server; with a queue only this worker talks to it."""
    if wanted.mode != "QUEUE" and wanted.port is not None:
        return wanted.host, wanted.port
    return LOOPBACK, _free_port()


def _free_port() -> int:
    for port in (*random.sample(ENGINE_PORTS, PORTS_TRIED), 0):
        try:
            with socket.create_server((LOOPBACK, port)) as free:
                return int(free.getsockname()[1])
        except OSError:
            continue
    raise AssertionError("the system names a port itself when it is asked for port 0")


def _brief(state: WorkerState) -> dict[str, object]:
    report = state.report()
    return {name: report[name] for name in ("engine_version", "gpu", "memory_bytes", "engine_memory_bytes")}
