"""RunPod as a function: canned replies, a clock that only sleeping moves, and the vendor's document on guard."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.contracts.runpod import SERVER, contract
from tidegate.domain import Secret
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.pace import Pace

KEY = "rpa_THISISTHEKEYOFATEST0123456789"
API, DATA = SERVER, "https://api.runpod.ai"
Handler = Callable[[httpx.Request], httpx.Response]


@dataclass
class Clock:
    """Time that passes only when somebody sleeps."""

    at: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.at += seconds


@dataclass
class FakeRunPod:
    """Answers with what was queued, in order, and else with `otherwise`. Checks what it is asked."""

    replies: deque[httpx.Response | Exception | Handler] = field(default_factory=deque)
    requests: list[httpx.Request] = field(default_factory=list)
    otherwise: Handler | None = None

    def will(self, *replies: httpx.Response | Exception | Handler) -> None:
        self.replies.extend(replies)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if f"{request.url.scheme}://{request.url.host}" == API and request.url.path.startswith("/v2/"):
            contract().check_request(request)
        assert self.replies or self.otherwise, f"nobody expected {request.method} {request.url}"
        reply = self.replies.popleft() if self.replies else self.otherwise
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, httpx.Response) else reply(request)  # pyright: ignore[reportOptionalCall]

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> FakeRunPod:
    return FakeRunPod()


@pytest.fixture
def client(server: FakeRunPod, clock: Clock) -> Iterator[RunPodClient]:
    pace = Pace(clock.now, clock.sleep, lambda: 1.0)
    with RunPodClient(API, DATA, Secret(KEY), http=httpx.MockTransport(server), pace=pace) as one:
        yield one


def problem(status: int, detail: str = "because", **headers: str) -> httpx.Response:
    """An error as the control plane gives it."""
    return httpx.Response(
        status,
        json={"title": "Trouble", "status": status, "detail": detail},
        headers={"content-type": "application/problem+json", **headers},
    )


def endpoint_json(name: str = "a", **fields: Any) -> dict[str, Any]:
    """A load-balancing endpoint as the document describes it."""
    return {
        "id": "ep1",
        "name": name,
        "type": "LOAD_BALANCER",
        "requestUrls": {
            "base": "https://ep1.api.runpod.ai",
            "health": "https://ep1.api.runpod.ai/ping",
        },
        "gpu": {"pools": ["ADA_24"], "count": 1, "allowedCudaVersions": [], "minCudaVersion": None},
        "workers": {"min": 0, "max": 1, "idleTimeout": 10},
        "scaling": {"type": "REQUEST_COUNT", "requestCount": 4},
        "dataCenterIds": [],
        "networkVolumes": [],
        "timeout": 300000,
        "flashboot": "OFF",
        "image": "worker:1",
        "createdAt": "2026-11-26T00:00:00Z",
        **fields,
    }


def queue_json(name: str = "a", **fields: Any) -> dict[str, Any]:
    """A queue endpoint as the document describes it."""
    base = "https://api.runpod.ai/v2/ep1"
    urls = {
        "run": f"{base}/run",
        "runSync": f"{base}/runsync",
        "status": f"{base}/status/{{job_id}}",
        "stream": f"{base}/stream/{{job_id}}",
        "cancel": f"{base}/cancel/{{job_id}}",
        "retry": f"{base}/retry/{{job_id}}",
        "purgeQueue": f"{base}/purge-queue",
        "health": f"{base}/health",
    }
    return endpoint_json(name, type="QUEUE", requestUrls=urls, **fields)
