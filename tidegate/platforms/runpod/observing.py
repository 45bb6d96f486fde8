"""Looks at one set on RunPod: its endpoint, its workers, what a worker says that it serves.

What a worker proves is asked of the worker itself, much more often than the control plane is asked, because that is
what must be true now.
"""

from typing import Any, cast

from tidegate.domain import TidegateError
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.control import first_named
from tidegate.platforms.runpod.diagnosis import Proof, Seen, count_starts
from tidegate.platforms.runpod.errors import Missing
from tidegate.platforms.runpod.jobs import JobPolicy
from tidegate.platforms.runpod.logs import LogBounds
from tidegate.platforms.runpod.marks import Marks
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.remembering import Freshness, Memories, Memory
from tidegate.platforms.runpod.replies import Endpoint, Worker, WorkerList, WorkerStatus
from tidegate.platforms.runpod.wire import EndpointKind

MODELS_PATH = "/v1/models"
SICK = frozenset({WorkerStatus.UNHEALTHY, WorkerStatus.INITIALIZING})
SYSTEM_LOG_LINES = 200
MEMORY_FIELD = "engine_memory_bytes"
QUEUE_REPORT_FACTOR = 10
REPORT_TTL_MS = 10_000


class Observer:
    """All looks at the sets of one account."""

    def __init__(self, client: RunPodClient, freshness: Freshness, pace: Pace):
        self._client = client
        self._freshness = freshness
        self._pace = pace
        self._memories = Memories(freshness, pace)

    def memory(self, name: str) -> Memory:
        return self._memories.of(name)

    def find(self, name: str, *, is_fresh: bool = False) -> Endpoint | None:
        """The endpoint of a set. Of several with its name, the oldest: `all_of` finds the others."""
        memory = self.memory(name)
        age_s = 0.0 if is_fresh else self._memories.age_limit(memory)
        known = memory.resource_id
        if known is not None:
            try:
                return self._memories.kept(
                    memory, "endpoint", age_s, lambda: self._client.control.endpoint(known)
                )
            except Missing:
                memory.forget()
        found = first_named(self._client.control.list_endpoints(), name)
        if found is not None:
            self.seed(found)
        return found

    def all_of(self, name: str) -> list[Endpoint]:
        """Every endpoint of that name, oldest first."""
        rest = [one for one in self._client.control.list_endpoints() if one.name == name]
        found: list[Endpoint] = []
        while (oldest := first_named(rest, name)) is not None:
            found.append(oldest)
            rest.remove(oldest)
        return found

    def seed(self, endpoint: Endpoint) -> None:
        """Take over what a list or a create said already."""
        memory = self.memory(endpoint.name)
        memory.resource_id = endpoint.id
        self._memories.keep(memory, "endpoint", endpoint)

    def look(self, endpoint: Endpoint, marks: Marks) -> Seen:
        """Everything that the state of a set is judged by."""
        memory = self.memory(endpoint.name)
        workers = self._memories.kept(
            memory,
            "workers",
            self._memories.age_limit(memory),
            lambda: self._client.control.workers(endpoint.id),
        )
        self._count_starts(memory, workers)
        if workers.workers:
            memory.last_workers = tuple(worker.id for worker in workers.workers)
        seen = self._seen(endpoint, marks, memory, workers)
        if not seen.has_serving_worker or endpoint.workers.max == 0:
            # Whoever is still there is leaving: a question would wait for a worker that never comes.
            return self._with_losses(endpoint, seen, memory)
        is_queue = endpoint.type == EndpointKind.QUEUE
        age_s = self._freshness.queue_proof_s if is_queue else self._freshness.proof_s
        proof = self._memories.kept(memory, "proof", age_s, lambda: self._prove(endpoint))
        if proof.digest is None:
            # What the control plane said may be old: look and ask again at the next call.
            memory.answers.pop("workers", None)
            memory.answers.pop("proof", None)
        return self._seen(endpoint, marks, memory, workers, proof)

    def engine_memory(self, endpoint: Endpoint) -> int | None:
        """Resident memory of an engine, where a worker tells it. Seldom asked of a queue, where it is a job."""
        is_queue = endpoint.type == EndpointKind.QUEUE
        age_s = self._freshness.report_s * (QUEUE_REPORT_FACTOR if is_queue else 1)
        memory = self.memory(endpoint.name)

        def ask() -> int | None:
            try:
                report = (
                    self._queue_report(endpoint) if is_queue else self._client.load_balancer.report(endpoint)
                )
            except TidegateError:
                return None
            found = report.get(MEMORY_FIELD)
            return found if isinstance(found, int) else None

        return self._memories.kept(memory, "report", age_s, ask)

    def _queue_report(self, endpoint: Endpoint) -> dict[str, Any]:
        policy = JobPolicy(ttl=REPORT_TTL_MS, execution_timeout=REPORT_TTL_MS)
        job = self._client.jobs.run_sync(endpoint, {"report": True}, wait_ms=REPORT_TTL_MS, policy=policy)
        output = cast("list[object]", job.output) if isinstance(job.output, list) else [job.output]
        return cast("dict[str, Any]", output[0]) if output and isinstance(output[0], dict) else {}

    def _count_starts(self, memory: Memory, workers: WorkerList) -> None:
        """A worker that began anew under its own name was started again."""
        for worker in workers.workers:
            if worker.started_at is None:
                continue
            before = memory.starts.get(worker.id)
            memory.restarts += before is not None and worker.started_at > before
            memory.starts[worker.id] = worker.started_at

    def _seen(
        self,
        endpoint: Endpoint,
        marks: Marks,
        memory: Memory,
        workers: WorkerList,
        proof: Proof | None = None,
        starts: int = 0,
        lost: int = 0,
    ) -> Seen:
        since = memory.trouble_since
        return Seen(
            marks=marks,
            bounds=endpoint.workers,
            workers=workers.workers,
            trouble_s=0.0 if since is None else self._pace.now() - since,
            proof=proof,
            was_ready=memory.was_ready,
            container_starts=starts,
            lost_workers=lost,
        )

    def _with_losses(self, endpoint: Endpoint, seen: Seen, memory: Memory) -> Seen:
        """Nothing serves: how often did containers begin, and how many workers went away?"""
        present = {worker.id for worker in seen.current}
        # A worker that waits for a machine may come and go under new names: that is no loss.
        memory.worker_ids |= {one.id for one in seen.current if one.status != WorkerStatus.THROTTLED}
        starts = 0
        sick = [worker for worker in seen.current if worker.status in SICK]
        if sick and seen.trouble_s > self._freshness.log_after_s:
            starts = self._memories.kept(
                memory, "starts", self._freshness.log_s, lambda: self._most_starts(endpoint, sick)
            )
        return self._seen(
            endpoint,
            seen.marks,
            memory,
            WorkerList(workers=seen.workers),
            starts=starts,
            lost=len(memory.worker_ids - present),
        )

    def _most_starts(self, endpoint: Endpoint, sick: list[Worker]) -> int:
        """Of the sickest worker; 0 when its log cannot be read, because that is no evidence."""
        worker = min(sick, key=lambda one: one.status != WorkerStatus.UNHEALTHY)
        bounds = LogBounds(SYSTEM_LOG_LINES, self._freshness.log_quiet_s, total_s=5.0)
        try:
            lines = self._client.control.worker_log(
                endpoint.id, worker.id, source="system", tail=SYSTEM_LOG_LINES, bounds=bounds
            )
            return count_starts([line.line for line in lines])
        except TidegateError:
            return 0

    def _prove(self, endpoint: Endpoint) -> Proof:
        """Ask a worker which file it serves: the engine's list of models, which costs no generation."""
        limit_s = self._freshness.proof_timeout_s
        try:
            if endpoint.type == EndpointKind.QUEUE:
                data: object = self._client.jobs.openai(endpoint, MODELS_PATH, None, limit_s)
            else:
                data = self._client.load_balancer.ask(endpoint, MODELS_PATH, timeout_s=limit_s).data
        except TidegateError as error:
            return Proof(problem=error.message)
        return served_digest(data)


def served_digest(data: object) -> Proof:
    """The engine serves under our digest as the model's name. More or fewer than one model proves nothing."""
    listed: object = cast("dict[str, object]", data).get("data") if isinstance(data, dict) else None
    models = cast("list[object]", listed) if isinstance(listed, list) else []
    ids = [cast("dict[str, object]", one).get("id") for one in models if isinstance(one, dict)]
    if len(ids) != 1 or not isinstance(ids[0], str):
        return Proof(problem="a worker named no single model")
    return Proof(digest=ids[0])
