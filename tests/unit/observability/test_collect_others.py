"""Pipelines, gateways' refusals, this host, the store, money, notices and errors as metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tidegate import __version__
from tidegate.domain import ServiceRef
from tidegate.domain.health import BackupMark, Health, HealthState
from tidegate.domain.policy import ObjectivePolicy
from tidegate.domain.totals import REJECTED, Gain, PipelineRun
from tidegate.observability.collect_gateway import GatewayCollector
from tidegate.observability.collect_health import ExpiryCollector, HealthCollector
from tidegate.observability.collect_host import (
    HostCollector,
    MoneyCollector,
    ObjectiveCollector,
    Spent,
    StoreCollector,
)
from tidegate.observability.collect_notices import ErrorCollector, NoticeCollector
from tidegate.observability.collect_prefect import FIRST_LOOK, OVERLAP, PrefectCollector
from tidegate.observability.collecting import Collector
from tidegate.observability.health.judging import Expiring
from tidegate.observability.registry import Family, Readings, Register

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
RUN = PipelineRun("r1", "release", "completed", 12.5, NOW)


def look(collector: Collector) -> dict[str, Family]:
    into, guard = Readings(collector.name, collector.names), Register()
    collector.collect(into)
    shown = guard.settle(into)
    assert guard.refused == 0
    return shown


class Writer:
    """Keeps what is written."""

    def __init__(self, newest: datetime | None = None):
        self.gains: list[Gain] = []
        self.runs: list[PipelineRun] = []
        self.newest = newest

    def add_totals(self, gains: Sequence[Gain]) -> None:
        self.gains += gains

    def record_runs(self, runs: Sequence[PipelineRun]) -> int:
        self.runs += runs
        return len(runs)

    def last_run_at(self) -> datetime | None:
        return self.newest


class Prefect:
    def __init__(self) -> None:
        self.since: datetime | None = None
        self.is_open = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False

    def pools(self) -> Sequence[str]:
        return ["control", "gpu"]

    def worker_states(self, pool: str) -> Mapping[str, int]:
        return {"online": 1} if pool == "control" else {}

    def open_runs(self) -> Mapping[tuple[str, str], int]:
        return {("release", "running"): 2, ("release", "cancelling"): 1}

    def oldest_late(self, late_s: float) -> Mapping[str, datetime]:
        return {"gpu": NOW}

    def ended_runs(self, since: datetime) -> Sequence[PipelineRun]:
        self.since = since
        return [RUN]

    def intervals_s(self) -> Mapping[str, float]:
        return {"reconcile": 20.0}


def test_a_pool_without_workers_says_zero() -> None:
    shown = look(PrefectCollector(Prefect, Writer(), lambda: NOW))

    assert shown["tidegate_workers"] == {
        ("control", "online"): 1.0,
        ("control", "offline"): 0.0,
        ("gpu", "online"): 0.0,
        ("gpu", "offline"): 0.0,
    }
    assert shown["tidegate_queue_oldest_timestamp_seconds"] == {("gpu",): NOW.timestamp()}
    assert shown["tidegate_pipeline_expected_interval_seconds"] == {("reconcile",): 20.0}
    active = shown["tidegate_pipeline_active_runs"]
    assert active["release", "running"] == 2.0
    assert active["reconcile", "running"] == 0.0


@pytest.mark.parametrize(
    ("newest", "since"),
    [(None, NOW - FIRST_LOOK), (NOW - timedelta(hours=1), NOW - timedelta(hours=1) - OVERLAP)],
)
def test_ended_runs_are_handed_to_the_ledger_from_where_it_knows_them(
    newest: datetime | None, since: datetime
) -> None:
    prefect, writer = Prefect(), Writer(newest)
    look(PrefectCollector(lambda: prefect, writer, lambda: NOW))

    assert (prefect.since, writer.runs, prefect.is_open) == (since, [RUN], False)


def test_refusals_of_a_gateway_are_added_from_the_second_look_on_and_survive_its_restart() -> None:
    place, counts, writer = ("acme", "chat", "auth"), [100, 103, 2], Writer()
    collector = GatewayCollector(lambda: {"gateway-1": lambda: {place: counts.pop(0)}}, writer)
    for _ in range(3):
        look(collector)

    assert writer.gains == [Gain(REJECTED, place, 3), Gain(REJECTED, place, 2)]


def test_this_host_tells_its_resources_its_processes_and_the_version(tmp_path: Path) -> None:
    shown = look(HostCollector(tmp_path, lambda: {"prefect": True, "gateway": False}))

    assert set(shown["tidegate_host_utilization_ratio"]) == {
        ("cpu",),
        ("memory",),
        ("disk",),
    }
    assert all(0 <= float(value) <= 1 for value in shown["tidegate_host_utilization_ratio"].values())  # type: ignore[arg-type]
    assert shown["tidegate_process_up"] == {("prefect",): 1.0, ("gateway",): 0.0}
    assert shown["tidegate_build_info"] == {(__version__,): 1.0}


def test_a_store_tells_what_it_holds_and_what_it_may_hold(tmp_path: Path) -> None:
    (tmp_path / "store" / "sha256").mkdir(parents=True)
    (tmp_path / "store" / "sha256" / "a.gguf").write_bytes(b"x" * 1000)
    shown = look(StoreCollector(tmp_path / "store"))

    assert shown["tidegate_store_used_bytes"] == {("local",): 1000.0}
    assert float(shown["tidegate_store_capacity_bytes"]["local",]) > 1000  # type: ignore[arg-type]


def test_a_store_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert look(StoreCollector(tmp_path / "no" / "store"))["tidegate_store_used_bytes"] == {("local",): 0.0}


def test_an_organization_without_a_budget_has_none_and_not_zero() -> None:
    told = [Spent("acme", 100.0, 12.5, {"runpod": 11.0}), Spent("free")]
    shown = look(MoneyCollector(lambda: told))

    assert shown["tidegate_budget_usd"] == {("acme", "month"): 100.0}
    assert shown["tidegate_budget_spent_usd"] == {("acme", "month"): 12.5}
    assert shown["tidegate_cost_billed_usd"] == {("acme", "runpod", "month"): 11.0}


def test_a_service_shows_what_its_policy_promises_and_one_that_nobody_configures_what_is_usual() -> None:
    chat, gone = ServiceRef("acme", "chat"), ServiceRef("acme", "gone")
    promised = {chat: ObjectivePolicy(availability=0.999, ttft=0.8)}

    shown = look(ObjectiveCollector(lambda: [chat, gone], promised.get))["tidegate_slo_objective_ratio"]

    assert shown == {
        ("acme", "chat", "availability"): 0.999,
        ("acme", "chat", "ttft"): 0.8,
        ("acme", "gone", "availability"): 0.99,
        ("acme", "gone", "ttft"): 0.95,
    }


class Seen:
    """What health checks and backups left in the ledger."""

    def __init__(self, *states: HealthState, backups: Mapping[str, BackupMark] | None = None):
        self._states, self._backups = states, backups or {}

    def health_states(self) -> Sequence[HealthState]:
        return self._states

    def backup_marks(self) -> Mapping[str, BackupMark]:
        return self._backups


def seen(check: str, health: Health, ago: timedelta = timedelta(), **measures: float) -> HealthState:
    return HealthState(check, health, "", "", (), measures, NOW - ago, NOW - ago, 0.1, 15.0)


def states(shown: dict[str, Family]) -> dict[str, list[str]]:
    on = [labels for labels, value in shown["tidegate_health_check_state"].items() if value]
    return {check: [state for one, state in on if one == check] for check, _ in on}


def test_a_check_is_what_it_was_seen_as_and_unknown_when_nobody_looks() -> None:
    rows = Seen(seen("host", Health.FAILED), seen("gpu", Health.OK, timedelta(hours=1)))

    shown = look(HealthCollector(rows, ["host", "gpu", "ledger"], lambda: NOW))

    assert states(shown) == {"host": ["failed"], "gpu": ["unknown"], "ledger": ["unknown"]}
    assert len(shown["tidegate_health_check_state"]) == 3 * len(Health)
    assert shown["tidegate_health_check_last_run_timestamp_seconds"] == {
        ("host",): NOW.timestamp(),
        ("gpu",): NOW.timestamp() - 3600,
    }


@pytest.mark.parametrize("ago", [timedelta(), timedelta(days=1)])
def test_a_chain_that_was_found_broken_stays_so_when_nobody_looks_any_more(ago: timedelta) -> None:
    rows = Seen(seen("audit", Health.FAILED, ago, intact=0.0))

    assert look(HealthCollector(rows, (), lambda: NOW))["tidegate_audit_chain_intact"] == {(): 0.0}


def test_a_chain_that_nobody_could_look_at_is_neither_whole_nor_broken() -> None:
    rows = Seen(seen("audit", Health.UNKNOWN))

    assert look(HealthCollector(rows, (), lambda: NOW))["tidegate_audit_chain_intact"] == {}


def test_each_step_of_backups_tells_when_it_last_succeeded() -> None:
    rows = Seen(backups={"made": BackupMark("made", "b", NOW, 1, 1.0)})

    shown = look(HealthCollector(rows, (), lambda: NOW))

    assert shown["tidegate_backup_last_success_timestamp_seconds"] == {("made",): NOW.timestamp()}


def test_of_several_keys_the_first_that_expires_speaks() -> None:
    ends = [
        Expiring("acme", "client_key", "web", NOW + timedelta(days=3)),
        Expiring("acme", "client_key", "app", NOW + timedelta(days=1)),
        Expiring("acme", "certificate", "root", NOW),
    ]

    assert look(ExpiryCollector(lambda: ends))["tidegate_expiry_timestamp_seconds"] == {
        ("acme", "client_key"): (NOW + timedelta(days=1)).timestamp(),
        ("acme", "certificate"): NOW.timestamp(),
    }


class Outbox:
    def outbox_counts(self) -> Mapping[tuple[str, str, str], int]:
        return {
            ("acme", "mail", "sent"): 5,
            ("acme", "mail", "waiting"): 2,
            ("acme", "mail", "sending"): 1,
            ("acme", "mail", "dead"): 1,
            ("", "desk", "unconfirmed"): 1,
        }

    def oldest_undelivered(self) -> datetime | None:
        return NOW


def test_notices_tell_what_became_of_them_and_since_when_the_oldest_waits() -> None:
    shown = look(NoticeCollector(Outbox()))

    assert shown["tidegate_notifications_total"]["mail", "acme", "sent"] == 5.0
    assert shown["tidegate_notifications_total"]["desk", "_installation", "failed"] == 1.0
    assert shown["tidegate_notifications_pending"]["mail", "acme"] == 3.0
    assert shown["tidegate_notifications_dead"] == {("mail", "acme"): 1.0, ("desk", "_installation"): 0.0}
    assert shown["tidegate_notifications_oldest_timestamp_seconds"] == {("_installation",): NOW.timestamp()}


@dataclass(frozen=True)
class Counted:
    org: str
    code: str
    count: int


def test_errors_are_counted_by_code() -> None:
    class Errors:
        def error_totals(self) -> Sequence[Counted]:
            return [Counted("acme", "TG-1100", 3), Counted("", "TG-1100", 2), Counted("acme", "TG-1100", 1)]

    shown = look(ErrorCollector(Errors()))["tidegate_errors_total"]
    assert shown == {("acme", "TG-1100"): 4.0, ("_installation", "TG-1100"): 2.0}
