"""The control plane: lost answers to creates, pages of both generations, logs that never end."""

from typing import Any

import httpx
import pytest

from tests.contracts.runpod import Breach
from tests.unit.platforms.runpod.conftest import Clock, FakeRunPod, endpoint_json, problem
from tests.unit.platforms.runpod.test_requests import LB
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.errors import BadReply, LostReply, Missing, NoCapacity, ServerTrouble
from tidegate.platforms.runpod.logs import LogBounds
from tidegate.platforms.runpod.wire import PodAction

MINE = endpoint_json("a")


def listing(*endpoints: dict[str, Any], **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"endpoints": list(endpoints), **more})


@pytest.mark.parametrize(
    "lost",
    [
        httpx.ReadTimeout("slow"),
        problem(500),
        problem(502),
        httpx.Response(201, text="<html>"),
        httpx.Response(201, json={"name": "a"}),
    ],
    ids=["timeout", "500", "502", "no json", "no id"],
)
def test_a_create_whose_answer_is_lost_is_looked_for_and_adopted(
    client: RunPodClient, server: FakeRunPod, lost: httpx.Response | Exception
) -> None:
    server.will(lost, listing(), listing(endpoint_json("b", id="other"), MINE))

    endpoint = client.control.create_endpoint(LB)

    assert endpoint.id == "ep1"
    assert server.asked == ["POST /v2/serverless", "GET /v2/serverless", "GET /v2/serverless"]


def test_a_create_that_did_not_happen_is_told_after_a_bounded_look(
    client: RunPodClient, server: FakeRunPod, clock: Clock
) -> None:
    server.will(httpx.ReadTimeout("slow"))
    server.otherwise = lambda _: listing()

    with pytest.raises(LostReply):
        client.control.create_endpoint(LB)

    assert server.asked.count("POST /v2/serverless") == 1
    assert sum(clock.slept) == pytest.approx(15.0)


def test_a_create_whose_list_cannot_be_read_either_tells_the_first_trouble(
    client: RunPodClient, server: FakeRunPod
) -> None:
    server.will(problem(500))
    server.otherwise = lambda _: problem(503)

    with pytest.raises(ServerTrouble, match="create endpoint a"):
        client.control.create_endpoint(LB)


def test_a_create_that_is_refused_looks_for_nothing(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(
        problem(400, "There are no longer any instances available with the requested specifications.")
    )

    with pytest.raises(NoCapacity):
        client.control.create_endpoint(LB)

    assert len(server.requests) == 1


def test_of_several_with_one_name_the_oldest_is_adopted(client: RunPodClient, server: FakeRunPod) -> None:
    late = endpoint_json("a", id="ep0", createdAt="2026-11-26T00:00:09Z")
    server.will(httpx.ReadTimeout("slow"), listing(late, MINE))

    assert client.control.create_endpoint(LB).id == "ep1"


def test_pages_are_followed_to_their_end(client: RunPodClient, server: FakeRunPod) -> None:
    """Cursor pagination is of September 2026, newer than the document; the checker allows just these two names."""
    server.will(
        listing(MINE, pagination={"nextCursor": "c1", "hasNextPage": True}),
        listing(endpoint_json("b", id="ep2"), pagination={"nextCursor": None, "hasNextPage": False}),
    )

    found = client.control.list_endpoints()

    assert [one.id for one in found] == ["ep1", "ep2"]
    assert [dict(request.url.params) for request in server.requests] == [
        {"limit": "1000"},
        {"limit": "1000", "cursor": "c1"},
    ]


def test_the_august_generation_has_one_page(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(listing(MINE))

    assert len(client.control.list_endpoints()) == 1


def test_pages_without_an_end_are_an_error(client: RunPodClient, server: FakeRunPod) -> None:
    server.otherwise = lambda _: listing(pagination={"nextCursor": "c", "hasNextPage": True})

    with pytest.raises(BadReply, match="do not end"):
        client.control.list_endpoints()

    assert len(server.requests) == 100


def test_deleting_what_is_gone_is_done(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(problem(404), httpx.Response(204))

    client.control.delete_endpoint("e")
    client.control.delete_pod("p")

    assert server.asked == ["DELETE /v2/serverless/e", "DELETE /v2/pods/p"]


def test_a_terminated_pod_is_none(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(httpx.Response(204))

    assert client.control.act_on_pod("p", PodAction.TERMINATE) is None


class Endless(httpx.SyncByteStream):
    """A log that goes on, or is silent, for ever."""

    def __init__(self, clock: Clock, text: bytes, step_s: float = 1.0, silence_after: int | None = None):
        self._clock = clock
        self._text = text
        self._step_s = step_s
        self._silence_after = silence_after
        self.read = 0
        self.is_closed = False

    def __iter__(self):
        while True:
            if self._silence_after is not None and self.read >= self._silence_after:
                raise httpx.ReadTimeout("silence")
            self.read += 1
            self._clock.at += self._step_s
            yield self._text

    def close(self) -> None:
        self.is_closed = True


def log_reply(stream: httpx.SyncByteStream) -> httpx.Response:
    return httpx.Response(200, stream=stream, headers={"content-type": "text/event-stream"})


LINE = b'id: 2026-11-26T00:00:00Z/7\ndata: {"source":"system","line":"start container","ts":"t"}\n\n'


def test_a_log_is_read_until_it_falls_silent(client: RunPodClient, server: FakeRunPod, clock: Clock) -> None:
    stream = Endless(clock, LINE, silence_after=3)
    server.will(log_reply(stream))

    lines = list(client.control.worker_log("e", "w", tail=10))

    assert [(one.source, one.line) for one in lines] == [("system", "start container")] * 3
    assert stream.is_closed


@pytest.mark.parametrize(
    ("text", "bounds", "expected"),
    [
        (LINE, LogBounds(lines=5), 5),
        (LINE, LogBounds(total_s=4.0), 4),
        (b": keep-alive\n\n", LogBounds(total_s=4.0), 0),
    ],
    ids=["lines", "time", "keep-alives alone"],
)
def test_a_log_without_end_is_read_to_a_bound(
    client: RunPodClient, server: FakeRunPod, clock: Clock, text: bytes, bounds: LogBounds, expected: int
) -> None:
    stream = Endless(clock, text)
    server.will(log_reply(stream))

    assert len(list(client.control.pod_log("p", bounds=bounds))) == expected

    assert stream.is_closed


def test_a_log_goes_on_after_an_opaque_id(client: RunPodClient, server: FakeRunPod, clock: Clock) -> None:
    """Ids have been more than timestamps since September 2026; the document of August refuses them."""
    server.will(log_reply(Endless(clock, LINE, silence_after=1)))
    (line,) = client.control.worker_log("e", "w")
    assert line.event_id == "2026-11-26T00:00:00Z/7"

    with pytest.raises(Breach, match="Last-Event-ID"):
        list(client.control.worker_log("e", "w", after=line.event_id))

    assert server.requests[-1].headers["last-event-id"] == line.event_id


def test_a_line_that_never_ends_does_not_fill_the_memory(
    client: RunPodClient, server: FakeRunPod, clock: Clock
) -> None:
    server.will(log_reply(Endless(clock, b"x" * 300_000, step_s=0.01)))

    with pytest.raises(BadReply, match="without an end"):
        list(client.control.pod_log("p"))


def test_a_log_that_is_no_json_is_still_a_log(client: RunPodClient, server: FakeRunPod, clock: Clock) -> None:
    server.will(log_reply(Endless(clock, b"data: plain text\n\ndata: 7\n\n", silence_after=1)))

    assert [one.line for one in client.control.pod_log("p")] == ["plain text", "7"]


def test_the_log_of_nothing_is_missing(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(problem(404))

    with pytest.raises(Missing):
        list(client.control.pod_log("p"))


def test_credentials_of_a_container_are_not_shown(client: RunPodClient, server: FakeRunPod) -> None:
    server.will(listing(endpoint_json(env={"AWS_SECRET_ACCESS_KEY": "hush"})))
    (endpoint,) = client.control.list_endpoints()

    assert "hush" not in repr(endpoint)
