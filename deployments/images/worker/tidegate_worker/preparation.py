"""From an environment to an engine that serves the right model: fetch, prove, load. The same for both modes."""

import os
import threading
import time
from collections.abc import Callable

from tidegate_worker.configuration import Configuration
from tidegate_worker.engine import Engine, engine_command, engine_environment, engine_version, find_engine
from tidegate_worker.json_log import JsonLog
from tidegate_worker.machine import find_gpu, memory_bytes
from tidegate_worker.model_file import bring_model
from tidegate_worker.model_location import LocalModel, locate_model
from tidegate_worker.problems import Stopped
from tidegate_worker.worker_state import Phase, WorkerState

PROGRESS_INTERVAL_S = 10.0


def prepare(
    wanted: Configuration,
    state: WorkerState,
    log: JsonLog,
    stopping: threading.Event,
    on_engine_end: Callable[[int], None],
    host: str,
    port: int,
) -> None:
    """Leaves a serving engine in `state`. Raises: WorkerProblem, Stopped."""
    binary = find_engine(wanted.engine_bin_dir)
    environment = engine_environment(os.environ, wanted.engine_key)
    state.engine_version = engine_version(binary, engine_environment(os.environ))
    state.gpu, state.memory_bytes = find_gpu(), memory_bytes()
    location = locate_model(wanted.model_url, os.environ)

    state.enter(Phase.FETCHING)
    began = time.monotonic()
    shown = str(location.path) if isinstance(location, LocalModel) else location.shown
    log.info("fetching_model", source=shown)
    progress = _ProgressLog(state, log)
    path = bring_model(location, wanted.digest, wanted.model_cache_dir, stopping, progress)
    log.info("model_proven", path=str(path), bytes=path.stat().st_size, took_s=_since(began))

    if stopping.is_set():
        raise Stopped
    state.enter(Phase.LOADING)
    began = time.monotonic()
    engine = Engine(engine_command(binary, path, wanted, host, port), environment, host, port, log)
    state.engine = engine
    engine.start(on_engine_end)
    engine.wait_until_serving(wanted.digest, wanted.init_timeout_s, stopping)
    log.info("engine_serving", took_s=_since(began), engine_version=state.engine_version)


class _ProgressLog:
    """Notes each step of a download, and logs one every few seconds."""

    def __init__(self, state: WorkerState, log: JsonLog):
        self._state, self._log = state, log
        self._next = time.monotonic() + PROGRESS_INTERVAL_S

    def __call__(self, received: int, total: int | None) -> None:
        self._state.note_progress(received, total)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PROGRESS_INTERVAL_S
            self._log.info("fetching_model", received_bytes=received, total_bytes=total)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)
