"""A key that is replaced while we run is used without a restart, and no request is lost or sent twice over it."""

from collections.abc import Callable

import httpx
import pytest

from tests.unit.platforms.runpod.conftest import API, DATA, KEY, Clock, FakeRunPod, endpoint_json, problem
from tests.unit.platforms.runpod.test_requests import LB
from tidegate.domain import InvalidInput, Secret
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.errors import Unauthorized
from tidegate.platforms.runpod.pace import Pace

NEW = "rpa_THEKEYTHATREPLACEDIT0123456789"
EMPTY = {"endpoints": []}


class Store:
    """Where the key is kept, and how often it was looked at."""

    def __init__(self) -> None:
        self.value: str | None = KEY
        self.reads = 0

    def read(self) -> Secret | None:
        self.reads += 1
        if self.value == "unreadable":
            raise InvalidInput("the file is empty")
        return None if self.value is None else Secret(self.value)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def rotating(server: FakeRunPod, clock: Clock, store: Store) -> RunPodClient:
    pace = Pace(clock.now, clock.sleep, lambda: 1.0)
    return RunPodClient(
        API, DATA, Secret(KEY), read_key=store.read, http=httpx.MockTransport(server), pace=pace
    )


def only(key: str) -> Callable[[httpx.Request], httpx.Response]:
    """A RunPod that knows one key."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != f"Bearer {key}":
            return problem(401, f"unknown key {request.headers['authorization']}")
        return httpx.Response(200, json=EMPTY)

    return answer


def test_a_revoked_key_is_replaced_by_the_one_that_is_stored_now(
    rotating: RunPodClient, server: FakeRunPod, store: Store
) -> None:
    server.otherwise = only(NEW)
    store.value = NEW

    assert rotating.control.list_endpoints() == []

    assert len(server.requests) == 2
    server.requests.clear()
    rotating.control.list_endpoints()
    assert len(server.requests) == 1, "from then on the new key is used at once"


def test_a_replaced_key_is_used_before_the_old_one_is_refused(
    rotating: RunPodClient, server: FakeRunPod, store: Store, clock: Clock
) -> None:
    server.otherwise = lambda request: httpx.Response(200, json=EMPTY)
    store.value = NEW
    rotating.control.list_endpoints()
    clock.at += 31

    rotating.control.list_endpoints()

    assert [one.headers["authorization"][-6:] for one in server.requests] == [KEY[-6:], NEW[-6:]]
    assert store.reads == 1


@pytest.mark.parametrize("stored", [KEY, None, "unreadable", "two words"])
def test_without_another_key_the_refusal_stands_and_no_key_is_told(
    rotating: RunPodClient, server: FakeRunPod, store: Store, stored: str | None
) -> None:
    server.otherwise = only("rpa_NOBODYHASTHISKEY")
    store.value = stored

    with pytest.raises(Unauthorized) as refused:
        rotating.control.list_endpoints()

    assert len(server.requests) == 1
    assert KEY not in str(refused.value)


def test_two_refused_keys_are_both_hidden(rotating: RunPodClient, server: FakeRunPod, store: Store) -> None:
    server.otherwise = only("rpa_NOBODYHASTHISKEY")
    store.value = NEW

    with pytest.raises(Unauthorized) as refused:
        rotating.control.list_endpoints()

    assert len(server.requests) == 2
    assert KEY not in str(refused.value)
    assert NEW not in str(refused.value)


def test_a_create_is_repeated_only_because_a_refused_one_did_nothing(
    rotating: RunPodClient, server: FakeRunPod, store: Store
) -> None:
    store.value = NEW
    server.will(problem(401), httpx.Response(201, json=endpoint_json("a")))

    assert rotating.control.create_endpoint(LB).name == "a"

    first, second = server.requests
    assert first.content == second.content
