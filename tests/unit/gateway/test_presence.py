"""What a gateway owes the others: to speak, and to name its sets in time."""

import pytest

from tidegate.gateway.presence import FRESH_S, Presence, renewal
from tidegate.gateway.publish import Draining, Live
from tidegate.release.confirmation import GATEWAY_ALIVE_S


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def presence(clock) -> Presence:
    return Presence(clock)


def test_what_was_heard_is_old_before_anybody_goes_on_without_this_gateway():
    assert FRESH_S < GATEWAY_ALIVE_S


def test_nothing_was_heard_at_the_start(presence):
    assert not presence.is_fresh()


def test_what_was_heard_just_now_is_fresh_and_later_is_not(presence, clock):
    presence.heard()
    clock.now += FRESH_S
    assert presence.is_fresh()

    clock.now += 0.1

    assert not presence.is_fresh()


def test_a_long_silence_of_the_ledger_is_told_once_when_it_ends(presence, clock):
    assert presence.heard() is None
    clock.now += 12.0

    assert presence.heard() == 12.0
    assert presence.heard() is None


def test_sets_that_drain_or_are_about_to_serve_count_as_routed(presence, make_route):
    old, new, gone = make_route({"old": 100}), make_route({"new": 100}), make_route({"gone": 100})
    live = Live(routes=(old,), draining=(Draining(upstreams=gone.upstreams, since=0.0),))

    presence.expect([new])
    assert presence.routed_sets(live) == ("gone", "new", "old")

    presence.done()
    assert presence.routed_sets(live) == ("gone", "old")


def test_a_set_must_be_told_before_it_serves_and_other_weights_need_not(presence, make_route):
    presence.told(["old", "new"])

    assert presence.is_told([make_route({"old": 10, "new": 90})])
    assert not presence.is_told([make_route({"old": 10, "next": 90})])


def test_each_run_of_an_agent_has_a_boot_of_its_own_and_a_renewal_names_it():
    first, second = Presence(), Presence()

    assert first.boot != second.boot
    assert renewal(first.boot) != renewal(second.boot)
