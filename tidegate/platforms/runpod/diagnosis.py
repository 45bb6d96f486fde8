"""From what was seen of a set on RunPod to its state, and to what must be done about it. Pure.

Ready means two things at once: RunPod says that a worker can serve, and a worker proved the digest. A word of
RunPod's that we do not know is never ready.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from tidegate.domain import SetState
from tidegate.platforms.runpod.marks import Marks, Wanted
from tidegate.platforms.runpod.replies import Worker, WorkerBounds, WorkerStatus

SERVING = frozenset({WorkerStatus.IDLE, WorkerStatus.RUNNING})
PAID = SERVING | {WorkerStatus.INITIALIZING}
START_LINES = ("start container", "starting container")
"""What RunPod's system log says each time a container begins; repeated, with nothing served, it is a loop."""


class Action(StrEnum):
    """What must be done about a set beside telling its state."""

    NONE = "none"
    REPAIR = "repair"
    """Give it back the workers that RunPod took away."""
    GIVE_UP = "give_up"
    """Workers to 0 and keep the reason: it would cost money for ever and never serve."""
    END = "end"
    """Finish a stop that broke off after it was wanted."""
    TAKE_BACK = "take_back"
    """Remove it, because there is no machine for it: it can be asked for elsewhere, or later."""


@dataclass(frozen=True)
class Proof:
    """What a worker said when it was asked which file it serves: the digest, or why it did not answer."""

    digest: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Rules:
    """When patience ends, in seconds and in counts."""

    init_timeout_s: float = 900.0
    throttled_timeout_s: float = 600.0
    crash_starts: int = 4
    lost_workers: int = 4


@dataclass(frozen=True)
class Seen:
    """Everything that was seen at one moment. `trouble_s`: for how long it has not been ready."""

    marks: Marks
    bounds: WorkerBounds
    workers: tuple[Worker, ...]
    trouble_s: float = 0.0
    proof: Proof | None = None
    was_ready: bool = False
    container_starts: int = 0
    lost_workers: int = 0

    @property
    def current(self) -> tuple[Worker, ...]:
        """Without those of an older version, which serve something that was wanted before."""
        return tuple(worker for worker in self.workers if not worker.is_stale)

    @property
    def paid_workers(self) -> int:
        """Those that have a machine. An image that is being pulled is not billed; that cannot be seen from here."""
        return sum(worker.status in PAID for worker in self.workers)

    @property
    def has_serving_worker(self) -> bool:
        return any(worker.status in SERVING for worker in self.current)


@dataclass(frozen=True)
class Judgement:
    """The state, why, and what to do."""

    state: SetState
    message: str = ""
    action: Action = Action.NONE


def judge(seen: Seen, rules: Rules) -> Judgement:
    """The first rule that applies decides; the order is: what we want, what is proven, what is hopeless."""
    marks = seen.marks
    if marks.wanted is Wanted.FAILED:
        return Judgement(SetState.FAILED, marks.problem or "given up")
    if marks.wanted is Wanted.STOPPED:
        return Judgement(SetState.STOPPING if seen.workers else SetState.STOPPED)
    if seen.proof is not None and seen.proof.digest is not None:
        return _proven(seen, seen.proof.digest)
    if seen.bounds.max == 0:
        return Judgement(
            SetState.DEGRADED,
            f"RunPod set its workers to 0 (wanted {marks.max_workers}): it does so to endpoints without requests.",
            Action.REPAIR,
        )
    hopeless = _hopeless(seen, rules)
    return hopeless or _waiting(seen)


def _proven(seen: Seen, digest: str) -> Judgement:
    marks = seen.marks
    if digest != marks.digest:
        return Judgement(
            SetState.FAILED,
            f"A worker serves digest {digest[:12]}, not {marks.digest[:12]}.",
            Action.GIVE_UP,
        )
    if not seen.has_serving_worker:
        return _waiting(seen)
    if _is_shrunk(seen):
        return Judgement(
            SetState.READY,
            f"RunPod took workers away: {seen.bounds.min}/{seen.bounds.max} instead of "
            f"{marks.min_workers}/{marks.max_workers}.",
            Action.REPAIR,
        )
    return Judgement(SetState.READY)


def _hopeless(seen: Seen, rules: Rules) -> Judgement | None:
    if seen.container_starts >= rules.crash_starts:
        return Judgement(
            SetState.FAILED,
            f"Its container was started {seen.container_starts} times and never served.",
            Action.GIVE_UP,
        )
    if seen.lost_workers >= rules.lost_workers:
        return Judgement(
            SetState.FAILED, f"It lost {seen.lost_workers} workers and none ever served.", Action.GIVE_UP
        )
    has_machine = any(worker.status != WorkerStatus.THROTTLED for worker in seen.current)
    if not has_machine and seen.trouble_s > rules.throttled_timeout_s:
        return Judgement(
            SetState.PENDING,
            f"RunPod had no machine for it for {seen.trouble_s:.0f} s.",
            Action.TAKE_BACK if not seen.was_ready else Action.NONE,
        )
    if has_machine and seen.trouble_s > rules.init_timeout_s:
        return Judgement(
            SetState.FAILED,
            f"No worker was ready within {rules.init_timeout_s:.0f} s ({_counted(seen)}).",
            Action.GIVE_UP,
        )
    return None


def _waiting(seen: Seen) -> Judgement:
    """Not ready and not hopeless yet."""
    words = {worker.status for worker in seen.current}
    text = _counted(seen)
    action = Action.REPAIR if _is_shrunk(seen) else Action.NONE
    if seen.was_ready:
        return Judgement(SetState.DEGRADED, text, action)
    if not words or words == {WorkerStatus.THROTTLED}:
        return Judgement(SetState.PENDING, f"waits for a machine ({text})", action)
    if not words & set(WorkerStatus):
        return Judgement(SetState.UNKNOWN, text, action)
    return Judgement(SetState.STARTING, text, action)


def _is_shrunk(seen: Seen) -> bool:
    return seen.bounds.max < seen.marks.max_workers or seen.bounds.min < seen.marks.min_workers


def _counted(seen: Seen) -> str:
    counts = Counter(worker.status.lower() for worker in seen.current)
    workers = ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "no worker"
    return f"{workers}; {seen.proof.problem}" if seen.proof and seen.proof.problem else workers


def count_starts(system_lines: list[str]) -> int:
    """How often a container began, by RunPod's system log."""
    return sum(any(words in line.lower() for words in START_LINES) for line in system_lines)
