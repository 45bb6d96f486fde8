"""Totals only rise, count each thing once, and are written with what they count; on both databases."""

import importlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine

from benchmarks.exporter_ledger import fill
from tidegate.domain import (
    Evidence,
    Gate,
    InvalidInput,
    LiveBatch,
    Plan,
    ReleaseRequest,
    ServiceRef,
    SetSpec,
    Transient,
    Verdict,
)
from tidegate.domain import totals as of
from tidegate.domain.live import ALL, PLAIN, SHADOW, Timing
from tidegate.domain.totals import Gain, PipelineRun
from tidegate.ledger import Ledger

REF = ServiceRef("acme", "chat")
DIGEST = "a" * 64
START = datetime(2026, 11, 26, tzinfo=UTC)
LIMIT_S = 60.0
PLAN = Plan(
    green_set="acme--chat--green",
    green_digest=DIGEST,
    blue_set=None,
    blue_digest=None,
    blue_version=None,
    ladder=(10, 100),
    gates=("structure",),
    policy_digest="p",
)


def amounts(ledger: Ledger, metric: str) -> dict[tuple[str, ...], float]:
    """Labels and amounts of a counter."""
    return {one.labels: one.amount for one in ledger.totals(LIMIT_S) if one.metric == metric and one.part < 0}


def last(ledger: Ledger, metric: str) -> dict[tuple[str, ...], float]:
    found = (one for one in ledger.totals(LIMIT_S) if one.metric == metric and one.part == of.LAST_VALUE)
    return {one.labels: one.amount for one in found}


def batch(**fields: Any) -> LiveBatch:
    given: dict[str, Any] = {
        "gateway": "g", "org": "acme", "service": "chat", "set_name": "acme--chat--blue", "started_at": START,
        "ended_at": START + timedelta(seconds=1), "requests": 3, "codes": {"2xx": 2, "5xx": 1},
        "timings": {"ttft_ms": Timing(counts={8: 2, 9: 1}, sum_s=5.5)}, "tokens_in": 30, "tokens_out": 12,
        "truncated": 1, "empty": 1,
    }  # fmt: skip
    return LiveBatch.model_validate(given | fields)


@pytest.fixture
def ledger(open_ledger: Callable[..., Ledger]) -> Ledger:
    return open_ledger(clock=lambda: START + timedelta(minutes=1))


@pytest.fixture
def release(ledger: Ledger) -> tuple[str, int]:
    """One that is planned, with its set recorded."""
    wanted = ReleaseRequest(org="acme", service="chat", model="pipit", version="2")
    made = ledger.request_release(wanted, DIGEST, key="k")
    epoch = ledger.acquire_lock(REF, made.id)
    assert epoch is not None
    ledger.append(made.id, epoch, "entered", "planned", plan=PLAN)
    spec = SetSpec(
        name=PLAN.green_set, org="acme", service="chat", release_id=made.id, digest=DIGEST, artifact_path="/x"
    )
    ledger.record_set(spec, platform="local", epoch=epoch, state="wanted")
    return made.id, epoch


def test_gains_of_the_same_labels_are_one_total(ledger: Ledger) -> None:
    ledger.add_totals(
        [Gain(of.COST, ("acme", "chat", "runpod"), 0.5), Gain(of.COST, ("acme", "chat", "runpod"), 0.25)]
    )
    ledger.add_totals([Gain(of.COST, ("acme", "chat", "runpod"), 1.0)])

    assert amounts(ledger, of.COST) == {("acme", "chat", "runpod"): 1.75}


def test_a_label_that_would_run_into_the_next_one_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidInput, match="label"):
        ledger.add_totals([Gain(of.COST, ("acme/chat", "x", "runpod"))])


def test_live_requests_are_counted_by_service_slot_and_end(ledger: Ledger) -> None:
    ledger.record_live([batch()])

    place = ("acme", "chat", "stable")
    assert amounts(ledger, of.REQUESTS) == {(*place, "2xx"): 2.0, (*place, "5xx"): 1.0}
    assert amounts(ledger, of.TOKENS) == {(*place, "input"): 30.0, (*place, "output"): 12.0}
    assert amounts(ledger, of.INTERRUPTIONS) == {place: 1.0}
    assert amounts(ledger, of.OUTPUT_FAULTS) == {(*place, "empty"): 1.0, (*place, "truncated"): 1.0}
    assert amounts(ledger, of.SET_REQUESTS) == {("acme", "chat", "acme--chat--blue"): 3.0}
    ttft = {one.part: one.amount for one in ledger.totals(LIMIT_S) if one.metric == of.TIMED["ttft_ms"]}
    assert ttft == {8: 2.0, 9: 1.0, of.SUM: 5.5}


def test_a_batch_that_is_sent_again_is_not_counted_again(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.record_live([batch(), batch(gateway="h")])

    assert amounts(ledger, of.REQUESTS)["acme", "chat", "stable", "2xx"] == 4.0


def test_slices_that_repeat_requests_are_left_out_and_copies_have_a_slot_of_their_own(ledger: Ledger) -> None:
    ledger.record_live([batch(), batch(slice=PLAIN), batch(slice=SHADOW)])

    found = amounts(ledger, of.REQUESTS)
    assert {labels[2]: count for labels, count in found.items() if labels[3] == "2xx"} == {
        "stable": 2.0,
        "shadow": 2.0,
    }


def test_totals_stay_when_the_batches_that_they_count_are_pruned(open_ledger: Callable[..., Ledger]) -> None:
    now = [START]
    ledger = open_ledger(clock=lambda: now[0])
    ledger.record_live([batch()])
    now[0] += timedelta(days=3)
    ledger.record_live([batch(started_at=now[0], ended_at=now[0])])

    assert len(ledger.live("acme--chat--blue", START - timedelta(days=1))) == 1
    assert amounts(ledger, of.REQUESTS)["acme", "chat", "stable", "2xx"] == 4.0


def test_while_a_release_is_open_requests_are_told_apart_and_are_samples(
    ledger: Ledger, release: Any
) -> None:
    ledger.record_live([batch(), batch(set_name=PLAN.green_set)])

    slots = {labels[2] for labels in amounts(ledger, of.REQUESTS)}
    assert slots == {"stable", "candidate"}
    assert amounts(ledger, of.CANARY_SAMPLES) == {
        ("acme", "chat", "stable"): 3.0,
        ("acme", "chat", "candidate"): 3.0,
    }


@pytest.mark.parametrize(("failed", "value"), [(0, 1.0), (3, 0.0)])
def test_our_own_probes_are_no_requests_and_say_whether_the_last_was_answered(
    ledger: Ledger, failed: int, value: float
) -> None:
    ledger.record_live([batch(is_probe=True, slice=ALL, failed=failed)])

    assert amounts(ledger, of.REQUESTS) == {}
    assert last(ledger, of.PROBE) == {("acme", "chat", "stable"): value}


def test_the_journal_counts_gates_starts_and_the_end_once(ledger: Ledger, release: tuple[str, int]) -> None:
    made, epoch = release
    ledger.append(made, epoch, "entered", "provisioning")
    ledger.append(made, epoch, "entered", "warming")
    ledger.append(made, epoch, "observed", "gate:quality", {"verdict": "not_judged"})
    for _ in range(2):
        ledger.append(made, epoch, "entered", "done")

    assert amounts(ledger, of.GATE_DECISIONS) == {("acme", "quality", "not_judged"): 1.0}
    assert amounts(ledger, of.SET_OPERATIONS) == {("local", "create", "ok"): 1.0}
    assert amounts(ledger, of.RELEASES) == {("acme", "chat", "canary", "done"): 1.0}
    ready = [one for one in ledger.totals(LIMIT_S) if one.metric == of.SET_READY_SECONDS]
    assert {one.labels for one in ready} == {("local", "llama-server")}
    assert last(ledger, of.EVAL_REGRESSION) == {("acme", "chat"): 0.0}


def test_a_set_that_never_became_ready_is_a_failed_creation(ledger: Ledger, release: tuple[str, int]) -> None:
    made, epoch = release
    ledger.append(made, epoch, "entered", "provisioning")
    ledger.append(made, epoch, "entered", "rolling_back")

    assert amounts(ledger, of.SET_OPERATIONS) == {("local", "create", "failed"): 1.0}


def test_a_deleted_set_is_counted_once_and_its_own_requests_are_forgotten(
    ledger: Ledger, release: tuple[str, int]
) -> None:
    _, epoch = release
    ledger.record_live([batch(set_name=PLAN.green_set)])
    for _ in range(2):
        ledger.forget_set(PLAN.green_set, epoch=epoch)

    assert amounts(ledger, of.SET_OPERATIONS) == {("local", "delete", "ok"): 1.0}
    assert amounts(ledger, of.SET_REQUESTS) == {}
    assert amounts(ledger, of.REQUESTS)["acme", "chat", "candidate", "2xx"] == 2.0


def test_a_file_with_other_bytes_than_its_digest_names_is_counted(ledger: Ledger) -> None:
    rows = [
        Evidence(gate=Gate.STRUCTURE, check="file.digest", verdict=verdict, summary="s")
        for verdict in (Verdict.FAIL, Verdict.PASS)
    ]
    ledger.add_evidence(None, rows, digest=DIGEST, policy_digest="p")

    assert amounts(ledger, of.WRONG_BYTES) == {("file",): 1.0}


def test_a_run_that_is_told_again_is_counted_once(ledger: Ledger) -> None:
    runs = [
        PipelineRun("r1", "release", "completed", 3.0, START),
        PipelineRun("r2", "release", "failed", 7.0, START + timedelta(seconds=5)),
    ]
    assert [ledger.record_runs(runs), ledger.record_runs(runs[1:])] == [2, 0]

    assert amounts(ledger, of.PIPELINE_RUNS) == {("release", "completed"): 1.0, ("release", "failed"): 1.0}
    assert amounts(ledger, of.PIPELINE_SECONDS) == {("release",): 10.0}
    assert last(ledger, of.PIPELINE_SUCCESS) == {("release",): START.timestamp()}
    assert ledger.last_run_at() == START + timedelta(seconds=5)


def test_old_runs_go_and_their_totals_stay(open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger(clock=lambda: START + timedelta(days=30))
    ledger.record_runs([PipelineRun("r1", "release", "completed", 3.0, START)])

    assert ledger.last_run_at() is None
    assert amounts(ledger, of.PIPELINE_RUNS) == {("release", "completed"): 1.0}


def test_what_stands_is_told_in_one_piece(ledger: Ledger, release: tuple[str, int]) -> None:
    told = ledger.overview(LIMIT_S)

    (opened,) = told.releases
    assert (opened.ref, opened.state, opened.candidate) == (REF, "planned", PLAN.green_set)
    assert (opened.model, opened.version) == ("pipit", "2")
    (made,) = told.sets
    assert (made.name, made.slot, made.platform) == (PLAN.green_set, "candidate", "local")
    assert told.services == (REF,)


def test_a_query_that_takes_too_long_is_stopped(ledger: Ledger, backend: str) -> None:
    slow = (
        "SELECT pg_sleep(30)"
        if backend == "postgresql"
        else "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    )
    with pytest.raises(Transient, match="busy"), ledger._database.read(0.05) as session:
        session.execute(text(slow))
    assert ledger.totals(LIMIT_S) == []


def test_what_is_asked_does_not_grow_with_the_past(url: str) -> None:
    """Ten times the releases: the same number of statements, and no whole table of the past in any plan."""
    fill(url, services=20, releases=400, evidence=2)
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    with Ledger.open(url) as ledger:
        event.listen(Engine, "before_cursor_execute", note)
        try:
            told = ledger.overview(LIMIT_S)
            ledger.totals(LIMIT_S)
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    asked = [one for one in statements if one.startswith("SELECT") and "FROM" in one]
    assert len(asked) <= 15
    assert not any(table in one for one in asked for table in ("evidence", "traffic_samples", "live_batches"))
    assert (len(told.services), len(told.sets), len(told.releases)) == (20, 40, 2)
    assert {one.slot for one in told.sets} == {"stable", "candidate"}


def test_releases_that_ended_before_there_were_totals_are_carried_over(url: str) -> None:
    before = importlib.import_module("tidegate.ledger.migrations.versions.0009_metric_totals")
    fill(url, services=4, releases=40, evidence=0)
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in (
            "DROP TABLE metric_totals",
            "DROP TABLE pipeline_runs",
            "DROP INDEX ix_sets_deleted_at",
            f"UPDATE alembic_version SET version_num = '{before.down_revision}'",
        ):
            connection.execute(text(statement))
        ended = connection.execute(
            text("SELECT count(*) FROM releases WHERE active_key IS NULL")
        ).scalar_one()
    engine.dispose()

    with Ledger.open(url) as ledger:
        carried = amounts(ledger, of.RELEASES)
    assert sum(carried.values()) == ended
    assert {labels[2] for labels in carried} == {"canary"}
