"""The queues: jobs waiting, taken, done, lost and expired. Decides by the table in `job_states`."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tidegate.platforms.runpod.emulator.clock import Clock
from tidegate.platforms.runpod.emulator.job_states import JobEvent, JobStatus, after, is_terminal, loss
from tidegate.platforms.runpod.emulator.persistence import Documents
from tidegate.platforms.runpod.emulator.scaling import Demand
from tidegate.platforms.runpod.emulator.state import Endpoint, Job, Json, as_json
from tidegate.platforms.runpod.emulator.timings import Timings

LOST_TEXT = "job timed out after 1 retries"


@dataclass
class Follower:
    """What changes in a job while somebody waits for it; dies with the emulator."""

    chunks: deque[Any] = field(default_factory=deque[Any])
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


@dataclass
class Take:
    """An open long-poll of a worker."""

    worker_id: str
    size: int
    reply: "asyncio.Future[list[Job]]"


class JobBoard:
    """All jobs of all endpoints, and the workers that wait for one."""

    def __init__(self, documents: Documents, clock: Clock, timings: Timings):
        self._documents = documents
        self._clock = clock
        self._timings = timings
        self.jobs = {row["id"]: Job(**row) for row in documents.load("job")}
        self._followers: dict[str, Follower] = {}
        self._queues: dict[str, deque[str]] = {}
        self._running: dict[str, Job] = {
            job.id: job for job in self.jobs.values() if job.status == JobStatus.IN_PROGRESS
        }
        self._takes: dict[str, list[Take]] = {}
        self._stops: dict[str, tuple[list[str], asyncio.Event]] = {}
        self.on_finished: Callable[[Job], None] = lambda job: None
        self.on_recycle: Callable[[str, str], None] = lambda endpoint_id, worker_id: None
        self.on_lost: Callable[[str, str, float], None] = lambda endpoint_id, worker_id, lease_s: None
        for job in self.jobs.values():
            if job.status == JobStatus.IN_QUEUE:
                self._queue(job.endpoint_id).append(job.id)

    # What callers do

    def submit(self, endpoint: Endpoint, body: Json, *, is_sync: bool) -> Job:
        now = self._clock.now()
        policy: Json = body.get("policy") or {}
        default_s = endpoint.config["timeout"] / 1000 or self._timings.execution_timeout_s
        limit_ms = policy.get("executionTimeout")
        ttl_ms = policy.get("ttl")
        job = Job(
            id=f"{'sync-' if is_sync else ''}{uuid.uuid4()}-u1",
            endpoint_id=endpoint.id,
            organization=endpoint.organization,
            input=body["input"] or None,
            created_at=now,
            queued_at=now,
            status=JobStatus.IN_QUEUE,
            is_sync=is_sync,
            ttl_s=self._timings.job_ttl_s if ttl_ms is None else ttl_ms / 1000,
            execution_timeout_s=default_s if limit_ms is None else limit_ms / 1000,
            is_low_priority=bool(policy.get("lowPriority")),
            webhook=body.get("webhook"),
        )
        self.jobs[job.id] = job
        self._save(job)
        self._queue(endpoint.id).append(job.id)
        self._hand_out(endpoint.id)
        return job

    def cancel(self, job: Job) -> None:
        if job.status == JobStatus.IN_PROGRESS:
            self._stop_at_worker(job.worker_id, job.id)
        self._change(job, JobEvent.CANCEL)

    def retry(self, job: Job) -> bool:
        """Only failed and timed out jobs; the same id goes back to the queue."""
        if after(job.status, JobEvent.RETRY) is None:
            return False
        job.losses, job.output, job.has_output, job.error = 0, None, False, None
        job.finished_at = job.delay_ms = job.execution_ms = None
        self._requeue(job, JobEvent.RETRY)
        return True

    def purge(self, endpoint_id: str) -> int:
        waiting = [self.jobs[identifier] for identifier in list(self._queue(endpoint_id))]
        for job in waiting:
            self._remove(job)
        return len(waiting)

    def drop_endpoint(self, endpoint_id: str) -> None:
        """A deleted endpoint cancels and forgets everything."""
        for job in [job for job in self.jobs.values() if job.endpoint_id == endpoint_id]:
            if not is_terminal(job.status):
                self._change(job, JobEvent.CANCEL)
            self._remove(job)

    # What workers do

    def poll(self, endpoint_id: str, worker_id: str, size: int) -> "asyncio.Future[list[Job]]":
        """A take that is answered as soon as there is work."""
        take = Take(worker_id, size, asyncio.get_running_loop().create_future())
        self._takes.setdefault(endpoint_id, []).append(take)
        self._hand_out(endpoint_id)
        return take.reply

    def leave(self, endpoint_id: str, reply: "asyncio.Future[list[Job]]") -> None:
        """The worker no longer waits."""
        takes = self._takes.get(endpoint_id, [])
        self._takes[endpoint_id] = [take for take in takes if take.reply is not reply]

    def close_polls(self, endpoint_id: str, worker_id: str) -> None:
        """Answer the open polls with nothing: a job handed out after SIGTERM would be lost."""
        for take in self._takes.get(endpoint_id, []):
            if take.worker_id == worker_id and not take.reply.done():
                take.reply.set_result([])

    def done(self, job: Job, worker_id: str, body: Json) -> None:
        """A result, an error or progress. Late ones and those of other workers change nothing."""
        if job.worker_id != worker_id or job.status != JobStatus.IN_PROGRESS:
            return
        if body.get("status") == JobStatus.IN_PROGRESS:
            job.output, job.has_output = body.get("output"), True
            self._save(job)
            return
        if "output" in body:
            job.output, job.has_output = body["output"], True
        if "error" in body:
            job.error = body["error"] if isinstance(body["error"], str) else str(body["error"])
            self._change(job, JobEvent.FAIL)
        else:
            self._change(job, JobEvent.COMPLETE)

    def add_chunk(self, job: Job, worker_id: str, chunk: Any) -> None:
        if job.worker_id == worker_id and job.status == JobStatus.IN_PROGRESS:
            self.follower(job.id).chunks.append(chunk)
            self.follower(job.id).wake()

    def ping(self, worker_id: str, job_ids: Iterable[str]) -> None:
        """Renew leases. A job that is not the worker's any more is to be stopped, once more if need be: the
        SDK ignores a stop that arrives before it has begun the job."""
        now = self._clock.now()
        for identifier in job_ids:
            job = self._running.get(identifier)
            if job is not None and job.worker_id == worker_id:
                job.seen_at, job.is_acknowledged = now, True
            else:
                self._stop_at_worker(worker_id, identifier)

    async def jobs_to_stop(self, worker_id: str, hold_s: float) -> list[str]:
        identifiers, changed = self._stops.setdefault(worker_id, ([], asyncio.Event()))
        if not identifiers:
            try:
                await asyncio.wait_for(changed.wait(), timeout=hold_s)
            except TimeoutError:
                return []
        self._stops.pop(worker_id, None)
        return identifiers

    def pending_stops(self, worker_id: str) -> list[str]:
        """Jobs that the worker will be told to stop when it asks next."""
        waiting = self._stops.get(worker_id)
        return list(waiting[0]) if waiting else []

    # What time does

    def tick(self) -> None:
        """Leases, execution limits, TTL and retention."""
        now = self._clock.now()
        for job in list(self.jobs.values()):
            if now - job.created_at >= job.ttl_s:
                self._expire(job)
            elif job.status == JobStatus.IN_PROGRESS:
                self._check_running(job, now)
            elif is_terminal(job.status) and now - (job.finished_at or now) >= self._retention_s(job):
                self._remove(job)

    def _check_running(self, job: Job, now: float) -> None:
        assert job.taken_at is not None
        if now - job.taken_at >= job.execution_timeout_s:
            self._stop_at_worker(job.worker_id, job.id)
            self._change(job, JobEvent.EXECUTION_LIMIT)
            self.on_recycle(job.endpoint_id, job.worker_id or "")
            return
        lease_s = self._timings.lease_lost_s if job.is_acknowledged else self._timings.unacknowledged_s
        if now - (job.seen_at or job.taken_at) < lease_s:
            return
        self.on_lost(job.endpoint_id, job.worker_id or "", lease_s)
        event = loss(job.losses)
        if event is JobEvent.WORKER_LOST:
            job.losses += 1
            self._requeue(job, event)
        else:
            job.error = LOST_TEXT
            self._change(job, event)

    def _retention_s(self, job: Job) -> float:
        return self._timings.sync_retention_s if job.is_sync else self._timings.async_retention_s

    def _expire(self, job: Job) -> None:
        if job.status == JobStatus.IN_PROGRESS:
            self._stop_at_worker(job.worker_id, job.id)
        self._remove(job)

    # What others ask

    def demand(self, endpoint_id: str) -> Demand:
        now = self._clock.now()
        waiting = [self.jobs[identifier] for identifier in self._queue(endpoint_id)]
        counted = [job for job in waiting if not job.is_low_priority]
        oldest = max((now - job.queued_at for job in counted), default=0.0)
        return Demand(len(counted), len(self.running(endpoint_id)), oldest)

    def running(self, endpoint_id: str) -> list[Job]:
        return [job for job in self._running.values() if job.endpoint_id == endpoint_id]

    def running_on(self, worker_id: str) -> list[Job]:
        return [job for job in self._running.values() if job.worker_id == worker_id]

    def queued(self, endpoint_id: str) -> int:
        return len(self._queue(endpoint_id))

    def follower(self, job_id: str) -> Follower:
        return self._followers.setdefault(job_id, Follower())

    async def wait_changed(self, job: Job, timeout_s: float) -> None:
        """Until the job changes, gains a chunk, or time is up."""
        try:
            await asyncio.wait_for(self.follower(job.id).changed.wait(), timeout=max(0.0, timeout_s))
        except TimeoutError:
            return

    # The rest

    def _queue(self, endpoint_id: str) -> deque[str]:
        return self._queues.setdefault(endpoint_id, deque())

    def _hand_out(self, endpoint_id: str) -> None:
        queue = self._queue(endpoint_id)
        takes = [take for take in self._takes.get(endpoint_id, []) if not take.reply.done()]
        self._takes[endpoint_id] = takes
        for take in takes:
            batch: list[Job] = []
            while queue and len(batch) < take.size:
                batch.append(self._taken(self.jobs[queue.popleft()], take.worker_id))
            if not batch:
                return
            take.reply.set_result(batch)

    def _taken(self, job: Job, worker_id: str) -> Job:
        now = self._clock.now()
        job.worker_id, job.taken_at, job.seen_at, job.is_acknowledged = worker_id, now, now, False
        job.delay_ms = int((now - job.queued_at) * 1000)
        self._change(job, JobEvent.TAKE)
        return job

    def _requeue(self, job: Job, event: JobEvent) -> None:
        job.retries += 1
        job.worker_id = job.taken_at = job.seen_at = None
        job.queued_at = self._clock.now()
        self.follower(job.id).chunks.clear()
        self._change(job, event)
        self._queue(job.endpoint_id).append(job.id)
        self._hand_out(job.endpoint_id)

    def _change(self, job: Job, event: JobEvent) -> None:
        status = after(job.status, event)
        if status is None:
            return
        if job.status == JobStatus.IN_QUEUE and status is not JobStatus.IN_PROGRESS:
            self._unqueue(job)
        job.status = status.value
        if status is JobStatus.IN_PROGRESS:
            self._running[job.id] = job
        else:
            self._running.pop(job.id, None)
        if is_terminal(status):
            now = self._clock.now()
            job.finished_at = now
            if job.taken_at is not None:
                job.execution_ms = int((now - job.taken_at) * 1000)
        self._save(job)
        self.follower(job.id).wake()
        if is_terminal(status):
            self.on_finished(job)

    def _unqueue(self, job: Job) -> None:
        queue = self._queue(job.endpoint_id)
        if job.id in queue:
            queue.remove(job.id)

    def _stop_at_worker(self, worker_id: str | None, job_id: str) -> None:
        if worker_id is None:
            return
        identifiers, changed = self._stops.setdefault(worker_id, ([], asyncio.Event()))
        if job_id not in identifiers:
            identifiers.append(job_id)
        changed.set()

    def _remove(self, job: Job) -> None:
        self._unqueue(job)
        self._running.pop(job.id, None)
        self.jobs.pop(job.id, None)
        self._documents.delete("job", job.id)
        follower = self._followers.pop(job.id, None)
        if follower is not None:
            follower.wake()

    def _save(self, job: Job) -> None:
        self._documents.save("job", job.id, as_json(job))
