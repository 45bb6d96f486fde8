"""A worker of a queue endpoint: RunPod's own SDK takes the jobs, the handler puts them to an engine on loopback."""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

import runpod.serverless
from runpod.serverless.modules.worker_state import JobsProgress

from tidegate_worker.job_handler import JobHandler
from tidegate_worker.lifecycle import CUT_SHORT_GRACE_S, EngineEnded, Lifecycle, StopAsked
from tidegate_worker.worker_state import Phase

# Running jobs find their engine gone and say so; then the worker ends.
JOBS_END_S = 5.0
POLL_S = 0.1


def serve_jobs(life: Lifecycle) -> int:
    """The exit code of the worker. The model is loaded before the first job is taken: others may be ready now."""
    code = life.get_ready()
    if code is not None:
        return code
    handler = JobHandler(
        life.state.engine_url,
        life.wanted.digest,
        life.state.report,
        lambda job, value: runpod.serverless.progress_update(dict(job), value),
    )
    # The SDK forks its heartbeat, which would inherit our answer to SIGTERM and never end.
    os.register_at_fork(after_in_child=_answer_signals_by_ending)
    concurrency = _Concurrency(life)
    watcher = threading.Thread(target=_watch, args=(life, concurrency), name="watcher", daemon=True)
    watcher.start()
    runpod.serverless.start(
        {
            "handler": handler.handle,
            "concurrency_modifier": concurrency,
            # Who asks for the status of a finished job wants what was streamed, too.
            "return_aggregate_stream": True,
        }
    )
    if life.is_ending:
        # The last job ended because the watcher is ending the worker: the last word, and the exit, are its own.
        watcher.join()
    return life.end("drained")


class _Concurrency:
    """As many jobs as the engine has sequences.

    The SDK asks for it first thing in its loop, after it has taken the signals for itself. That is the moment to put
    ours before its own: the SDK waits for running jobs without a limit, and never says that it drains.
    """

    def __init__(self, life: Lifecycle):
        self._life = life
        self.is_taking_jobs = False

    def __call__(self, current: int) -> int:
        if not self.is_taking_jobs:
            self.is_taking_jobs = True
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._tell_both(signal.getsignal(number)))
        return self._life.wanted.parallel

    def _tell_both(self, theirs: Any) -> Callable[[int, FrameType | None], None]:
        """Theirs logs, and a line that is begun in the middle of another raises. So it waits for its loop's next turn."""
        loop = asyncio.get_running_loop()

        def handle(number: int, frame: FrameType | None) -> None:
            self._life.events.put(StopAsked(number))
            # After its last turn the loop has ended by itself, and there is nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(theirs, number, frame)

        return handle


def _watch(life: Lifecycle, concurrency: _Concurrency) -> None:
    """Beside the SDK, which owns the main thread: ends the worker when its engine does, or a drain takes too long."""
    deadline: float | None = None
    while True:
        match life.next_event(within_s=None if deadline is None else max(0.0, deadline - time.monotonic())):
            case StopAsked() if not concurrency.is_taking_jobs:
                _leave(life.end("stopped_before_ready"))
            case StopAsked() if deadline is None:
                life.state.enter(Phase.DRAINING)
                life.log.info("draining", in_flight=_jobs_in_hand(), limit_s=life.wanted.drain_s)
                deadline = time.monotonic() + life.wanted.drain_s
            case None | StopAsked():
                life.log.warning("drain_limit_reached", in_flight=_jobs_in_hand())
                _leave(life.end("drain_cut_short", CUT_SHORT_GRACE_S))
            case EngineEnded(status):
                if life.is_ending:
                    return
                _leave(life.fail_for_dead_engine(status))
            case _:
                continue


def _answer_signals_by_ending() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _jobs_in_hand() -> int:
    """Taken and not answered yet, as the SDK counts them for its heartbeat."""
    return int(JobsProgress().get_job_count())


def _leave(code: int) -> NoReturn:
    """End the process from beside the SDK, which has no way to be told: first let jobs say that they failed."""
    deadline = time.monotonic() + JOBS_END_S
    while _jobs_in_hand() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    # The SDK's heartbeat is a process that would go on saying that this worker lives.
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)
