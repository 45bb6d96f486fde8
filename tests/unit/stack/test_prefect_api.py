"""Prefect's API: what is asked, and how its refusals become ours."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tidegate.domain import InvalidInput, NeedsOperator, NotFound, Refused, Secret, TidegateError, Transient
from tidegate.stack.prefect_api import PrefectApi

RUN = {
    "id": "r1",
    "name": "calm-otter",
    "state": {"type": "RUNNING", "message": None},
    "parameters": {"request": {"org": "acme"}},
}


class Server:
    """Answers from a table of (method, path) and remembers what was asked."""

    def __init__(self, answers: dict[tuple[str, str], Any]):
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []
        self.authorization: str | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api")
        self.authorization = request.headers.get("authorization")
        self.asked.append((request.method, path, json.loads(request.content) if request.content else None))
        answer = self.answers.get((request.method, path), 404)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, int):
            return httpx.Response(answer, json={"detail": "told by the server"} if answer >= 400 else None)
        return httpx.Response(200, json=answer)


@pytest.fixture
def connect() -> Callable[[dict[tuple[str, str], Any]], tuple[PrefectApi, Server]]:
    def build(answers: dict[tuple[str, str], Any]) -> tuple[PrefectApi, Server]:
        server = Server(answers)
        transport = httpx.MockTransport(server)
        return PrefectApi("http://p/api", Secret("tidegate:hush"), transport=transport), server

    return build


def test_every_call_carries_the_credential(connect: Any):
    api, server = connect({("GET", "/flow_runs/r1"): RUN})

    api.get_flow_run("r1")

    assert server.authorization == "Basic dGlkZWdhdGU6aHVzaA=="


def test_a_run_is_started_by_the_name_of_its_deployment(connect: Any):
    api, server = connect(
        {
            ("GET", "/deployments/name/release/release"): {"id": "d1"},
            ("POST", "/deployments/d1/create_flow_run"): RUN,
        }
    )

    run = api.create_flow_run("release/release", {"request": {"org": "acme"}}, idempotency_key="k")

    assert (run.id, run.state, run.url) == ("r1", "RUNNING", "http://p/runs/flow-run/r1")
    assert server.asked[-1][2]["idempotency_key"] == "k"


def test_a_key_that_belongs_to_another_request_is_refused(connect: Any):
    api, _ = connect(
        {
            ("GET", "/deployments/name/release/release"): {"id": "d1"},
            ("POST", "/deployments/d1/create_flow_run"): RUN,
        }
    )

    with pytest.raises(InvalidInput, match="same key but other parameters"):
        api.create_flow_run("release/release", {"request": {"org": "other"}}, idempotency_key="k")


def test_an_unknown_deployment_is_told_by_name(connect: Any):
    api, _ = connect({})

    with pytest.raises(NotFound, match="no deployment 'release/release'"):
        api.create_flow_run("release/release", {})


def test_a_missing_pool_is_made_and_an_existing_one_brought_up_to_date(connect: Any):
    pool = {"name": "gpu", "type": "process", "concurrency_limit": 1, "base_job_template": {}}
    api, server = connect({("POST", "/work_pools/"): 201})
    api.upsert_work_pool(pool)
    assert server.asked[-1] == ("POST", "/work_pools/", pool)

    api, server = connect(
        {("GET", "/work_pools/gpu"): {"type": "process"}, ("PATCH", "/work_pools/gpu"): 204}
    )
    api.upsert_work_pool(pool)
    assert server.asked[-1] == ("PATCH", "/work_pools/gpu", {"concurrency_limit": 1, "base_job_template": {}})


def test_a_pool_of_another_type_is_left_to_a_person(connect: Any):
    api, _ = connect({("GET", "/work_pools/gpu"): {"type": "docker"}})

    with pytest.raises(NeedsOperator, match="exists with type docker"):
        api.upsert_work_pool({"name": "gpu", "type": "process", "base_job_template": {}})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (409, InvalidInput),
        (422, InvalidInput),
        (500, Transient),
    ],
)
def test_refusals_are_translated_by_their_status(connect: Any, status: int, error: type[TidegateError]):
    api, _ = connect({("GET", "/flow_runs/r1"): status})

    with pytest.raises(error) as caught:
        api.get_flow_run("r1")

    assert caught.value.remedy
    assert "hush" not in str(caught.value)


def test_a_server_that_cannot_be_reached_is_transient_and_not_healthy(connect: Any):
    def refuse(request: httpx.Request) -> Any:
        raise httpx.ConnectError("no", request=request)

    api, _ = connect({("GET", "/flow_runs/r1"): refuse, ("GET", "/health"): refuse})

    assert api.is_healthy() is False
    with pytest.raises(Transient, match="cannot be reached"):
        api.get_flow_run("r1")


def test_deployments_are_listed_with_their_flows_over_all_pages(connect: Any):
    rows = [{"flow_id": "f1", "name": f"d{number:03}"} for number in range(250)]

    def page(request: httpx.Request) -> Any:
        asked = json.loads(request.content)
        return rows[asked["offset"] : asked["offset"] + asked["limit"]]

    api, _ = connect(
        {("POST", "/flows/filter"): [{"id": "f1", "name": "release"}], ("POST", "/deployments/filter"): page}
    )

    assert len(api.deployments()) == 250
    assert api.deployments()[0] == "release/d000"


def test_workers_tell_whether_they_are_online(connect: Any):
    rows = [
        {"name": "gpu-1", "status": "ONLINE", "last_heartbeat_time": "now"},
        {"name": "old", "status": "OFFLINE", "last_heartbeat_time": "then"},
    ]
    api, _ = connect({("POST", "/work_pools/gpu/workers/filter"): rows})

    assert [(worker.name, worker.is_online) for worker in api.workers("gpu")] == [
        ("gpu-1", True),
        ("old", False),
    ]
