"""What a LOAD_BALANCER endpoint is asked: plain HTTP to its workers, streaming included.

RunPod queues nothing here and repeats nothing. A reply without the worker's mark comes from RunPod's edge.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from tidegate.domain import TidegateError
from tidegate.platforms.runpod.errors import BadReply, BadRequest, Missing, NoWorker, ServerTrouble
from tidegate.platforms.runpod.replies import Endpoint
from tidegate.platforms.runpod.sse import events
from tidegate.platforms.runpod.transport import Call, Transport, lines_of, read_json

WORKER_HEADER = "x-runpod-worker-id"
MAX_EVENT_BYTES = 4 * 1024 * 1024


class WorkerHealth(StrEnum):
    """What the health path says: 200, 204, anything else."""

    READY = "ready"
    INITIALIZING = "initializing"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class Answer:
    """A reply and the worker that gave it."""

    data: Any
    worker_id: str | None


class LoadBalancer:
    """Calls to the workers of a load-balancing endpoint."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def health(self, endpoint: Endpoint, timeout_s: float = 10.0) -> WorkerHealth:
        """Raises: what the network raises; an unhealthy worker is an answer, not an error."""
        url = endpoint.request_urls.health or f"{base_of(endpoint)}/ping"
        call = Call("GET", url, f"read health of {endpoint.name}", timeout_s=timeout_s, is_repeatable=False)
        try:
            response = self._transport.send(call)
        except (ServerTrouble, BadRequest, Missing):
            return WorkerHealth.UNHEALTHY
        return WorkerHealth.READY if response.status_code == 200 else WorkerHealth.INITIALIZING

    def report(self, endpoint: Endpoint, timeout_s: float = 5.0) -> dict[str, Any]:
        """What one of our workers says of itself where RunPod asks for its health; empty when it says nothing."""
        url = endpoint.request_urls.health or f"{base_of(endpoint)}/ping"
        call = Call("GET", url, f"read report of {endpoint.name}", timeout_s=timeout_s, is_repeatable=False)
        response = self._transport.send(call)
        data: object = read_json(response, call.what) if response.content else None
        return cast("dict[str, Any]", data) if isinstance(data, dict) else {}

    def ask(
        self,
        endpoint: Endpoint,
        path: str,
        body: Mapping[str, object] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """One JSON call; without a body it is a GET. Raises: NoWorker when the edge has none to give it to."""
        call = _call(endpoint, path, body, timeout_s)
        try:
            response = self._transport.send(call)
        except BadRequest as error:
            raise _of_the_edge(error, endpoint) from error
        return Answer(read_json(response, call.what), response.headers.get(WORKER_HEADER))

    def stream(
        self, endpoint: Endpoint, path: str, body: Mapping[str, object], timeout_s: float = 60.0
    ) -> Iterator[str]:
        """The data of each event of a streamed completion, `[DONE]` excluded; `timeout_s` between two reads."""
        call = _call(endpoint, path, {**body, "stream": True}, timeout_s)
        try:
            with self._transport.stream(call, read_timeout_s=timeout_s) as response:
                for event in events(lines_of(response, MAX_EVENT_BYTES)):
                    if event.data == "[DONE]":
                        return
                    yield event.data
        except BadRequest as error:
            raise _of_the_edge(error, endpoint) from error


def base_of(endpoint: Endpoint) -> str:
    """Base URL of the workers, as RunPod told it. Raises: BadReply."""
    base = endpoint.request_urls.base
    if base is None:
        raise BadReply(
            f"RunPod told no base URL for endpoint {endpoint.name} ({endpoint.type}).",
            remedy="Only LOAD_BALANCER endpoints have one; read the endpoint again.",
            endpoint=endpoint.id,
        )
    return base.rstrip("/")


def _call(endpoint: Endpoint, path: str, body: Mapping[str, object] | None, timeout_s: float) -> Call:
    method = "GET" if body is None else "POST"
    what = f"ask {endpoint.name} for {path}"
    return Call(method, base_of(endpoint) + path, what, body=body, timeout_s=timeout_s, is_repeatable=False)


def _of_the_edge(error: BadRequest, endpoint: Endpoint) -> TidegateError:
    """A 400 of a worker is the caller's fault; one of the edge means that no worker took the request."""
    if error.context.get("worker_id"):
        return error
    return NoWorker(
        f"Endpoint {endpoint.name} has no worker for the request: {error.message}",
        remedy="Wait until a worker is ready.",
        endpoint=endpoint.id,
    )
