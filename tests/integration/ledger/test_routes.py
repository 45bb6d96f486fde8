"""The port `Router`, on both databases."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text

from tidegate.domain import Fenced, GatewayStatus, Route, ServiceRef, TrafficCounts, Upstream

REF = ServiceRef("acme", "chat")
START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def route(service: str = "chat", newest: str | None = None, port: int = 8001, **weights: int) -> Route:
    upstreams = tuple(
        Upstream(set_name=name, host="127.0.0.1", port=port, digest="a" * 64, release_id="r-1")
        for name in weights
    )
    return Route(org="acme", service=service, upstreams=upstreams, weights=weights, newest=newest)


def test_a_route_comes_back_with_its_generation(ledger):
    assert ledger.get_route(REF) is None
    assert ledger.generation() == 0
    wanted = route(blue=90, green=10, newest="green")
    assert ledger.put_route(wanted, epoch=0) == 1
    stored = ledger.get_route(REF)
    assert stored.published_at is not None
    assert stored == wanted.model_copy(update={"generation": 1, "published_at": stored.published_at})
    assert ledger.generation() == 1


def test_a_set_elsewhere_comes_back_with_its_whole_address(ledger):
    far = Upstream(
        set_name="far",
        host="ab12.api.example.org",
        port=443,
        digest="a" * 64,
        release_id="r-1",
        tls=True,
        path_prefix="/v2/ab12/openai",
        credential="runpod-credential-acme",
    )
    ledger.put_route(route().model_copy(update={"upstreams": (far,), "weights": {"far": 100}}), epoch=0)

    (stored,) = ledger.list_routes()

    assert stored.upstreams == (far,)


def test_an_upstream_that_an_earlier_version_stored_is_a_set_on_our_own_hosts(ledger, url):
    ledger.put_route(route(blue=100), epoch=0)
    former = {"set_name": "blue", "host": "127.0.0.1", "port": 8001, "digest": "a" * 64, "release_id": "r-1"}
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE routes SET upstreams = :rows"), {"rows": json.dumps([former])})
    engine.dispose()

    (stored,) = ledger.list_routes()

    assert stored.upstreams == route(blue=100).upstreams
    assert not stored.upstreams[0].is_remote
    assert ledger.put_route(route(blue=100), epoch=0) == stored.generation


def test_generations_rise_over_all_services(ledger):
    generations = [
        ledger.put_route(route(service, blue=weight), epoch=0)
        for service, weight in (("chat", 0), ("draft", 100), ("chat", 100), ("draft", 0))
    ]
    assert generations == [1, 2, 3, 4]
    assert ledger.generation() == 4
    assert [(one.service, one.generation) for one in ledger.list_routes()] == [("chat", 3), ("draft", 4)]


def test_the_same_content_keeps_its_generation(ledger):
    ledger.put_route(route(blue=90, green=10), epoch=0)
    ledger.put_route(route("draft", blue=100), epoch=0)
    assert ledger.put_route(route(green=10, blue=90), epoch=0) == 1
    assert ledger.generation() == 2


@pytest.mark.parametrize(
    "changed",
    [
        route(blue=80, green=20),
        route(blue=90, green=10, newest="green"),
        route(blue=90, green=10, port=8002),
        route(blue=100),
        route(),
    ],
)
def test_any_other_content_is_a_new_generation(ledger, changed):
    ledger.put_route(route(blue=90, green=10), epoch=0)
    assert ledger.put_route(changed, epoch=0) == 2


def test_a_route_that_somebody_else_changed_meanwhile_is_left_alone(ledger):
    assert ledger.put_route(route(blue=100), epoch=0, expected_generation=0) == 1
    ledger.put_route(route("draft", blue=100), epoch=0)
    assert ledger.put_route(route(blue=50, green=50), epoch=0, expected_generation=0) == 1
    assert ledger.get_route(REF).weights == {"blue": 100}
    assert ledger.put_route(route(blue=50, green=50), epoch=0, expected_generation=1) == 3
    assert ledger.put_route(route(blue=50, green=50), epoch=0, expected_generation=1) == 3


def test_a_service_without_upstreams_keeps_its_row(ledger):
    ledger.put_route(route(blue=100), epoch=0)
    ledger.put_route(route(), epoch=0)
    (stored,) = ledger.list_routes()
    assert (stored.generation, stored.upstreams, stored.weights) == (2, (), {})


@pytest.mark.parametrize("epoch", [-1, 1])
def test_a_route_changes_only_at_the_current_epoch(ledger, epoch):
    ledger.put_route(route(blue=100), epoch=0)
    for wanted in (route(green=100), route(blue=100)):
        with pytest.raises(Fenced):
            ledger.put_route(wanted, epoch=epoch)
    assert ledger.get_route(REF).weights == {"blue": 100}
    assert ledger.generation() == 1


def test_the_last_report_of_each_gateway_stands(ledger):
    west = GatewayStatus(gateway="west", observed_generation=1, seen_at=START)
    east = GatewayStatus(
        gateway="east",
        observed_generation=7,
        seen_at=START,
        healthy_sets=("blue", "green"),
        active_requests={"blue": 3},
        error="",
    )
    for status in (west, east):
        ledger.report_gateway(status)
    later = west.model_copy(update={"observed_generation": 2, "error": "rejected"})
    ledger.report_gateway(later)
    assert ledger.gateways() == [east, later]


def counts(name: str, requests: int, seconds: float = 0, failed: int = 0) -> TrafficCounts:
    return TrafficCounts(
        set_name=name,
        requests=requests,
        failed=failed,
        attempts_failed=failed,
        latency_ms_sum=requests * 10.5,
        latency_count=requests,
        at=START + timedelta(seconds=seconds),
    )


@pytest.fixture
def now():
    """A clock that tests set."""
    return [START]


@pytest.fixture
def counting(open_ledger, now):
    return open_ledger(clock=lambda: now[0])


def test_counts_are_the_sum_of_the_newest_sample_of_each_gateway(counting):
    assert counting.counts("blue") is None
    counting.record_counts("east", [counts("blue", 10), counts("green", 1)])
    counting.record_counts("east", [counts("blue", 15, 1, failed=2)])
    counting.record_counts("west", [counts("blue", 100, 0.5)])
    assert counting.counts("blue") == counts("blue", 115, 1, failed=2)
    assert counting.counts("green") == counts("green", 1)


def test_counts_can_be_asked_for_an_earlier_time(counting):
    for second, requests in enumerate((10, 20, 30)):
        counting.record_counts("east", [counts("blue", requests, second)])
    counting.record_counts("west", [counts("blue", 5, 2)])
    assert counting.counts("blue", START + timedelta(seconds=1.5)) == counts("blue", 20, 1)
    assert counting.counts("blue", START + timedelta(seconds=2)).requests == 35
    assert counting.counts("blue", START - timedelta(seconds=1)) is None


def test_a_sample_of_the_same_time_replaces_the_former(counting):
    counting.record_counts("east", [counts("blue", 10)])
    counting.record_counts("east", [counts("blue", 11)])
    assert counting.counts("blue").requests == 11


def test_old_samples_are_pruned_but_the_newest_of_a_quiet_gateway_stays(counting, now):
    counting.record_counts("quiet", [counts("blue", 7, -1), counts("blue", 8)])
    counting.record_counts("east", [counts("blue", 10)])
    now[0] = START + timedelta(minutes=20)
    counting.record_counts("east", [counts("blue", 20, 20 * 60)])
    assert counting.counts("blue").requests == 28
    assert counting.counts("blue", START + timedelta(minutes=1)).requests == 8
    assert counting.counts("blue", START - timedelta(seconds=0.5)) is None


def test_the_last_sample_of_a_gateway_is_forgotten_after_a_day(counting, now):
    counting.record_counts("quiet", [counts("blue", 8)])
    now[0] = START + timedelta(days=1, minutes=1)
    counting.record_counts("east", [])
    assert counting.counts("blue") is None
