"""Jobs, load-balanced calls and the account."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.platforms.runpod.conftest import Clock, FakeRunPod, endpoint_json, problem, queue_json
from tidegate.domain import InvalidInput, NotFound
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.errors import (
    BadReply,
    BadRequest,
    LostReply,
    NoWorker,
    ServerTrouble,
    Unauthorized,
)
from tidegate.platforms.runpod.jobs import JobPolicy
from tidegate.platforms.runpod.load_balancer import WorkerHealth
from tidegate.platforms.runpod.replies import Endpoint
from tidegate.platforms.runpod.sse import events

QUEUE = Endpoint.model_validate(queue_json())
LB = Endpoint.model_validate(endpoint_json())
CHAT: dict[str, object] = {"model": "m", "messages": []}


def job(status: str, **fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": "j/1", "status": status, **fields})


def test_a_job_is_queued_with_its_limits(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(job("IN_QUEUE"))

    queued = client.jobs.run(QUEUE, {"prompt": "x"}, policy=JobPolicy(ttl=10_000, low_priority=True))

    assert (queued.id, queued.has_ended) == ("j/1", False)
    assert json.loads(server.requests[0].content) == {
        "input": {"prompt": "x"},
        "policy": {"ttl": 10_000, "lowPriority": True},
    }
    assert str(server.requests[0].url) == "https://api.runpod.ai/v2/ep1/run"


def test_a_job_is_never_queued_twice(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(httpx.ReadTimeout("slow"))

    with pytest.raises(LostReply):
        client.jobs.run(QUEUE, {"prompt": "x"})

    assert len(server.requests) == 1


def test_an_empty_input_is_refused_because_runpod_would_lose_it(
    client: RunPodClient, server: FakeRunPod
) -> None:
    with pytest.raises(InvalidInput, match="not empty"):
        client.jobs.run(QUEUE, {})

    assert server.requests == []


def test_a_job_is_waited_for_within_a_bound(client: RunPodClient, server: FakeRunPod, clock: Clock) -> None:
    server.will(job("IN_QUEUE"), job("SOMETHING_NEW"), job("COMPLETED", output=1, workerId="w"))

    done = client.jobs.wait(QUEUE, "j/1", timeout_s=60)

    assert (done.status, done.output, done.worker_id) == ("COMPLETED", 1, "w")
    assert server.requests[0].url.raw_path == b"/v2/ep1/status/j%2F1"
    server.otherwise = lambda _: job("IN_PROGRESS")
    before = clock.at
    assert not client.jobs.wait(QUEUE, "j/1", timeout_s=7).has_ended
    assert clock.at - before == pytest.approx(7)


def test_a_stream_is_drained_after_the_job_ended(client: RunPodClient, server: FakeRunPod) -> None:
    def pieces(status: str, *outputs: str) -> httpx.Response:
        return httpx.Response(
            200, json={"status": status, "stream": [{"output": output} for output in outputs]}
        )

    server.will(
        pieces("IN_PROGRESS", "a", "b"), pieces("IN_PROGRESS"), pieces("COMPLETED", "c"), pieces("COMPLETED")
    )

    assert list(client.jobs.stream(QUEUE, "j", timeout_s=60)) == ["a", "b", "c"]


def test_pieces_of_a_lost_answer_are_not_passed_over_in_silence(
    client: RunPodClient, server: FakeRunPod
) -> None:
    server.will(problem(500))

    with pytest.raises(ServerTrouble):
        list(client.jobs.stream(QUEUE, "j", timeout_s=60))


def test_the_other_operations_use_the_urls_that_runpod_told(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(
        job("CANCELLED"),
        job("IN_QUEUE"),
        httpx.Response(200, json={"removed": 3, "status": "completed"}),
        httpx.Response(200, json={"jobs": {"inQueue": 2}, "workers": {"ready": 1}, "more": 1}),
        job("COMPLETED"),
        httpx.Response(200, json={"data": []}),
    )

    assert client.jobs.cancel(QUEUE, "j").has_ended
    assert client.jobs.retry(QUEUE, "j").status == "IN_QUEUE"
    assert client.jobs.purge(QUEUE) == 3
    health = client.jobs.health(QUEUE)
    assert (health.jobs.in_queue, health.workers.ready, health.workers.unhealthy) == (2, 1, 0)
    assert client.jobs.run_sync(QUEUE, {"a": 1}, wait_ms=5).has_ended
    assert client.jobs.openai(QUEUE, "/v1/models", None, 5) == {"data": []}
    assert server.asked == [
        "POST /v2/ep1/cancel/j",
        "POST /v2/ep1/retry/j",
        "POST /v2/ep1/purge-queue",
        "GET /v2/ep1/health",
        "POST /v2/ep1/runsync",
        "GET /v2/ep1/openai/v1/models",
    ]
    assert dict(server.requests[4].url.params) == {"wait": "1000"}


def test_a_completion_is_streamed_by_both_kinds_of_endpoint(client: RunPodClient, server: FakeRunPod) -> None:
    text = 'data: {"a":1}\n\n: ping\n\ndata: {"a":2}\r\n\r\ndata: [DONE]\n\ndata: never\n\n'
    server.otherwise = lambda _: httpx.Response(200, text=text, headers={"content-type": "text/event-stream"})

    assert list(client.jobs.openai_stream(QUEUE, "/v1/chat/completions", CHAT, 5)) == ['{"a":1}', '{"a":2}']
    assert list(client.load_balancer.stream(LB, "/v1/chat/completions", CHAT)) == ['{"a":1}', '{"a":2}']
    assert [str(request.url) for request in server.requests] == [
        "https://api.runpod.ai/v2/ep1/openai/v1/chat/completions",
        "https://ep1.api.runpod.ai/v1/chat/completions",
    ]
    assert all(json.loads(request.content)["stream"] is True for request in server.requests)


def test_an_endpoint_of_the_other_kind_has_no_such_url(client: RunPodClient) -> None:
    with pytest.raises(BadReply, match="'run'"):
        client.jobs.run(LB, {"a": 1})
    with pytest.raises(BadReply, match="base URL"):
        client.load_balancer.ask(QUEUE, "/v1/models")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (httpx.Response(200), WorkerHealth.READY),
        (httpx.Response(204), WorkerHealth.INITIALIZING),
        (httpx.Response(503), WorkerHealth.UNHEALTHY),
        (httpx.Response(400, text="no workers available"), WorkerHealth.UNHEALTHY),
        (httpx.Response(404), WorkerHealth.UNHEALTHY),
    ],
    ids=repr,
)
def test_health_of_workers_is_an_answer(
    client: RunPodClient, server: FakeRunPod, reply: httpx.Response, expected: WorkerHealth
) -> None:
    server.will(reply)

    assert client.load_balancer.health(LB) is expected


def test_a_worker_is_known_by_its_mark_and_the_edge_by_its_absence(
    client: RunPodClient, server: FakeRunPod
) -> None:
    mark = {"X-Runpod-Worker-Id": "w1"}
    server.will(
        httpx.Response(200, json={"a": 1}, headers=mark),
        httpx.Response(400, json={"error": "bad prompt"}, headers=mark),
        httpx.Response(400, json={"error": "whatever the edge says today"}),
    )

    answer = client.load_balancer.ask(LB, "/v1/chat/completions", CHAT)

    assert (answer.data, answer.worker_id) == ({"a": 1}, "w1")
    with pytest.raises(BadRequest, match="bad prompt"):
        client.load_balancer.ask(LB, "/v1/chat/completions", CHAT)
    with pytest.raises(NoWorker):
        client.load_balancer.ask(LB, "/v1/chat/completions", CHAT)


def test_a_load_balanced_call_is_never_repeated(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(httpx.Response(502))

    with pytest.raises(ServerTrouble):
        client.load_balancer.ask(LB, "/v1/models")

    assert len(server.requests) == 1


def test_the_account_tells_its_money_exactly(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(
        httpx.Response(
            200,
            json={
                "data": {
                    "myself": {"id": "u", "clientBalance": 12.1, "currentSpendPerHr": 0.2, "spendLimit": 80}
                }
            },
        )
    )

    state = client.account.state()

    assert state is not None
    assert (state.client_balance, state.current_spend_per_hr) == (Decimal("12.1"), Decimal("0.2"))
    assert "email" not in server.requests[0].content.decode()


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(404),
        httpx.Response(410),
        httpx.Response(405),
        httpx.Response(200, json={"errors": [{"message": "x"}], "data": None}),
        httpx.Response(200, json=[]),
    ],
    ids=repr,
)
def test_an_account_that_runpod_does_not_tell_is_not_known(
    client: RunPodClient, server: FakeRunPod, reply: httpx.Response
) -> None:
    server.will(reply)

    assert client.account.state() is None


@pytest.mark.parametrize("reply", [httpx.Response(200, json={"data": {"myself": None}}), httpx.Response(401)])
def test_a_key_without_an_account_is_refused(
    client: RunPodClient, server: FakeRunPod, reply: httpx.Response
) -> None:
    server.will(reply)

    with pytest.raises(Unauthorized):
        client.account.state()


def test_a_fresh_endpoint_may_be_missing_at_the_job_plane(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(httpx.Response(404, text="endpoint not found"))

    with pytest.raises(NotFound, match="endpoint not found"):
        client.jobs.health(QUEUE)


single_lines = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=["Cs"]))


@given(st.lists(st.tuples(st.lists(single_lines, min_size=1, max_size=3), single_lines | st.none())))
def test_events_are_read_as_they_were_written(written: list[tuple[list[str], str | None]]) -> None:
    lines: list[str] = []
    expected: list[tuple[str, str | None]] = []
    last: str | None = None
    for data, event_id in written:
        if event_id is not None:
            lines.append(f"id: {event_id}")
            last = event_id
        lines += [f"data: {one}" for one in data] + [": a comment", ""]
        expected.append(("\n".join(data), last))

    assert [(event.data, event.id) for event in events(lines)] == expected
