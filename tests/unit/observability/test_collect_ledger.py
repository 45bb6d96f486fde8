"""The ledger as metrics: what stands, what was counted, and a zero for everything that may happen."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import ReleaseState, ServiceRef
from tidegate.domain.evidence import Gate, Verdict
from tidegate.domain.overview import (
    OpenRelease,
    Overview,
    StandingGateway,
    StandingRoute,
    StandingSet,
)
from tidegate.domain.totals import (
    EVAL_SCORE,
    GATE_DECISIONS,
    LAST_TIME,
    LAST_VALUE,
    PROBE,
    REQUESTS,
    SET_REQUESTS,
    SUM,
    Total,
)
from tidegate.observability.collect_ledger import LedgerCollector
from tidegate.observability.labels import CODE_CLASS, SLOT
from tidegate.observability.ledger_source import Moments
from tidegate.observability.registry import Buckets, Family, Readings, Register

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REF = ServiceRef("acme", "chat")
TTFT = "tidegate_time_to_first_token_seconds"


def a_set(name: str, slot: str = "stable") -> StandingSet:
    return StandingSet(name, REF, "local", "wanted", "pipit", "v2", slot, NOW)


OPEN = OpenRelease(REF, "shifting", "pipit", "v3", "green", NOW - timedelta(hours=1), NOW)
EVERYTHING = Overview(
    organizations=("acme",),
    services=(REF,),
    sets=(a_set("blue"), a_set("green", "candidate")),
    releases=(OPEN,),
    routes=(StandingRoute(REF, 7, {"stable": 90.0, "candidate": 10.0, "shadow": 0.0}),),
    gateways=(
        StandingGateway("gateway-1", NOW, False, {"acme/chat": 7}, {"blue": 3, "green": 1, "gone": 9}),
        StandingGateway("gateway-2", NOW, False, {"acme/chat": 6}, {"blue": 2}),
        StandingGateway("gateway-3", NOW, True, {}, {"blue": 100}),
    ),
    held=frozenset({REF}),
    quarantined={"acme": 2},
    drifting=frozenset({REF}),
)


class Ledger:
    """Says what it is told, and counts how often it is asked."""

    def __init__(self, overview: Overview, totals: Sequence[Total] = ()):
        self.told, self.counted, self.asked = overview, list(totals), 0

    def overview(self, timeout_s: float) -> Overview:
        self.asked += 1
        return self.told

    def totals(self, timeout_s: float) -> list[Total]:
        return self.counted


def look(ledger: Ledger, *, configured: Sequence[ServiceRef] = ()) -> dict[str, Family]:
    collector = LedgerCollector(
        ledger,
        Moments(ledger, configured),
        platforms=["local", "runpod"],
        called=["runpod"],
        flows=["release"],
        clock=NOW.timestamp,
    )
    into, guard = Readings(collector.name, collector.names), Register()
    collector.collect(into)
    shown = guard.settle(into)
    assert guard.refused == 0
    return shown


def test_an_open_release_tells_its_state_its_version_and_since_when() -> None:
    shown = look(Ledger(EVERYTHING))

    assert [labels[-1] for labels, on in shown["tidegate_release_state"].items() if on] == ["shifting"]
    assert len(shown["tidegate_release_state"]) == len(ReleaseState)
    assert shown["tidegate_release_info"] == {("acme", "chat", "pipit", "v3"): 1.0}
    since = shown["tidegate_release_state_since_timestamp_seconds"]
    assert since == {("acme", "chat"): NOW.timestamp()}


def test_of_several_waiting_releases_the_oldest_speaks() -> None:
    newer = OpenRelease(REF, "requested", "pipit", "v4", None, NOW, NOW)
    shown = look(Ledger(Overview(services=(REF,), releases=(OPEN, newer))))

    assert shown["tidegate_release_info"] == {("acme", "chat", "pipit", "v3"): 1.0}


def test_shares_holds_quarantine_and_drift_are_shown() -> None:
    shown = look(Ledger(EVERYTHING))

    assert shown["tidegate_release_traffic_ratio"]["acme", "chat", "candidate"] == pytest.approx(0.1)
    assert shown["tidegate_hold"] == {("acme", "chat"): 1.0}
    assert shown["tidegate_quarantined_versions"] == {("acme",): 2.0}
    assert shown["tidegate_reconcile_drift"] == {("acme", "chat"): 1.0}


def test_requests_in_flight_are_those_of_all_living_gateways_by_slot() -> None:
    shown = look(Ledger(EVERYTHING))["tidegate_requests_in_flight"]

    assert shown == {
        ("acme", "chat", "stable"): 5.0,
        ("acme", "chat", "candidate"): 1.0,
        ("acme", "chat", "shadow"): 0.0,
    }


def test_a_gateway_that_has_not_taken_the_last_change_is_behind_and_a_stopped_one_is_not_missed() -> None:
    shown = look(Ledger(EVERYTHING))

    behind = shown["tidegate_gateway_generations_behind"]
    assert behind == {("gateway-1", "acme", "chat"): 0.0, ("gateway-2", "acme", "chat"): 1.0}
    assert ("gateway-3",) not in shown["tidegate_gateway_last_seen_timestamp_seconds"]


def test_a_service_that_is_only_configured_has_zeros_for_every_closed_label() -> None:
    shown = look(Ledger(Overview()), configured=[REF])

    requests = shown[REQUESTS]
    assert len(requests) == len(SLOT.values) * len(CODE_CLASS.values)
    assert set(requests.values()) == {0.0}
    assert shown[TTFT]["acme", "chat", "candidate"] == Buckets()
    assert len(shown[GATE_DECISIONS]) == len(Gate) * len(Verdict)
    assert shown["tidegate_pipeline_runs_total"]["release", "crashed"] == 0.0
    assert {labels[0] for labels in shown["tidegate_platform_api_requests_total"]} == {"runpod"}


def test_totals_become_counters_histograms_and_last_values() -> None:
    shown = look(
        Ledger(
            EVERYTHING,
            [
                Total(REQUESTS, ("acme", "chat", "stable", "2xx"), SUM, 12.0),
                Total(TTFT, ("acme", "chat", "stable"), 3, 5.0),
                Total(TTFT, ("acme", "chat", "stable"), SUM, 1.75),
                Total(EVAL_SCORE, ("acme", "chat", "pipit", "bank", "score", "candidate"), LAST_VALUE, 0.8),
                Total(EVAL_SCORE, ("acme", "chat", "pipit", "bank", "score", "candidate"), LAST_TIME, 1.0),
                Total("tidegate_forgotten_total", ("x",), SUM, 1.0),
            ],
        )
    )

    assert shown[REQUESTS]["acme", "chat", "stable", "2xx"] == 12.0
    assert shown[TTFT]["acme", "chat", "stable"] == Buckets({3: 5.0}, 1.75)
    assert list(shown[EVAL_SCORE].values()) == [0.8]


@pytest.mark.parametrize(("age_s", "is_shown"), [(60.0, True), (7200.0, False)])
def test_an_old_probe_says_nothing_about_now(age_s: float, is_shown: bool) -> None:
    at = NOW.timestamp() - age_s
    labels = "acme", "chat", "stable"
    shown = look(
        Ledger(EVERYTHING, [Total(PROBE, labels, LAST_VALUE, 1.0), Total(PROBE, labels, LAST_TIME, at)])
    )

    assert bool(shown[PROBE]) is is_shown


def test_requests_of_a_set_that_is_gone_are_not_shown() -> None:
    totals = [Total(SET_REQUESTS, ("acme", "chat", name), SUM, 4.0) for name in ("blue", "gone")]
    shown = look(Ledger(EVERYTHING, totals))[SET_REQUESTS]

    assert shown == {("acme", "chat", "blue"): 4.0, ("acme", "chat", "green"): 0.0}


def test_one_look_asks_the_ledger_once_for_what_stands() -> None:
    ledger = Ledger(EVERYTHING)
    look(ledger)

    assert ledger.asked == 1


def test_a_moment_is_shared_for_a_few_seconds() -> None:
    ledger, now = Ledger(EVERYTHING), [0.0]
    moments = Moments(ledger, reuse_s=4.0, clock=lambda: now[0])
    moments.sets_of("local")
    now[0] = 3.9
    assert [one.name for one in moments.sets_of("local")] == ["blue", "green"]
    assert moments.sets_of("runpod") == []
    assert ledger.asked == 1

    now[0] = 4.1
    moments.overview()
    assert ledger.asked == 2
