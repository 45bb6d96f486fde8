"""The life of a job as a table: which event leads from which status to which. Pure."""

from enum import StrEnum


class JobStatus(StrEnum):
    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


class JobEvent(StrEnum):
    TAKE = "take"
    COMPLETE = "complete"
    FAIL = "fail"
    CANCEL = "cancel"
    EXECUTION_LIMIT = "execution_limit"
    WORKER_LOST = "worker_lost"
    WORKER_LOST_AGAIN = "worker_lost_again"
    RETRY = "retry"


TERMINAL = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMED_OUT})
MAX_LOSSES = 1

_TABLE: dict[tuple[JobStatus, JobEvent], JobStatus] = {
    (JobStatus.IN_QUEUE, JobEvent.TAKE): JobStatus.IN_PROGRESS,
    (JobStatus.IN_QUEUE, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.IN_PROGRESS, JobEvent.COMPLETE): JobStatus.COMPLETED,
    (JobStatus.IN_PROGRESS, JobEvent.FAIL): JobStatus.FAILED,
    (JobStatus.IN_PROGRESS, JobEvent.CANCEL): JobStatus.CANCELLED,
    (JobStatus.IN_PROGRESS, JobEvent.EXECUTION_LIMIT): JobStatus.TIMED_OUT,
    (JobStatus.IN_PROGRESS, JobEvent.WORKER_LOST): JobStatus.IN_QUEUE,
    (JobStatus.IN_PROGRESS, JobEvent.WORKER_LOST_AGAIN): JobStatus.FAILED,
    (JobStatus.FAILED, JobEvent.RETRY): JobStatus.IN_QUEUE,
    (JobStatus.TIMED_OUT, JobEvent.RETRY): JobStatus.IN_QUEUE,
}


def after(status: str, event: JobEvent) -> JobStatus | None:
    """The status that follows, or None where the event means nothing (a late result, a second cancel)."""
    return _TABLE.get((JobStatus(status), event))


def loss(losses: int) -> JobEvent:
    """A lost worker costs the job one more try; the second loss fails it."""
    return JobEvent.WORKER_LOST if losses < MAX_LOSSES else JobEvent.WORKER_LOST_AGAIN


def is_terminal(status: str) -> bool:
    return JobStatus(status) in TERMINAL
