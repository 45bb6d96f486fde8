"""What a worker is doing right now, written by the thread that does it and read by whoever asks."""

import threading
import time
from enum import StrEnum
from typing import Any

from tidegate_worker.configuration import Configuration
from tidegate_worker.engine import Engine
from tidegate_worker.machine import Gpu
from tidegate_worker.problems import WorkerProblem


class Phase(StrEnum):
    """In this order; `FAILED` may follow any."""

    STARTING = "starting"
    FETCHING = "fetching"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class WorkerState:
    """Facts about one worker. Holds no decision: the phases are set by `serving`."""

    def __init__(self, wanted: Configuration):
        self._wanted = wanted
        self._lock = threading.Lock()
        self._phase = Phase.STARTING
        self._since = time.monotonic()
        self.problem: WorkerProblem | None = None
        self.engine: Engine | None = None
        self.engine_url = ""
        self.engine_version: str | None = None
        self.gpu: Gpu | None = None
        self.memory_bytes: int | None = None
        self.fetched_bytes = 0
        self.model_bytes: int | None = None

    @property
    def phase(self) -> Phase:
        with self._lock:
            return self._phase

    def enter(self, phase: Phase) -> None:
        """A worker that failed stays so."""
        with self._lock:
            if self._phase is not Phase.FAILED:
                self._phase = phase

    def fail(self, problem: WorkerProblem) -> None:
        with self._lock:
            self.problem = problem
            self._phase = Phase.FAILED

    def note_progress(self, received: int, total: int | None) -> None:
        self.fetched_bytes, self.model_bytes = received, total

    def report(self) -> dict[str, Any]:
        """The worker's identity and health in one object, for `GET /worker` and the report job."""
        return {
            "state": self.phase.value,
            "mode": self._wanted.mode,
            "digest": self._wanted.digest,
            "set": self._wanted.set_name,
            "release": self._wanted.release_id,
            "engine_version": self.engine_version,
            "gpu": self.gpu.as_dict() if self.gpu else None,
            "memory_bytes": self.memory_bytes,
            "engine_memory_bytes": self.engine.memory_bytes() if self.engine else None,
            "fetched_bytes": self.fetched_bytes,
            "model_bytes": self.model_bytes,
            "problem": self.problem.as_dict() if self.problem else None,
            "uptime_s": round(time.monotonic() - self._since, 3),
        }
