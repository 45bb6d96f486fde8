"""Who is waited for, and what is kept for those who are not."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.domain import GatewayStatus, Route, ServiceRef
from tidegate.release.confirmation import GATEWAY_ALIVE_S, alive, is_confirmed, silent_sets

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REF = ServiceRef("acme", "chat")
ROUTE = Route(org="acme", service="chat", generation=7)


def status(name: str, generation: int = 7, *, silent_s: float = 0.0, **more: Any) -> GatewayStatus:
    return GatewayStatus(
        gateway=name, observed_generation=generation, seen_at=NOW - timedelta(seconds=silent_s), **more
    )


def test_a_switch_is_done_when_every_gateway_that_speaks_has_it():
    assert is_confirmed([status("a"), status("b")], NOW, REF, ROUTE)
    assert not is_confirmed([status("a"), status("b", 6)], NOW, REF, ROUTE)


def test_with_no_gateway_nothing_is_confirmed():
    assert not is_confirmed([], NOW, REF, ROUTE)
    assert not is_confirmed([status("a", silent_s=60)], NOW, REF, ROUTE)


def test_a_silent_gateway_is_not_waited_for_and_its_sets_are_kept():
    statuses = [status("a"), status("b", 3, silent_s=GATEWAY_ALIVE_S + 1, routed_sets=("old", "new"))]

    assert is_confirmed(statuses, NOW, REF, ROUTE)
    assert silent_sets(statuses, NOW) == {"old": ("b",), "new": ("b",)}


def test_one_that_comes_back_is_waited_for_again():
    back = status("b", 3, routed_sets=("old",))

    assert not is_confirmed([status("a"), back], NOW, REF, ROUTE)
    assert silent_sets([status("a"), back], NOW) == {}


def test_one_that_said_goodbye_is_neither_waited_for_nor_is_anything_kept_for_it():
    gone = status("b", 3, state="stopped", routed_sets=("old",))

    assert [one.gateway for one in alive([status("a"), gone], NOW)] == ["a"]
    assert is_confirmed([status("a"), gone], NOW, REF, ROUTE)
    assert silent_sets([gone.model_copy(update={"seen_at": NOW - timedelta(days=1)})], NOW) == {}


def test_a_set_of_another_service_that_a_gateway_cannot_reach_holds_up_nobody_else():
    held = status("a", 3, observed={"acme/chat": 7, "other/chat": 2})

    assert is_confirmed([held], NOW, REF, ROUTE)
    assert not is_confirmed([held], NOW, ServiceRef("other", "chat"), ROUTE)
