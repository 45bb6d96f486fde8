"""What is seen of a pod, what is told of it, and which pods nobody needs."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending

from deployments.runpod_worker.provisioning import PodName
from deployments.runpod_worker.reporting import PodReport
from deployments.runpod_worker.sweeping import lost_runs, sort_pods
from deployments.runpod_worker.watching import Sight, look
from tidegate.domain import Secret
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.replies import LogLine, Pod
from tidegate.platforms.runpod.transport import Retries

NOW = datetime(2026, 11, 26, tzinfo=UTC)
POOL = uuid4()


def client(status: str | int, log: str = "") -> RunPodClient:
    """RunPod that knows one pod."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=log)
        if isinstance(status, int):
            return httpx.Response(status, json={"title": "x", "status": status, "detail": "x"})
        return httpx.Response(200, json={"id": "p1", "name": "n", "status": status})

    return RunPodClient(
        "http://127.0.0.1:1",
        "http://127.0.0.1:2",
        Secret("rpa_x"),
        http=httpx.MockTransport(answer),
        retries=Retries(attempts=1),
    )


@pytest.mark.parametrize(
    ("status", "is_starting", "code"),
    [
        ("PROVISIONING", True, None),
        ("STARTING", True, None),
        ("RUNNING", False, None),
        ("EXITED", False, 0),
        ("ERROR", False, 1),
        ("NEW_WORD", False, None),
    ],
)
def test_a_pods_status_says_whether_it_starts_or_is_over(
    status: str, is_starting: bool, code: int | None
) -> None:
    with client(status) as runpod:
        sight = look(runpod, Sight("p1"))

    assert (sight.is_starting, sight.exit_code, sight.is_gone) == (is_starting, code, False)


def test_the_end_mark_ends_a_pod_that_still_runs() -> None:
    event = 'id: 7\ndata: {"source": "container", "line": "tidegate-pod ended with code 3", "ts": "x"}\n\n'
    with client("RUNNING", event) as runpod:
        sight = look(runpod, Sight("p1"))

    assert (sight.exit_code, sight.cursor) == (3, "7")


def test_a_pod_that_runpod_does_not_know_is_gone_and_one_that_it_cannot_tell_of_is_not() -> None:
    with client(404) as unknown, client(503) as troubled:
        assert look(unknown, Sight("p1")).is_gone
        assert not look(troubled, Sight("p1")).is_gone


def test_a_report_leaves_out_what_prefect_has_and_hides_credentials(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report = PodReport(logging.getLogger("tidegate-pod-test"), ["pass", "password"])

    report.tell(
        [
            LogLine(source="container", line="12:00:00.123 | INFO    | Flow run 'x' - told already"),
            LogLine(source="container", line="the password is out"),
            LogLine(source="container", line="tidegate-pod ended with code 0"),
        ]
    )
    report.failed("p1", "ended with code 1")

    assert caplog.records[0].getMessage() == "container: the *** is out"
    assert "told already" in caplog.text
    assert caplog.text.count("told already") == 1
    assert "password" not in caplog.text


def pod(run: Any, *, age_s: float, pool: Any = POOL, identifier: str = "p") -> Pod:
    return Pod(id=identifier, name=str(PodName(pool, run)), created_at=NOW - timedelta(seconds=age_s))


def test_pods_of_finished_and_unknown_runs_are_orphans_and_those_of_others_are_not() -> None:
    over, alive, unknown = uuid4(), uuid4(), uuid4()
    pods = [
        pod(over, age_s=1),
        pod(alive, age_s=900),
        pod(unknown, age_s=900),
        pod(over, age_s=900, pool=uuid4()),
    ]

    found = sort_pods(pods, POOL, {over: True, alive: False}, NOW)

    assert list(found.orphans) == [pods[0], pods[2]]
    assert found.alive == {alive: pods[1]}


def test_a_pod_that_is_younger_than_what_prefect_may_not_have_told_is_left() -> None:
    assert sort_pods([pod(uuid4(), age_s=5)], POOL, {}, NOW).orphans == ()


def test_a_second_pod_of_one_run_is_an_orphan() -> None:
    run = uuid4()
    pods = [pod(run, age_s=300, identifier="a"), pod(run, age_s=200, identifier="b")]

    found = sort_pods(pods, POOL, {run: False}, NOW)

    assert list(found.orphans) == [pods[1]]


def test_a_run_without_a_pod_is_lost_once_its_worker_had_time_to_make_one() -> None:
    def run(age_s: float) -> FlowRun:
        state = Pending().model_copy(update={"timestamp": NOW - timedelta(seconds=age_s)})
        return FlowRun(flow_id=uuid4(), name="a-run", state=state)

    young, old, placed = run(60), run(900), run(900)

    assert lost_runs([young, old, placed], {placed.id}, NOW) == (old,)
