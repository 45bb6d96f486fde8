"""Errors by status, retries only where they are safe, limits that are kept, a key that is never seen."""

import json
import logging
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.platforms.runpod.conftest import API, DATA, KEY, Clock, FakeRunPod, endpoint_json, problem
from tidegate.domain import (
    CapacityShortage,
    InvalidInput,
    NotFound,
    Permanent,
    Refused,
    Secret,
    TidegateError,
    Transient,
)
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.errors import (
    BadReply,
    Conflict,
    LostReply,
    NoCapacity,
    RateLimited,
    Retired,
    ServerTrouble,
    Unauthorized,
    Unexpected,
    Unreachable,
    error_of,
    read_problem,
)
from tidegate.platforms.runpod.wire import UpdateEndpoint, WorkersChange

OK = httpx.Response(200, json={"endpoints": []})
CHANGE = UpdateEndpoint(workers=WorkersChange(max=0))


@pytest.mark.parametrize(
    ("status", "kind", "family"),
    [
        (400, InvalidInput, Permanent),
        (401, Unauthorized, Refused),
        (402, Refused, Permanent),
        (403, Refused, Permanent),
        (404, NotFound, Permanent),
        (409, Conflict, Permanent),
        (410, Retired, Permanent),
        (418, Unexpected, Permanent),
        (302, Unexpected, Permanent),
        (422, InvalidInput, Permanent),
        (429, RateLimited, Transient),
        (500, ServerTrouble, Transient),
        (524, ServerTrouble, Transient),
    ],
)
def test_the_status_decides_the_error(
    status: int, kind: type[TidegateError], family: type[TidegateError]
) -> None:
    body = json.dumps(
        {"title": "T", "status": status, "detail": "no instances available", "errors": ["$: x"]}
    )

    error = error_of(read_problem(status, body.encode()), "read a thing")

    assert isinstance(error, kind)
    assert isinstance(error, family)
    assert error.remedy
    assert "no instances available: $: x" in error.message
    assert error.context["status"] == status


def test_only_a_create_without_stock_is_a_shortage() -> None:
    words = b'{"title":"Bad Request","status":400,"detail":"There are no longer any instances available"}'

    assert isinstance(error_of(read_problem(400, words), "x", is_create=True), NoCapacity)
    assert issubclass(NoCapacity, CapacityShortage)
    assert not isinstance(error_of(read_problem(400, words), "x"), CapacityShortage)
    assert not isinstance(error_of(read_problem(422, words), "x", is_create=True), CapacityShortage)


@given(st.integers(min_value=300, max_value=599), st.binary(max_size=200))
def test_any_body_of_an_error_can_be_read(status: int, body: bytes) -> None:
    error = error_of(read_problem(status, body), "x", is_create=True)

    assert str(status) in error.message
    assert len(str(error)) < 2000


def test_a_retired_generation_says_so(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(problem(410, "gone"))

    with pytest.raises(Retired, match="switched off") as retired:
        client.control.list_endpoints()

    assert "TIDEGATE_RUNPOD_API_URL" in retired.value.remedy


@pytest.mark.parametrize(
    "trouble", [problem(500), problem(503), httpx.ReadTimeout("slow"), httpx.ConnectError("no")], ids=repr
)
def test_a_read_is_tried_again(
    client: RunPodClient, server: FakeRunPod, clock: Clock, trouble: httpx.Response | Exception
) -> None:
    server.will(trouble, trouble, OK)

    assert client.control.list_endpoints() == []

    assert clock.slept == [1.0, 2.0]


def test_trying_ends_after_four_times(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(*[problem(503)] * 4)

    with pytest.raises(ServerTrouble):
        client.control.list_endpoints()

    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (problem(500), ServerTrouble),
        (problem(524), ServerTrouble),
        (httpx.ReadTimeout("slow"), LostReply),
        (httpx.RemoteProtocolError("cut"), LostReply),
        (httpx.WriteError("cut"), LostReply),
    ],
    ids=repr,
)
def test_a_change_that_may_have_happened_is_not_sent_again(
    client: RunPodClient, server: FakeRunPod, trouble: httpx.Response | Exception, kind: type[TidegateError]
) -> None:
    server.will(trouble)

    with pytest.raises(kind):
        client.control.update_endpoint("e", CHANGE)

    assert len(server.requests) == 1


def test_a_change_that_may_be_repeated_is(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(problem(500), httpx.Response(200, json=endpoint_json()))

    client.control.update_endpoint("e", CHANGE, is_repeatable=True)

    assert len(server.requests) == 2


@pytest.mark.parametrize("trouble", [httpx.ConnectError("no"), problem(429)], ids=repr)
def test_a_change_that_cannot_have_happened_is_sent_again(
    client: RunPodClient, server: FakeRunPod, trouble: httpx.Response | Exception
) -> None:
    server.will(trouble, httpx.Response(200, json=endpoint_json()))

    client.control.update_endpoint("e", CHANGE)

    assert len(server.requests) == 2


def test_an_unreachable_runpod_is_told_as_such(client: RunPodClient, server: FakeRunPod) -> None:
    server.otherwise = _raise(httpx.ConnectError("refused"))

    with pytest.raises(Unreachable) as error:
        client.control.update_endpoint("e", CHANGE)

    assert error.value.is_retryable


def test_a_wait_that_runpod_asks_for_is_kept(client: RunPodClient, server: FakeRunPod, clock: Clock) -> None:
    server.will(problem(429, **{"retry-after": "17"}), OK)

    client.control.list_endpoints()

    assert clock.slept == [17.0]


def test_a_wait_beyond_reason_goes_to_the_caller(
    client: RunPodClient, server: FakeRunPod, clock: Clock
) -> None:
    server.will(problem(429, **{"retry-after": "3600"}))

    with pytest.raises(RateLimited) as limited:
        client.control.list_endpoints()

    assert limited.value.retry_after_s == 3600
    assert clock.slept == []


def test_a_request_that_would_exceed_a_limit_waits_for_its_window(
    client: RunPodClient, server: FakeRunPod, clock: Clock
) -> None:
    limited = httpx.Response(
        200,
        json={"endpoints": []},
        headers={"RateLimit": '"minute";r=0;t=9', "RateLimit-Policy": '"minute";q=60;w=60'},
    )
    server.will(limited, OK)

    client.control.list_endpoints()
    client.control.list_endpoints()

    assert clock.slept == [9.0]
    assert client.api.rate_limits.windows[0].quota == 60


def test_a_limit_of_a_day_is_not_slept_through(
    client: RunPodClient, server: FakeRunPod, clock: Clock
) -> None:
    server.will(httpx.Response(200, json={"endpoints": []}, headers={"RateLimit": '"day";r=0;t=7200'}))
    client.control.list_endpoints()

    with pytest.raises(RateLimited, match="7200 s"):
        client.control.list_endpoints()

    assert len(server.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"endpoints": {}}),
        httpx.Response(200, json={"endpoints": [{"name": "no id"}]}),
    ],
    ids=["html", "a bare list", "no list", "no id"],
)
def test_a_success_that_cannot_be_read_is_said_without_its_values(
    client: RunPodClient, server: FakeRunPod, reply: httpx.Response
) -> None:
    server.will(reply)

    with pytest.raises(BadReply) as error:
        client.control.list_endpoints()

    assert "no id" not in str(error.value)


def test_a_redirect_is_not_followed(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(httpx.Response(307, headers={"location": "https://elsewhere.example/v2/serverless"}))

    with pytest.raises(Unexpected):
        client.control.list_endpoints()

    assert len(server.requests) == 1


def test_what_runpod_adds_is_ignored_and_what_it_drops_has_a_default(
    client: RunPodClient, server: FakeRunPod
) -> None:
    strange = {
        "id": "e",
        "name": "a",
        "type": "SOMETHING_NEW",
        "workers": None,
        "gpu": None,
        "novelty": {"x": 1},
        "networkVolumes": None,
    }
    server.will(httpx.Response(200, json={"endpoints": [strange], "also": 1}))

    (endpoint,) = client.control.list_endpoints()

    assert (endpoint.type, endpoint.gpu, endpoint.network_volumes) == ("SOMETHING_NEW", None, ())
    assert endpoint.workers.max == 0


def test_the_key_is_seen_by_runpod_alone(
    client: RunPodClient, server: FakeRunPod, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.will(problem(401, f"invalid api key {KEY}"))

    with pytest.raises(Unauthorized) as refused:
        client.control.list_endpoints()

    error = refused.value
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].headers["user-agent"].startswith("tidegate/")
    shown = f"{error} {error!r} {error.as_dict()} {client!r} {vars(client)} {vars(client.api)} {caplog.text}"
    assert KEY not in shown
    assert "***" in error.message


@pytest.mark.parametrize("key", ["", "a\nb", "a b", "ключ"])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(Refused) as refused:
        RunPodClient(API, DATA, Secret(key))

    assert not key or key not in str(refused.value)


@pytest.mark.parametrize("url", ["http://api.runpod.io", "ftp://127.0.0.1", "api.runpod.io"])
def test_the_key_is_not_sent_in_clear_over_a_network(url: str) -> None:
    with pytest.raises(InvalidInput):
        RunPodClient(url, DATA, Secret(KEY))


def test_the_key_is_not_sent_to_a_host_that_a_reply_names(client: RunPodClient, server: FakeRunPod) -> None:
    foreign = endpoint_json(requestUrls={"base": "https://api.runpod.ai.evil.example", "health": "x"})
    server.will(httpx.Response(200, json=foreign))
    endpoint = client.control.endpoint("ep1")

    with pytest.raises(Refused, match=r"evil\.example"):
        client.load_balancer.ask(endpoint, "/v1/models")

    assert len(server.requests) == 1


def _raise(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler
