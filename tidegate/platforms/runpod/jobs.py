"""RunPod's job plane: what a QUEUE endpoint is asked. Uses the URLs that the endpoint told, never its own."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from pydantic import Field

from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.errors import BadReply
from tidegate.platforms.runpod.pace import wait_for
from tidegate.platforms.runpod.replies import Endpoint, Reply
from tidegate.platforms.runpod.sse import events
from tidegate.platforms.runpod.transport import Call, Transport, entries, lines_of, parse
from tidegate.platforms.runpod.wire import UNSET, Ask, Maybe

JOB_ID = "{job_id}"
MIN_WAIT_MS, MAX_WAIT_MS = 1000, 300_000
EDGE_SLACK_S = 15.0
MAX_CHUNK_BYTES = 4 * 1024 * 1024


class JobStatus(StrEnum):
    """The words that RunPod documents. A word that is not here is not an end."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.TIMED_OUT})


class JobPolicy(Ask):
    """Limits of one job, in milliseconds. `ttl` counts from submission; when it is over the job is forgotten."""

    execution_timeout: Maybe[int] = Field(default=UNSET, ge=5000, le=7 * 86_400_000)
    ttl: Maybe[int] = Field(default=UNSET, ge=10_000, le=7 * 86_400_000)
    low_priority: Maybe[bool] = UNSET


class Job(Reply):
    """A job as RunPod sees it. `output` is the last progress while it runs."""

    id: str
    status: str
    delay_time: int | None = None
    execution_time: int | None = None
    output: Any = Field(default=None, repr=False)
    error: Any = None
    retries: int = 0
    worker_id: str | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class JobCounts(Reply):
    """Jobs of an endpoint; `completed` and `failed` add up over some time."""

    completed: int = 0
    failed: int = 0
    in_progress: int = 0
    in_queue: int = 0
    retried: int = 0


class WorkerCounts(Reply):
    """Workers of an endpoint as its queue sees them; may lag, and may contradict the control plane."""

    idle: int = 0
    initializing: int = 0
    ready: int = 0
    running: int = 0
    throttled: int = 0
    unhealthy: int = 0


class Health(Reply):
    """Counters of an endpoint."""

    jobs: JobCounts = JobCounts()
    workers: WorkerCounts = WorkerCounts()


class Piece(Reply):
    """One piece of a streamed output."""

    output: Any = None


class Purged(Reply):
    """What a purge did."""

    removed: int = 0


class JobPlane:
    """What can be done with the jobs of an endpoint."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def run(
        self,
        endpoint: Endpoint,
        job_input: Mapping[str, object],
        *,
        policy: JobPolicy | None = None,
        webhook: str | None = None,
    ) -> Job:
        """Queue a job. Never sent twice: after a lost reply it may run, and only its ttl ends it."""
        body = job_body(job_input, policy, webhook)
        call = Call("POST", _url(endpoint, "run"), f"run a job on {endpoint.name}", body=body)
        return self._transport.model(call, Job)

    def run_sync(
        self,
        endpoint: Endpoint,
        job_input: Mapping[str, object],
        *,
        wait_ms: int = 90_000,
        policy: JobPolicy | None = None,
    ) -> Job:
        """Queue a job and wait; the job may still run when the wait is over: then ask `status`."""
        wait_ms = max(MIN_WAIT_MS, min(wait_ms, MAX_WAIT_MS))
        call = Call(
            "POST",
            _url(endpoint, "run_sync"),
            f"run a job on {endpoint.name} and wait",
            body=job_body(job_input, policy, None),
            query={"wait": str(wait_ms)},
            timeout_s=wait_ms / 1000 + EDGE_SLACK_S,
        )
        return self._transport.model(call, Job)

    def status(self, endpoint: Endpoint, job_id: str) -> Job:
        """Raises: Missing when it is unknown, or its result is no longer kept."""
        return self._transport.model(
            Call("GET", _job_url(endpoint, "status", job_id), f"read job {job_id}"), Job
        )

    def wait(self, endpoint: Endpoint, job_id: str, timeout_s: float) -> Job:
        """The job when it ended, or as it was when the time was over."""
        return wait_for(
            lambda: self.status(endpoint, job_id),
            lambda job: job.has_ended,
            timeout_s=timeout_s,
            pace=self._transport.pace,
            longest_s=5.0,
        )

    def stream(self, endpoint: Endpoint, job_id: str, timeout_s: float) -> Iterator[Any]:
        """Pieces of the output until the job has ended and all were given, or the time is over.

        RunPod gives each piece once, so an answer that is lost on the way takes its pieces with it: such a
        request is not repeated here, the error goes to the caller.
        """
        what = f"stream job {job_id}"
        deadline = self._transport.pace.now() + timeout_s
        while True:
            call = Call("GET", _job_url(endpoint, "stream", job_id), what, is_repeatable=False)
            data: Any = self._transport.json(call)
            pieces = entries(data, "stream", what)
            for piece in pieces:
                yield parse(Piece, piece, what).output
            if (not pieces and data.get("status") in ENDED) or self._transport.pace.now() >= deadline:
                return
            if not pieces:
                # RunPod holds the request while there is nothing new; an edge that does not must not be hammered.
                self._transport.pace.sleep(self._transport.pace.jittered(1.0))

    def cancel(self, endpoint: Endpoint, job_id: str) -> Job:
        """Cancel a queued or running job; doing it twice does no harm."""
        call = Call("POST", _job_url(endpoint, "cancel", job_id), f"cancel job {job_id}", is_repeatable=True)
        return self._transport.model(call, Job)

    def retry(self, endpoint: Endpoint, job_id: str) -> Job:
        """Queue a failed job again under its own id, while its result is kept."""
        return self._transport.model(
            Call("POST", _job_url(endpoint, "retry", job_id), f"retry job {job_id}"), Job
        )

    def purge(self, endpoint: Endpoint) -> int:
        """Forget every queued job, and say how many; running ones go on."""
        call = Call(
            "POST", _url(endpoint, "purge_queue"), f"purge the queue of {endpoint.name}", is_repeatable=True
        )
        return self._transport.model(call, Purged).removed

    def health(self, endpoint: Endpoint) -> Health:
        """Raises: Missing for some seconds after an endpoint was made."""
        call = Call("GET", _url(endpoint, "health"), f"read health of {endpoint.name}")
        return self._transport.model(call, Health)

    def openai(
        self, endpoint: Endpoint, path: str, body: Mapping[str, object] | None, timeout_s: float
    ) -> Any:
        """One call to the OpenAI route: `path` as `/v1/chat/completions`; without a body it is a GET."""
        return self._transport.json(_openai_call(endpoint, path, body, timeout_s))

    def openai_stream(
        self, endpoint: Endpoint, path: str, body: Mapping[str, object], timeout_s: float
    ) -> Iterator[str]:
        """The data of each event of a streamed completion, `[DONE]` excluded."""
        call = _openai_call(endpoint, path, {**body, "stream": True}, timeout_s)
        with self._transport.stream(call, read_timeout_s=timeout_s) as response:
            for event in events(lines_of(response, MAX_CHUNK_BYTES)):
                if event.data == "[DONE]":
                    return
                yield event.data


def job_body(
    job_input: Mapping[str, object], policy: JobPolicy | None, webhook: str | None
) -> dict[str, object]:
    """Raises: InvalidInput for an empty input, which RunPod loses on the way: the job then fails after 40 s."""
    if not job_input:
        raise InvalidInput(
            "A job needs an input that is not empty.", remedy="Put at least one field into it.", field="input"
        )
    body: dict[str, object] = {"input": dict(job_input)}
    if policy is not None:
        body["policy"] = policy.body()
    if webhook is not None:
        body["webhook"] = webhook
    return body


def openai_base(endpoint: Endpoint) -> str:
    """Base URL for OpenAI clients, `.../openai/v1`: RunPod tells it nowhere, it stands beside `run`."""
    return _url(endpoint, "run").rpartition("/")[0] + "/openai/v1"


def _openai_call(endpoint: Endpoint, path: str, body: Mapping[str, object] | None, timeout_s: float) -> Call:
    return Call(
        "GET" if body is None else "POST",
        openai_base(endpoint) + path.removeprefix("/v1"),
        f"ask {endpoint.name} for {path}",
        body=body,
        timeout_s=timeout_s,
    )


def _url(endpoint: Endpoint, name: str) -> str:
    url: str | None = getattr(endpoint.request_urls, name)
    if url is None:
        raise BadReply(
            f"RunPod told no '{name}' URL for endpoint {endpoint.name} ({endpoint.type}).",
            remedy="Only QUEUE endpoints have jobs; read the endpoint again.",
            endpoint=endpoint.id,
        )
    return url


def _job_url(endpoint: Endpoint, name: str, job_id: str) -> str:
    return _url(endpoint, name).replace(JOB_ID, quote(job_id, safe=""))
