"""What was seen decides: good, bad, and above all what nobody saw."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import GatewayStatus, SetState, SetStatus
from tidegate.domain.audit import Break, Verified
from tidegate.domain.health import BackupMark, Health, HealthState, Judgement, Part, worst
from tidegate.domain.standing import Finding
from tidegate.observability.health import judging as judge
from tidegate.observability.health import judging_host as host
from tidegate.observability.health.thresholds import Thresholds

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LIMITS = Thresholds()
GIB = 1024**3
DIGEST, OTHER = "a" * 64, "b" * 64


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def part(judgement: Judgement, name: str) -> Part:
    return next(one for one in judgement.parts if one.name == name)


def test_the_worst_part_speaks_for_all():
    parts = [
        Part("a", Health.OK, "fine"),
        Part("b", Health.FAILED, "gone", "bring it"),
        Part("c", Health.UNKNOWN, "?"),
    ]
    found = Judgement.of(parts)
    assert (found.health, found.text, found.remedy) == (Health.FAILED, "b: gone (and 1 more)", "bring it")


def test_nothing_that_was_looked_at_is_unknown():
    assert Judgement.of([]).health is Health.UNKNOWN
    assert worst([]) is Health.UNKNOWN


@pytest.mark.parametrize(("seconds", "health"), [(0, Health.OK), (100, Health.OK), (106, Health.UNKNOWN)])
def test_an_old_state_is_no_evidence(seconds: float, health: Health):
    state = HealthState("host", Health.OK, "fine", "", (), {}, ago(hours=9), ago(seconds=seconds), 0.1, 15.0)
    assert state.seen_from(NOW).health is health


HOST = host.HostSeen(0.5, 2, 4 * GIB, 8 * GIB, 50 * GIB, 100 * GIB, "/home/tidegate")


@pytest.mark.parametrize(
    ("changes", "name", "health"),
    [
        ({}, "cpu", Health.OK),
        ({"load_1m": 9.0}, "cpu", Health.WARNING),
        ({"memory_free_bytes": GIB // 2}, "memory", Health.WARNING),
        ({"memory_free_bytes": GIB // 100}, "memory", Health.FAILED),
        ({"disk_free_bytes": GIB}, "disk", Health.WARNING),
        ({"disk_free_bytes": GIB // 4}, "disk", Health.FAILED),
    ],
)
def test_a_host_is_as_good_as_what_is_left_of_it(changes, name, health):
    found = host.judge_host(replace(HOST, **changes), LIMITS.host)
    assert part(found, name).health is health
    assert bool(part(found, name).remedy) is (health is not Health.OK)


GPU = host.Gpu("H100", 10 * GIB, 80 * GIB, 40.0, 0.5, 0)


@pytest.mark.parametrize(
    ("seen", "expected", "health"),
    [
        (host.GpusSeen(has_driver=False), 0, Health.OK),
        (host.GpusSeen(has_driver=False), 1, Health.FAILED),
        (host.GpusSeen(has_driver=True), 0, Health.UNKNOWN),
        (host.GpusSeen(has_driver=True, error="timeout"), 0, Health.UNKNOWN),
        (host.GpusSeen(has_driver=True, error="timeout"), 1, Health.FAILED),
        (host.GpusSeen(has_driver=True, gpus=(GPU,)), 1, Health.OK),
        (host.GpusSeen(has_driver=True, gpus=(GPU,)), 2, Health.FAILED),
        (host.GpusSeen(has_driver=True, gpus=(replace(GPU, uncorrected_errors=3),)), 1, Health.FAILED),
        (host.GpusSeen(has_driver=True, gpus=(replace(GPU, temperature_celsius=90.0),)), 1, Health.WARNING),
        (host.GpusSeen(has_driver=True, gpus=(replace(GPU, temperature_celsius=97.0),)), 1, Health.FAILED),
        (host.GpusSeen(has_driver=True, gpus=(replace(GPU, temperature_celsius=None),)), 1, Health.UNKNOWN),
        (host.GpusSeen(has_driver=True, gpus=(replace(GPU, memory_used_bytes=79 * GIB),)), 1, Health.WARNING),
    ],
)
def test_gpus_are_there_cool_and_without_errors(seen, expected, health):
    limits = LIMITS.gpu.model_copy(update={"expected": expected})
    assert host.judge_gpus(seen, limits).health is health


def test_a_live_file_that_is_not_in_the_store_fails_although_it_serves():
    seen = host.StoreSeen(
        "/store", True, 9 * GIB, GIB, (("acme/chat", DIGEST, True), ("acme/code", OTHER, False))
    )
    found = host.judge_store(seen)
    assert (found.health, part(found, "acme/code").health) == (Health.FAILED, Health.FAILED)


def test_a_store_without_room_for_the_next_file_warns():
    assert host.judge_store(host.StoreSeen("/store", True, GIB, 2 * GIB)).health is Health.WARNING
    assert host.judge_store(host.StoreSeen("/store", False, GIB, 0)).health is Health.FAILED


MADE = BackupMark("made", "b-1", ago(hours=3), 1000, 0.2)
VERIFIED = BackupMark("verified", "b-1", ago(hours=2), 1000, 0.2)


@pytest.mark.parametrize(
    ("made", "verified", "health"),
    [
        (MADE, VERIFIED, Health.OK),
        (None, None, Health.UNKNOWN),
        (MADE, None, Health.UNKNOWN),
        (replace(MADE, at=ago(hours=30)), VERIFIED, Health.WARNING),
        (replace(MADE, at=ago(days=4)), VERIFIED, Health.FAILED),
        (MADE, replace(VERIFIED, at=ago(days=9)), Health.WARNING),
    ],
)
def test_a_backup_is_young_and_was_restored(made, verified, health):
    assert host.judge_backups(made, verified, (), NOW, LIMITS.backups).health is health


def test_a_failed_backup_fails_however_young_the_last_good_one_is():
    finding = Finding(
        kind="backup.failed", subject="ledger", summary="no room", first_seen=NOW, last_seen=NOW
    )
    found = host.judge_backups(MADE, VERIFIED, (finding,), NOW, LIMITS.backups)
    assert (found.health, found.text) == (Health.FAILED, "backup.failed: no room")


@pytest.mark.parametrize(
    ("seen", "health"),
    [
        (judge.LedgerSeen("0008", "0008", 0.01), Health.OK),
        (judge.LedgerSeen("0007", "0008", 0.01), Health.FAILED),
        (judge.LedgerSeen("0008", "0008", 1.0), Health.WARNING),
        (judge.LedgerSeen("0008", "0008", 9.0), Health.FAILED),
    ],
)
def test_a_ledger_has_its_schema_and_writes_in_time(seen, health):
    assert judge.judge_ledger(seen, LIMITS.ledger).health is health


def test_damaged_pages_fail():
    assert judge.judge_integrity([]).health is Health.OK
    assert judge.judge_integrity(["row 3 missing from index"]).health is Health.FAILED


@pytest.mark.parametrize(
    ("seen", "health"),
    [
        (judge.PrefectSeen(True, 13, {}), Health.OK),
        (judge.PrefectSeen(False), Health.FAILED),
        (judge.PrefectSeen(True, 0, {}), Health.FAILED),
        (judge.PrefectSeen(True, 13, None), Health.UNKNOWN),
        (judge.PrefectSeen(True, 13, {"gpu": 300.0}), Health.WARNING),
        (judge.PrefectSeen(True, 13, {"gpu": 3000.0}), Health.FAILED),
    ],
)
def test_prefect_answers_and_lets_no_run_wait(seen, health):
    assert judge.judge_prefect(seen, LIMITS.queues).health is health


def test_one_living_worker_of_each_pool_is_enough():
    assert (
        judge.judge_workers({"control": [("one", True), ("two", False)], "gpu": [("g", True)]}).health
        is Health.OK
    )
    found = judge.judge_workers({"control": [("one", True)], "gpu": [("g", False)]})
    assert (found.health, found.text) == (Health.FAILED, "pool gpu: no worker is online")
    assert judge.judge_workers({}).health is Health.UNKNOWN


def gateway(name: str = "gateway-1", generation: int = 5, seconds: float = 1, **more) -> GatewayStatus:
    return GatewayStatus(gateway=name, observed_generation=generation, seen_at=ago(seconds=seconds), **more)


@pytest.mark.parametrize(
    ("statuses", "health"),
    [
        ([gateway()], Health.OK),
        ([], Health.UNKNOWN),
        ([gateway(seconds=10)], Health.WARNING),
        ([gateway(seconds=60)], Health.FAILED),
        ([gateway(generation=4)], Health.WARNING),
        ([gateway(error="rejected")], Health.FAILED),
        ([gateway(state="stopped", seconds=9000)], Health.FAILED),
        ([gateway(), gateway("gateway-2", state="stopped", seconds=9000)], Health.OK),
    ],
)
def test_gateways_speak_and_have_the_newest_generation(statuses, health):
    found = judge.judge_gateways(statuses, 5, ago(seconds=3), NOW, LIMITS.gateways)
    assert found.health is health


@pytest.mark.parametrize("since", [None, ago(minutes=5)])
def test_a_gateway_that_stays_behind_fails(since):
    assert (
        judge.judge_gateways([gateway(generation=4)], 5, since, NOW, LIMITS.gateways).health is Health.FAILED
    )


def routed(status: SetStatus | None, weight: int = 100) -> judge.RoutedSet:
    return judge.RoutedSet("acme/chat", "acme-chat-1234", weight, DIGEST, status)


def ready(digest: str | None = DIGEST) -> SetStatus:
    return SetStatus(name="acme-chat-1234", state=SetState.READY, digest=digest, port=1)


@pytest.mark.parametrize(
    ("one", "health"),
    [
        (routed(ready()), Health.OK),
        (routed(ready(OTHER)), Health.FAILED),
        (routed(ready(None)), Health.UNKNOWN),
        (routed(None), Health.UNKNOWN),
        (routed(SetStatus(name="s", state=SetState.UNKNOWN)), Health.UNKNOWN),
        (routed(SetStatus(name="s", state=SetState.FAILED)), Health.FAILED),
        (routed(SetStatus(name="s", state=SetState.STARTING), weight=0), Health.WARNING),
    ],
)
def test_a_routed_set_is_ready_and_serves_its_file(one, health):
    assert judge.judge_sets([one], []).health is health


def test_a_service_that_serves_nothing_yet_is_no_trouble():
    assert judge.judge_sets([], ["acme/chat"]).health is Health.OK


@pytest.mark.parametrize(
    ("left", "health"),
    [
        (timedelta(days=90), Health.OK),
        (timedelta(days=10), Health.WARNING),
        (timedelta(days=1), Health.FAILED),
        (timedelta(days=-1), Health.FAILED),
    ],
)
def test_what_expires_is_renewed_in_time(left, health):
    found = judge.judge_expiry(
        [judge.Expiring("acme", "client_key", "web", NOW + left)], 3, NOW, LIMITS.expiry
    )
    assert found.health is health
    assert ("tidegate keys rotate acme web" in found.remedy) is (health is not Health.OK)


def test_keys_that_never_expire_are_well():
    assert judge.judge_expiry([], 4, NOW, LIMITS.expiry).health is Health.OK


@pytest.mark.parametrize(
    ("oldest", "counts", "health"),
    [
        (None, {("acme", "mail", "sent"): 7}, Health.OK),
        (ago(seconds=300), {}, Health.WARNING),
        (ago(hours=1), {}, Health.FAILED),
        (None, {("acme", "mail", "dead"): 2}, Health.WARNING),
    ],
)
def test_events_are_told_in_time_and_none_is_given_up(oldest, counts, health):
    assert judge.judge_notifications(oldest, counts, NOW, LIMITS.queues).health is health


def test_a_broken_chain_fails_and_names_the_entry():
    assert judge.judge_audit(Verified(9, None, None)).health is Health.OK
    found = judge.judge_audit(Verified(4, None, Break(5, "its content is not what was written")))
    assert found.health is Health.FAILED
    assert "entry 5" in found.text
