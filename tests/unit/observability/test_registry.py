"""Budgets and closed labels of metrics are enforced, whatever a collector says."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain import InvalidInput, SetState
from tidegate.observability import BY_NAME, OTHER
from tidegate.observability.registry import Buckets, Family, Readings, Register, is_name

REQUESTS = "tidegate_requests_total"
DRIFT = "tidegate_reconcile_drift"
BUDGET = "tidegate_budget_usd"
SEEN = "tidegate_gateway_last_seen_timestamp_seconds"
DURATION = "tidegate_request_duration_seconds"


def readings(collector: str = "ledger", *names: str) -> Readings:
    return Readings(collector, names or (REQUESTS, DRIFT, BUDGET, SEEN, DURATION))


def register(budget: int) -> Register:
    return Register(lambda one: budget)


def test_within_the_budget_everything_is_shown() -> None:
    look, guard = readings(), register(2)
    look.put(DRIFT, 1, "acme", "chat")
    look.put(DRIFT, 0, "acme", "mail")

    assert guard.settle(look)[DRIFT] == {("acme", "chat"): 1.0, ("acme", "mail"): 0.0}
    assert guard.refused == 0


def test_one_label_set_more_than_the_budget_is_refused_counted_and_folded_into_other() -> None:
    look, guard = readings(), register(2)
    for service in ("a", "b", "c", "d"):
        look.put(REQUESTS, 10, "acme", service, "stable", "2xx")

    shown = guard.settle(look)[REQUESTS]
    assert shown == {
        ("acme", "a", "stable", "2xx"): 10.0,
        ("acme", "b", "stable", "2xx"): 10.0,
        (OTHER, OTHER, "stable", "2xx"): 20.0,
    }
    assert guard.refused == 2


def test_who_was_admitted_stays_and_leaves_room_when_it_is_gone() -> None:
    guard = register(1)
    first, second, third = readings(), readings(), readings()
    first.put(DRIFT, 0, "acme", "z")
    second.put(DRIFT, 1, "acme", "a")
    second.put(DRIFT, 0, "acme", "z")
    third.put(DRIFT, 1, "acme", "a")

    assert ("acme", "z") in guard.settle(first)[DRIFT]
    assert guard.settle(second)[DRIFT] == {("acme", "z"): 0.0, (OTHER, OTHER): 1.0}
    assert guard.settle(third)[DRIFT] == {("acme", "a"): 1.0}


def test_two_collectors_share_one_budget() -> None:
    guard = register(1)
    one, two = readings("platform-a", DRIFT), readings("platform-b", DRIFT)
    one.put(DRIFT, 0, "acme", "chat")
    two.put(DRIFT, 1, "acme", "mail")

    guard.settle(one)
    assert guard.settle(two)[DRIFT] == {(OTHER, OTHER): 1.0}


def test_what_is_folded_is_added_where_a_sum_means_something_else_the_highest_stands() -> None:
    look, guard = readings(), register(0)
    for name, amount in (("a", 3.0), ("b", 5.0)):
        look.put(BUDGET, amount, name, "month")
        look.put(SEEN, amount, name)
        look.put_buckets(DURATION, Buckets({0: 1, 2: 2}, amount), "acme", name, "stable")

    shown = guard.settle(look)
    assert shown[BUDGET] == {(OTHER, "month"): 8.0}
    assert shown[SEEN] == {(OTHER,): 5.0}
    assert shown[DURATION] == {(OTHER, OTHER, "stable"): Buckets({0: 2, 2: 4}, 8.0)}


def test_a_value_that_a_closed_label_does_not_have_is_refused() -> None:
    look, guard = readings(), Register()
    look.put(REQUESTS, 1, "acme", "chat", "blue", "2xx")

    assert guard.settle(look)[REQUESTS] == {}
    assert guard.refused == 1


@pytest.mark.parametrize(
    "text",
    [
        "https://user:pw@host/x",
        "hf_AbCdEfGhIjKlMnOp1234",
        "sk-proj-AbCdEfGh12345678",
        "q3Vt7-Zk9_LmN0pQrStUvWxYzAbCdEfGhIjKlMnOpQr",
        "Tell me a secret.",
        "sk-live key",
        "a\nb",
        'a"b',
        "",
        "x" * 200,
        "ann@acme.example",
    ],
)
def test_a_text_that_is_no_name_becomes_other(text: str) -> None:
    look, guard = readings(), Register()
    look.put(DRIFT, 1, "acme", text)

    assert guard.settle(look)[DRIFT] == {(OTHER, OTHER): 1.0}
    assert not is_name(text)


def test_a_metric_of_another_collector_is_a_defect() -> None:
    with pytest.raises(InvalidInput, match="does not own"):
        readings("host", DRIFT).put(REQUESTS, 1, "acme", "chat", "stable", "2xx")


@pytest.mark.parametrize("labels", [("acme",), ("acme", "chat", "stable")])
def test_other_labels_than_the_declared_ones_are_a_defect(labels: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="org, service"):
        readings().put(DRIFT, 1, *labels)


def test_a_plain_number_is_no_histogram() -> None:
    with pytest.raises(InvalidInput, match="histogram"):
        readings().put(DURATION, 1, "acme", "chat", "stable")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_left_out(value: float) -> None:
    look = readings()
    look.put(DRIFT, value, "acme", "chat")

    assert look.families[DRIFT] == {}


def test_a_zero_never_replaces_what_was_found() -> None:
    look = readings()
    look.put(DRIFT, 1, "acme", "chat")
    look.zero(DRIFT, "acme", "chat")
    look.zero(DURATION, "acme", "chat", "stable")

    assert look.families[DRIFT] == {("acme", "chat"): 1.0}
    assert look.families[DURATION] == {("acme", "chat", "stable"): Buckets()}


def test_a_state_set_has_one_series_for_each_state() -> None:
    look = readings("platform-local", "tidegate_set_state")
    look.put_state("tidegate_set_state", SetState, "ready", "acme", "chat", "green", "stable")

    family = look.families["tidegate_set_state"]
    assert len(family) == len(SetState)
    assert [labels[-1] for labels, value in family.items() if value] == ["ready"]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=6), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_never_more_label_sets_than_the_budget_and_other_and_nothing_is_lost(
    looks: list[list[str]], budget: int
) -> None:
    guard = register(budget)
    for services in looks:
        look = readings()
        for service in services:
            look.put(REQUESTS, 1, "acme", service, "stable", "2xx")
        shown: Family = guard.settle(look)[REQUESTS]
        assert len(shown) <= budget + 1
        assert sum(value for value in shown.values() if isinstance(value, float)) == len(set(services))


def test_every_declared_budget_is_what_the_register_holds_by_default() -> None:
    look = readings()
    most = BY_NAME[BUDGET].max_label_sets
    for number in range(most + 1):
        look.put(BUDGET, 1, f"org-{number}", "month")
    guard = Register()

    assert len(guard.settle(look)[BUDGET]) == most + 1
    assert guard.refused == 1
