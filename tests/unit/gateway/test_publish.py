"""Which services must wait before their traffic may move."""

from tidegate.domain import ServiceRef
from tidegate.gateway.metrics import Members
from tidegate.gateway.publish import Live, hold_back

REF = ServiceRef("acme", "chat")


def members(*healthy: str) -> Members:
    return Members(healthy=healthy, active={}, warming=())


def test_a_sick_set_gains_nothing_while_the_present_one_serves(make_route):
    live = Live(routes=(make_route({"old": 100, "new": 0}),))

    held = hold_back([make_route({"old": 90, "new": 10})], live, members("old"))

    assert "new" in held[REF]


def test_a_healthy_set_may_gain(make_route):
    live = Live(routes=(make_route({"old": 100, "new": 0}),))

    assert hold_back([make_route({"old": 90, "new": 10})], live, members("old", "new")) == {}


def test_a_sick_set_may_always_lose(make_route):
    live = Live(routes=(make_route({"old": 50, "new": 50}),))

    assert hold_back([make_route({"old": 100, "new": 0})], live, members("old")) == {}


def test_nothing_is_held_when_nothing_serves(make_route):
    live = Live(routes=(make_route({"old": 100, "new": 0}),))

    assert hold_back([make_route({"old": 0, "new": 100})], live, members()) == {}


def test_a_first_route_is_not_held(make_route):
    assert hold_back([make_route({"old": 100})], Live(), members()) == {}
