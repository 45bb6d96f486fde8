"""What one process remembers of the sets of an account, and how long an answer may be used again.

RunPod allows 60 requests a minute for a whole account, so that what the control plane said is kept for some seconds.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from tidegate.domain import Transient
from tidegate.platforms.runpod.pace import Pace

Result = TypeVar("Result")


@dataclass(frozen=True)
class Freshness:
    """For how many seconds an answer may be used again, and how long a worker may take for one."""

    starting_s: float = 5.0
    ready_s: float = 20.0
    outage_s: float = 120.0
    """While RunPod's control plane fails, its last word is used so long: workers still prove themselves."""
    proof_s: float = 2.0
    queue_proof_s: float = 30.0
    """A queue answers by a job, and a worker takes about one job a second: users come first."""
    proof_timeout_s: float = 10.0
    log_s: float = 20.0
    log_after_s: float = 10.0
    """Every image is pulled and every model loaded for a while: no reason to read logs yet."""
    log_quiet_s: float = 1.0
    report_s: float = 30.0
    """How much memory an engine holds changes slowly."""


@dataclass
class Kept:
    """An answer and when it was given."""

    at: float
    value: Any


@dataclass
class Memory:
    """What this process remembers of a set. Losing it costs patience, never a set."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    resource_id: str | None = None
    trouble_since: float | None = None
    was_ready: bool = False
    load_s: float | None = None
    worker_ids: set[str] = field(default_factory=set[str])
    last_workers: tuple[str, ...] = ()
    """Whose logs can be asked for: RunPod keeps them a while after a worker has left its list."""
    answers: dict[str, Kept] = field(default_factory=dict[str, Kept])
    repaired_at: float | None = None
    starved: set[str] = field(default_factory=set[str])
    """Pools, or types of pods with their cloud, that had no machine."""
    revivals: int = 0
    """How often it was started again since it was ready last."""
    revived_at: float | None = None
    restarts: int = 0
    """Starts of its workers after their first, as far as this process saw them."""
    starts: dict[str, datetime] = field(default_factory=dict[str, datetime])

    def forget(self) -> None:
        """Start anew, with the next one of that name. What was out of stock stays known."""
        self.resource_id = None
        self.trouble_since = None
        self.was_ready = False
        self.load_s = None
        self.worker_ids.clear()
        self.last_workers = ()
        self.answers.clear()
        self.repaired_at = None
        self.revivals = 0
        self.revived_at = None
        self.restarts = 0
        self.starts.clear()

    def note(self, is_ready: bool, now: float) -> None:
        """How a look ended: trouble begins with the first look that does not find it ready."""
        if is_ready:
            if self.trouble_since is not None and not self.was_ready:
                self.load_s = now - self.trouble_since
            self.was_ready = True
            self.trouble_since = None
            self.revivals = 0
            self.worker_ids.clear()
        elif self.trouble_since is None:
            self.trouble_since = now


class Memories:
    """One memory a set, and answers kept in them."""

    def __init__(self, freshness: Freshness, pace: Pace):
        self.freshness = freshness
        self.pace = pace
        self._memories: dict[str, Memory] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Memory:
        with self._lock:
            return self._memories.setdefault(name, Memory())

    def keep(self, memory: Memory, key: str, value: Any) -> None:
        memory.answers[key] = Kept(self.pace.now(), value)

    def age_limit(self, memory: Memory) -> float:
        is_steady = memory.was_ready and memory.trouble_since is None
        return self.freshness.ready_s if is_steady else self.freshness.starting_s

    def kept(self, memory: Memory, key: str, age_s: float, ask: Callable[[], Result]) -> Result:
        kept = memory.answers.get(key)
        old_s = self.pace.now() - kept.at if kept is not None else 0.0
        if kept is not None and old_s < age_s:
            return cast("Result", kept.value)
        try:
            value = ask()
        except Transient:
            if kept is None or old_s > self.freshness.outage_s:
                raise
            return cast("Result", kept.value)
        memory.answers[key] = Kept(self.pace.now(), value)
        return value
