"""Sets of one organization against canned answers: few questions, exact orders, and nothing made in doubt."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.unit.platforms.runpod.conftest import Clock, FakeRunPod, endpoint_json, problem, queue_json
from tidegate.domain import (
    CapacityShortage,
    Refused,
    RunPodServiceConfig,
    ServiceRef,
    SetSpec,
    SetState,
    Transient,
    set_name,
)
from tidegate.platforms.runpod import OrganizationSets, RunPodClient, Tenant
from tidegate.platforms.runpod.marks import Marks, Wanted
from tidegate.platforms.runpod.pace import Pace

DIGEST = "a" * 64
REF = ServiceRef("swaggystacks", "support-chat")
NAME = set_name(REF, DIGEST, "r1")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SPEC = SetSpec(
    name=NAME,
    org=REF.org,
    service=REF.service,
    release_id="r1",
    digest=DIGEST,
    artifact_path="/store/x.gguf",
    context_tokens=4096,
    parallel=8,
)
MARKS = Marks(NAME, DIGEST, "r1", Wanted.RUNNING, 1, 2, started_at=NOW)
GPU = {
    "id": "NVIDIA L4",
    "name": "L4",
    "pool": "AMPERE_24",
    "manufacturer": "NVIDIA",
    "memory": 24,
    "secure": True,
    "community": False,
    "price": {"secure": 0.39, "community": 0, "serverless": 0.684},
    "maxCount": {"secure": 8, "community": 0},
    "availability": "HIGH",
}
SUMMARY = dict.fromkeys(("running", "idle", "initializing", "throttled", "unhealthy", "total"), 0)


class World:
    """A RunPod with at most one endpoint, whose workers do as they are told."""

    def __init__(self, server: FakeRunPod):
        self.server = server
        self.endpoint: dict[str, Any] | None = None
        self.status = "IDLE"
        self.worker_id = "w"
        self.digest = DIGEST
        self.balance = 100.0
        self.outage = False
        server.otherwise = self.answer

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, method = request.url.path, request.method
        if path == "/v1/models" or path.endswith("/openai/v1/models"):
            return httpx.Response(200, json={"data": [{"id": self.digest}]})
        if path == "/graphql":
            return httpx.Response(200, json={"data": {"myself": {"id": "u", "clientBalance": self.balance}}})
        if self.outage:
            return problem(503)
        if path == "/v2/catalog/gpus":
            return httpx.Response(200, json={"gpus": [GPU]})
        if method == "POST" and path == "/v2/serverless":
            body = json.loads(request.content)
            make = queue_json if body["type"] == "QUEUE" else endpoint_json
            kept = {key: body[key] for key in ("env", "workers", "image")}
            self.endpoint = make(body["name"], **kept)
            return httpx.Response(201, json=self.endpoint)
        if path == "/v2/pods":
            return httpx.Response(200, json={"pods": []})
        if path == "/v2/serverless":
            return httpx.Response(200, json={"endpoints": [self.endpoint] if self.endpoint else []})
        return self.of_the_endpoint(request)

    def of_the_endpoint(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.endpoint is None:
            return problem(404)
        if path.endswith("/purge-queue"):
            return httpx.Response(200, json={"removed": 0, "status": "completed"})
        if path.endswith("/workers"):
            worker = {"id": self.worker_id, "status": self.status, "gpuCount": 1, "isStale": False}
            there = [worker] if self.endpoint["workers"]["max"] else []
            return httpx.Response(200, json={"workers": there, "summary": SUMMARY, "endpointVersion": 1})
        if request.method == "PATCH":
            body = json.loads(request.content)
            self.endpoint |= {"env": body.get("env", self.endpoint["env"])}
            self.endpoint["workers"] |= body["workers"]
        if request.method == "DELETE":
            self.endpoint = None
            return httpx.Response(204)
        return httpx.Response(200, json=self.endpoint)


@pytest.fixture
def world(server: FakeRunPod) -> World:
    return World(server)


Make = Callable[..., OrganizationSets]


@pytest.fixture
def make(client: RunPodClient, clock: Clock) -> Make:
    def of(**changes: Any) -> OrganizationSets:
        config = RunPodServiceConfig.model_validate(
            {"image": "worker@sha256:1", "model_url": "s3://models/{digest}.gguf", **changes}
        )
        return OrganizationSets(
            Tenant(REF.org, "runpod-key", {REF.service: config}),
            client,
            memory_of=lambda spec: 10 * 1024**3,
            pace=Pace(clock.now, clock.sleep, lambda: 1.0),
            clock=lambda: NOW,
        )

    return of


def control_requests(server: FakeRunPod) -> list[str]:
    return [f"{one.method} {one.url.path}" for one in server.requests if one.url.host == "api.runpod.io"]


def orders(server: FakeRunPod) -> list[dict[str, Any]]:
    """Bodies of the creates."""
    return [
        json.loads(one.content)
        for one in server.requests
        if (one.method, one.url.path) == ("POST", "/v2/serverless")
    ]


def test_an_endpoint_is_ordered_with_everything_that_its_worker_needs(
    make: Make, world: World, server: FakeRunPod
) -> None:
    sets = make(
        secret_env={"AWS_SECRET_ACCESS_KEY": "bucket-key"}, env={"AWS_REGION": "EU-RO-1"}, data_centers=[]
    )

    assert sets.create(SPEC).is_ready

    (order,) = orders(server)
    assert order["name"] == NAME
    assert order["type"] == "LOAD_BALANCER"
    assert order["gpu"] == {"pools": ["AMPERE_24"], "count": 1}
    assert order["scaling"] == {"type": "REQUEST_COUNT", "requestCount": 8}
    assert order["workers"] == {"min": 1, "max": 2, "idleTimeout": 60}
    assert order["ports"] == ["8000/http", "8001/http"]
    assert (order["timeout"], order["flashboot"]) == (300_000, "OFF")
    env = order["env"]
    assert env["TIDEGATE_MODEL_URL"] == f"s3://models/{DIGEST}.gguf"
    assert env["AWS_SECRET_ACCESS_KEY"] == "{{ RUNPOD_SECRET_bucket-key }}"
    assert (env["PORT"], env["PORT_HEALTH"], env["HEALTH_CHECK_PATH"]) == ("8000", "8001", "/ping")
    assert env["RUNPOD_INIT_TIMEOUT"] == "900"
    # What users ask and are answered stays out of RunPod's logs.
    assert env["RUNPOD_LOG_LEVEL"] == "INFO"
    assert Marks.read(env) == MARKS


def test_a_queue_has_no_ports_and_no_idle_timeout(make: Make, world: World, server: FakeRunPod) -> None:
    sets = make(kind="queue")

    status = sets.create(SPEC)

    assert status.is_ready
    assert (status.host, status.port, status.tls) == ("api.runpod.ai", 443, True)
    assert status.path_prefix == "/v2/ep1/openai"
    (order,) = orders(server)
    assert (order["ports"], order["workers"]) == ([], {"min": 1, "max": 2})
    assert "PORT" not in order["env"]


def test_a_load_balancer_is_reached_at_its_own_host(make: Make, world: World) -> None:
    status = make().create(SPEC)

    assert (status.host, status.port, status.tls, status.path_prefix) == ("ep1.api.runpod.ai", 443, True, "")
    assert status.credential == "runpod-key"


def test_a_set_that_is_watched_all_the_time_leaves_the_account_its_requests(
    make: Make, world: World, server: FakeRunPod, clock: Clock
) -> None:
    """RunPod allows 60 requests a minute for everything that an organization does."""
    sets = make()
    sets.create(SPEC)
    server.requests.clear()

    for _ in range(120):
        assert sets.status(NAME).is_ready
        clock.at += 0.5

    assert len(control_requests(server)) <= 8
    world.status = "INITIALIZING"
    clock.at += 20
    server.requests.clear()
    for _ in range(120):
        sets.status(NAME)
        clock.at += 0.5
    looks = [one for one in control_requests(server) if not one.endswith("/logs")]
    assert len(looks) <= 30


def test_a_worker_that_stops_proving_itself_is_noticed_within_seconds(
    make: Make, world: World, clock: Clock
) -> None:
    sets = make()
    sets.create(SPEC)
    world.digest = "b" * 64
    clock.at += 2.1

    status = sets.status(NAME)

    assert status.state is SetState.FAILED
    assert "serves digest bbbbbbbbbbbb" in status.message
    assert world.endpoint is not None
    assert world.endpoint["workers"]["max"] == 0


@pytest.mark.parametrize(("word", "is_loop"), [("INITIALIZING", True), ("THROTTLED", False)])
def test_workers_that_go_and_come_are_a_loop_only_when_they_had_a_machine(
    make: Make, world: World, clock: Clock, word: str, is_loop: bool
) -> None:
    sets = make()
    world.status = word
    sets.create(SPEC)

    for number in range(6):
        world.worker_id = f"w{number}"
        clock.at += 6
        status = sets.status(NAME)

    assert (status.state is SetState.FAILED) == is_loop


def test_an_outage_of_the_control_plane_is_bridged_and_not_for_ever(
    make: Make, world: World, clock: Clock
) -> None:
    sets = make()
    sets.create(SPEC)
    world.outage = True

    clock.at += 60
    assert sets.status(NAME).is_ready
    clock.at += 61
    with pytest.raises(Transient):
        sets.status(NAME)


def test_an_account_that_cannot_pay_is_refused_before_anything_is_made(
    make: Make, world: World, server: FakeRunPod
) -> None:
    world.balance = 0.5

    with pytest.raises(Refused, match=r"0\.50 USD left"):
        make().create(SPEC)

    assert "POST /v2/serverless" not in control_requests(server)


def test_a_create_that_may_have_happened_is_not_sent_again(
    make: Make, world: World, server: FakeRunPod
) -> None:
    sets = make()
    # Listed, as endpoint and as pod and right before the create: nothing. Catalog and account: as they are. Then the create, whose answer is lost.
    for _ in range(5):
        server.will(world.answer)
    server.will(httpx.ReadTimeout("slow"))

    with pytest.raises(Transient):
        sets.create(SPEC)

    assert control_requests(server).count("POST /v2/serverless") == 1


def test_a_shortage_at_every_rung_is_a_shortage(make: Make, world: World, server: FakeRunPod) -> None:
    for _ in range(5):
        server.will(world.answer)
    server.will(problem(400, "There are no longer any instances available."))

    with pytest.raises(CapacityShortage, match="AMPERE_24"):
        make().create(SPEC)

    assert world.endpoint is None


def test_the_price_of_a_set_is_that_of_all_its_workers(make: Make, world: World) -> None:
    assert make(max_workers=3).price_per_hour_usd(SPEC) == Decimal("2.052")


def test_a_stopped_set_costs_nothing_and_starts_again_with_its_workers(make: Make, world: World) -> None:
    sets = make()
    sets.create(SPEC)

    sets.stop(NAME)

    assert sets.status(NAME).state is SetState.STOPPED
    assert world.endpoint is not None
    assert world.endpoint["workers"]["max"] == 0
    assert sets.start(NAME).is_ready
    assert (world.endpoint["workers"]["min"], world.endpoint["workers"]["max"]) == (1, 2)


@pytest.mark.parametrize("kind", ["load_balancer", "queue"])
def test_a_set_ends_in_the_safe_order(make: Make, world: World, server: FakeRunPod, kind: str) -> None:
    sets = make(kind=kind)
    sets.create(SPEC)
    server.requests.clear()

    sets.delete(NAME)

    purge = ["POST /v2/ep1/purge-queue"] if kind == "queue" else []
    assert server.asked == [
        "GET /v2/serverless",
        "PATCH /v2/serverless/ep1",
        *purge,
        "GET /v2/serverless/ep1/workers",
        "DELETE /v2/serverless/ep1",
        "GET /v2/serverless/ep1",
    ]
    assert json.loads(server.requests[1].content) == {"workers": {"min": 0, "max": 0}}


def test_a_set_that_does_not_go_away_is_told(make: Make, world: World, server: FakeRunPod) -> None:
    sets = make()
    sets.create(SPEC)
    kept = world.endpoint

    def undeletable(request: httpx.Request) -> httpx.Response:
        reply = world.answer(request)
        world.endpoint = kept
        return reply

    server.otherwise = undeletable

    with pytest.raises(Transient, match="still shows"):
        sets.delete(NAME)
