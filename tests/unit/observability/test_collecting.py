"""Collectors side by side: one that fails or hangs costs only its own metrics, and everybody sees since when."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tidegate.domain import Transient
from tidegate.observability import METRICS
from tidegate.observability.collecting import KEEP_LEAST_S, Collecting
from tidegate.observability.exposition import family_of, lines_of, text_of
from tidegate.observability.metric import Metric
from tidegate.observability.registry import Buckets, Family, Readings, Register, Value

DRIFT = "tidegate_reconcile_drift"
STORE = "tidegate_store_used_bytes"
SUCCESS = "tidegate_collector_last_success_timestamp_seconds"
ERRORS = "tidegate_collector_errors_total"


class Scripted:
    """Does what its script says."""

    interval_s = 5.0

    def __init__(self, name: str, metric: str, act: Callable[[Readings], None]):
        self.name = name
        self.names: Sequence[str] = (metric,)
        self.act = act

    def collect(self, into: Readings) -> None:
        self.act(into)


def store(amount: float = 7.0) -> Scripted:
    return Scripted("store", STORE, lambda into: into.put(STORE, amount, "local"))


def failing(error: Exception) -> Scripted:
    def act(into: Readings) -> None:
        into.put(DRIFT, 1, "acme", "chat")
        raise error

    return Scripted("ledger", DRIFT, act)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def samples(page: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (one.name, tuple(one.labels.values())): one.value
        for family in text_string_to_metric_families(page.decode())
        for one in family.samples
    }


def test_a_collector_that_fails_costs_only_its_own_metrics() -> None:
    collecting = Collecting([failing(Transient("the ledger is away")), store()], clock=Clock())
    collecting.look_all()

    seen = samples(collecting.page())
    assert seen[STORE, ("local",)] == 7.0
    assert not any(name == DRIFT for name, _ in seen)
    assert seen[ERRORS, ("ledger",)] == 1.0
    assert seen[ERRORS, ("store",)] == 0.0


def test_a_collector_that_never_succeeded_says_so_with_a_time_long_ago() -> None:
    collecting = Collecting([failing(Transient("away")), store()], clock=Clock())
    collecting.look_all()

    seen = samples(collecting.page())
    assert seen[SUCCESS, ("ledger",)] == 0.0
    assert seen[SUCCESS, ("store",)] == 1000.0


def test_last_values_stay_for_a_while_and_then_only_the_time_of_the_last_success() -> None:
    clock, one = Clock(), store()
    collecting = Collecting([one], clock=clock)
    collecting.look_all()

    def hang(into: Readings) -> None:
        raise Transient("no answer")

    one.act = hang
    collecting.look_all()
    assert (STORE, ("local",)) in samples(collecting.page())

    clock.now += KEEP_LEAST_S + 1
    collecting.look_all()
    seen = samples(collecting.page())
    assert (STORE, ("local",)) not in seen
    assert seen[SUCCESS, ("store",)] == 1000.0


def test_a_scrape_never_waits_for_a_collector_that_hangs() -> None:
    let_go, looking = threading.Event(), threading.Event()

    def hang(into: Readings) -> None:
        looking.set()
        let_go.wait()

    collecting, stop = Collecting([Scripted("ledger", DRIFT, hang), store()]), threading.Event()
    threads = collecting.run(stop)
    try:
        assert looking.wait(60)
        while (STORE, ("local",)) not in samples(collecting.page()):
            assert not stop.wait(0.01)
        assert (SUCCESS, ("ledger",)) not in samples(collecting.page())
    finally:
        stop.set()
        let_go.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("error", [ValueError("https://key@host"), Transient("told by us")])
def test_only_words_of_ours_are_told_of_a_failure(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    collecting = Collecting([failing(error)])
    with caplog.at_level("WARNING"):
        collecting.look_all()

    problem = collecting.standings[0].problem
    assert "key" not in problem + caplog.text
    assert problem in ("ValueError", "told by us")


class Kept:
    """Errors that were told of."""

    def __init__(self) -> None:
        self.places: list[str] = []

    def __call__(self, error: BaseException, place: str, **_: Any) -> None:
        self.places.append(place)

    def flush(self) -> None:
        pass


def test_a_failure_that_lasts_is_logged_and_kept_once(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    collecting = Collecting([failing(ValueError("broken"))], note=kept)
    with caplog.at_level("WARNING"):
        for _ in range(3):
            collecting.look_all()

    assert len(caplog.records) == 1
    assert kept.places == [f"collector {collecting.standings[0].collector.name}"]
    assert collecting.standings[0].errors == 3


def test_who_is_away_for_less_than_a_minute_is_no_error_to_keep() -> None:
    """At each start the exporter is there before the Prefect server."""
    kept, clock = Kept(), [0.0]
    collecting = Collecting([failing(Transient("away"))], note=kept, clock=lambda: clock[0])
    seen: list[int] = []
    for clock[0] in (0.0, 30.0, 59.0, 60.0, 90.0):
        collecting.look_all()
        seen.append(len(kept.places))
    assert seen == [0, 0, 0, 1, 1]


def test_label_sets_beyond_a_budget_are_counted_as_errors_of_cardinality() -> None:
    collecting = Collecting([store()], register=Register(lambda one: 0))
    assert samples(collecting.page())[ERRORS, ("cardinality",)] == 0.0
    collecting.look_all()

    seen = samples(collecting.page())
    assert seen[ERRORS, ("cardinality",)] == 1.0
    assert seen[STORE, ("other",)] == 7.0


def test_what_did_not_change_is_not_rendered_again() -> None:
    one = store()
    collecting = Collecting([one])
    collecting.look_all()
    before = collecting.standings[0].pieces[STORE]["local",]
    collecting.look_all()
    assert collecting.standings[0].pieces[STORE]["local",] is before

    one.act = store(8.0).act
    collecting.look_all()
    assert b"8.0" in collecting.standings[0].texts[STORE]


@pytest.mark.parametrize("one", METRICS, ids=lambda one: one.name)
def test_our_lines_are_those_of_the_library(one: Metric) -> None:
    value: Value = Buckets({0: 2, len(one.buckets): 1}, 12.5) if one.buckets else 1234567.25
    family: Family = {
        tuple(min(label.values) if label.is_closed else f"{number}-x" for label in one.labels): value
        for number in range(2)
    }
    theirs = [line for line in text_of([family_of(one, family)]).splitlines(True) if line[:1] != b"#"]

    assert b"".join(lines_of(one, labels, value) for labels in sorted(family)) == b"".join(theirs)
