"""One emulator for the tests of this folder, with short times; each test uses endpoints of its own."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.runpod import contract
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment

FOLDER = Path(__file__).parent
STANDIN = f"{sys.executable} {FOLDER / 'standin_worker.py'}"
SDK_WORKER = f"{sys.executable} {FOLDER / 'sdk_worker.py'}"
SHORT = {
    "tick_s": 0.05,
    "image_pull_s": 0.05,
    "restart_backoff_s": 0.1,
    "restart_backoff_cap_s": 0.2,
    "stop_grace_s": 5.0,
    "health_interval_s": 0.1,
    "starting_health_interval_s": 0.05,
    "take_hold_s": 1.0,
    "ping_interval_s": 1.0,
    # A worker on a busy machine may be silent for seconds.
    "lease_lost_s": 6.0,
    "unacknowledged_s": 6.0,
    "scale_step_s": 0.1,
    "stream_hold_s": 1.0,
    "webhook_gap_s": 0.1,
    "lb_wait_s": 60.0,
}
PAGES = f"{sys.executable} {FOLDER / 'pages.py'}"
IMAGES = {"standin": STANDIN, "pages": PAGES, "sdk-worker": SDK_WORKER, "shell": "/bin/sh -c {args}"}


class Account:
    """Calls the control plane for one organization; every reply is checked against the vendor's document."""

    def __init__(self, environment: MockRunPodEnvironment, organization: str):
        self.environment = environment
        self.organization = organization
        self.key = environment.key(organization).reveal()
        self.http = httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=90.0)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        request = self.http.build_request(method, f"{self.environment.api_url}{path}", json=body, **options)
        if body is None:
            request = self.http.build_request(method, f"{self.environment.api_url}{path}", **options)
        reply = self.http.send(request)
        contract().check_reply(request, reply)
        return reply

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        reply = self.call(method, path, body, **options)
        assert reply.is_success, reply.text
        return reply.json() if reply.content else None

    def endpoint(self, name: str, **changes: Any) -> dict[str, Any]:
        """A new endpoint of stand-in workers; QUEUE unless told otherwise."""
        body: dict[str, Any] = {
            "name": name,
            "type": "QUEUE",
            "image": "registry.example/standin:1",
            "scaling": {"type": "QUEUE_DELAY", "queueDelay": 0.5},
            "gpu": {"pools": ["ADA_24"], "count": 1},
            "ports": ["80/http"],
            "workers": {"min": 0, "max": 1},
            **changes,
        }
        return self.ok("POST", "/v2/serverless", body)

    def balanced(self, name: str, **changes: Any) -> dict[str, Any]:
        scaling = {"type": "REQUEST_COUNT", "requestCount": 4}
        return self.endpoint(name, **{"type": "LOAD_BALANCER", "scaling": scaling, **changes})

    def workers(self, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
        return self.ok("GET", f"/v2/serverless/{endpoint['id']}/workers")["workers"]

    def run(self, endpoint: dict[str, Any], **body: Any) -> str:
        reply = self.http.post(endpoint["requestUrls"]["run"], json=body)
        assert reply.is_success, reply.text
        return reply.json()["id"]

    def status(self, endpoint: dict[str, Any], job_id: str) -> httpx.Response:
        return self.http.get(endpoint["requestUrls"]["status"].replace("{job_id}", job_id))

    def job_in(self, endpoint: dict[str, Any], job_id: str, *statuses: str) -> dict[str, Any]:
        """Wait for one of the statuses."""
        return eventually(
            lambda: self.status(endpoint, job_id).json(), lambda job: job.get("status") in statuses
        )

    def log_lines(self, path: str, until: Callable[[str], bool], **query: Any) -> list[dict[str, Any]]:
        """Lines of a log stream up to the one that is waited for."""
        import json

        lines: list[dict[str, Any]] = []
        with self.http.stream("GET", f"{self.environment.api_url}{path}", params=query, timeout=60) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            for text in reply.iter_lines():
                if text.startswith("id: "):
                    lines.append({"id": text[4:]})
                if text.startswith("data: "):
                    lines[-1] |= json.loads(text[6:])
                    if until(lines[-1]["line"]):
                        break
        return lines


def eventually(look: Callable[[], Any], is_right: Callable[[Any], bool], limit_s: float = 60.0) -> Any:
    """Look again and again until it is right; what was seen last is told when time is up."""
    deadline = time.monotonic() + limit_s
    while True:
        seen = look()
        if is_right(seen):
            return seen
        assert time.monotonic() < deadline, f"not within {limit_s} s; last seen: {seen}"
        time.sleep(0.03)


@pytest.fixture(scope="session")
def runpod() -> Iterator[MockRunPodEnvironment]:
    with MockRunPodEnvironment(images=IMAGES, timings=SHORT) as environment:
        yield environment


@pytest.fixture(autouse=True)
def _no_faults_are_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "runpod" in request.fixturenames:
        environment: MockRunPodEnvironment = request.getfixturevalue("runpod")
        environment.faults.clear()


@pytest.fixture
def account(runpod: MockRunPodEnvironment) -> Iterator[Account]:
    """SwaggyStacks. What a test leaves is deleted: the quota of workers is shared."""
    made = Account(runpod, "swaggystacks")
    yield made
    runpod.faults.clear()
    remove_everything(made)
    made.http.close()


@pytest.fixture
def stranger(runpod: MockRunPodEnvironment) -> Iterator[Account]:
    """Another organization."""
    made = Account(runpod, "scientiacapital")
    yield made
    remove_everything(made)
    made.http.close()


def remove_everything(account: Account) -> None:
    for path, name in (
        ("serverless", "endpoints"),
        ("pods", "pods"),
        ("templates", "templates"),
        ("registries", "registries"),
        ("network-volumes", "networkVolumes"),
    ):
        for one in account.ok("GET", f"/v2/{path}")[name]:
            account.call("DELETE", f"/v2/{path}/{one['id']}")
