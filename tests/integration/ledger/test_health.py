"""States and history of health checks on both databases: bounded, and never better than what was seen."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import Transient
from tidegate.domain.health import BackupMark, Health, Judgement, Part
from tidegate.ledger.migrations import HEAD

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
GOOD = Judgement(Health.OK, "all well", measures={"free": 0.5})
BAD = Judgement(Health.FAILED, "one is gone", "bring it back", (Part("one", Health.FAILED, "gone", "back"),))


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(open_ledger, clock):
    return open_ledger(clock=clock)


def record(ledger, judgement, check="store"):
    ledger.record_health(check, judgement, took_s=0.1, interval_s=15)


def test_a_state_keeps_since_when_it_is_as_it_is(ledger, clock):
    record(ledger, GOOD)
    clock.now += timedelta(seconds=15)
    record(ledger, BAD)
    clock.now += timedelta(seconds=15)
    record(ledger, BAD)
    (state,) = ledger.health_states()
    assert (state.health, state.text, state.remedy, state.parts) == (
        Health.FAILED,
        BAD.text,
        BAD.remedy,
        BAD.parts,
    )
    assert state.since == START + timedelta(seconds=15)
    assert state.checked_at == clock.now


def test_history_has_every_change_and_few_samples_between_them(ledger, clock):
    for turn in range(60):
        record(ledger, BAD if turn == 30 else GOOD)
        clock.now += timedelta(seconds=15)
    history = ledger.health_history("store", START)
    changes = [sample for sample in history if sample.is_change]
    assert [sample.health for sample in changes] == [Health.OK, Health.FAILED, Health.OK]
    assert len(history) - len(changes) <= 3
    assert history[0].measures == {"free": 0.5}


def test_samples_go_after_a_day_and_changes_stay(ledger, clock):
    record(ledger, BAD)
    for _ in range(50):
        record(ledger, GOOD)
        clock.now += timedelta(hours=1)
    history = ledger.health_history("store", START)
    assert [sample.health for sample in history if sample.is_change] == [Health.FAILED, Health.OK]
    assert len(history) <= 28


def test_a_check_that_flutters_keeps_a_bounded_history(ledger, clock, monkeypatch):
    monkeypatch.setattr("tidegate.ledger.health.MAX_CHANGES", 10)
    for turn in range(25):
        record(ledger, (GOOD, BAD)[turn % 2])
        clock.now += timedelta(seconds=15)
    assert len(ledger.health_history("store", START)) == 10


def test_marks_of_backups_are_the_last_success_of_each_step(ledger, clock):
    ledger.write_latency_s()
    assert ledger.backup_marks() == {}
    made = BackupMark("made", "one", START, 10, 0.5)
    ledger.note_backup(made)
    again = BackupMark("made", "two", START + timedelta(days=1), 12, 0.5)
    ledger.note_backup(again)
    assert ledger.backup_marks() == {"made": again}


def test_the_ledger_tells_of_itself(ledger):
    assert ledger.schema_revision() == HEAD
    assert ledger.write_latency_s() > 0
    assert ledger.integrity_problems(timeout_s=60) == []


def test_a_look_at_the_pages_ends_in_its_time(open_ledger, backend, monkeypatch):
    if backend == "postgresql":
        pytest.skip("PostgreSQL ends statements by itself")
    monkeypatch.setattr("tidegate.ledger.health._STEPS_BETWEEN_LOOKS", 1)
    ledger = open_ledger()
    with pytest.raises(Transient):
        ledger.integrity_problems(timeout_s=-1)
