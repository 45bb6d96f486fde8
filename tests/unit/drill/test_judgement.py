"""What a drill makes of what it saw: losses that were allowed and others, seconds, releases, too little evidence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import JournalEntry, Release, ReleaseRequest, ReleaseState
from tidegate.drill.judgement import (
    Loss,
    Sighting,
    Verdict,
    journal_lines,
    judge,
    not_played,
    stale_writes,
    worst,
)
from tidegate.drill.scenario import Drill, Path, Phase

T0 = datetime(2026, 11, 26, 12, tzinfo=UTC)
DRILL = Drill("kill-it", "kill it", "it comes back", Phase.STEADY, Path.ALWAYS, promised_s=10)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def loss(sent_s: float, ended_s: float, set_name: str | None = "green", outcome: str = "failed") -> Loss:
    return Loss(at(sent_s), at(ended_s), outcome, "connection reset", set_name)


def entry(
    seq: int, epoch: int, kind: str = "observed", name: str = "weights", **data: object
) -> JournalEntry:
    return JournalEntry.model_validate(
        {
            "seq": seq,
            "release_id": "r",
            "epoch": epoch,
            "kind": kind,
            "name": name,
            "data": data,
            "at": at(seq),
        }
    )


def released(state: ReleaseState, reason: str = "") -> Release:
    request = ReleaseRequest(org="acme", service="chat", model="m", version="v2")
    return Release(
        id="r",
        request=request,
        digest="a" * 64,
        state=state,
        epoch=2,
        reason=reason,
        created_at=T0,
        updated_at=T0,
    )


SEEN = Sighting(
    began_at=T0,
    done_at=at(0.1),
    lifted_at=at(0.1),
    recovered_at=at(3),
    answering_at=at(2),
    sent=100,
    answered=100,
    aborted=0,
    answered_since=50,
)


def test_a_drill_without_a_loss_that_recovers_in_time_is_kept():
    report = judge(DRILL, SEEN)
    assert (report.verdict, report.reasons, report.recovery_s) == (Verdict.KEPT, (), 2.9)


def test_one_loss_breaks_a_drill_whose_clients_had_a_healthy_way():
    report = judge(DRILL, replace(SEEN, losses=(loss(-1, 1),)))
    assert (report.verdict, report.failed, report.allowed) == (Verdict.BROKEN, 1, 0)


@pytest.mark.parametrize(
    ("lost", "is_allowed"),
    [
        (loss(-1, 0.2), True),
        (loss(-1, 0.2, set_name=None), True),
        (loss(-1, 0.2, outcome="truncated"), True),
        (loss(-1, 0.2, set_name="blue"), False),
        (loss(0.2, 0.3), False),
        (loss(-3, -1), False),
    ],
)
def test_only_what_was_in_flight_on_the_killed_set_may_be_lost(lost: Loss, is_allowed: bool):
    drill = replace(DRILL, path=Path.BUT_IN_FLIGHT)
    report = judge(drill, replace(SEEN, losses=(lost,), hit_sets=("green",)))
    assert report.verdict is (Verdict.KEPT if is_allowed else Verdict.BROKEN)


@pytest.mark.parametrize(
    ("lost", "is_allowed"),
    [(loss(1, 1.1, None), True), (loss(-1, 0.2), True), (loss(2.5, 2.6), False), (loss(-3, -1), False)],
)
def test_where_the_only_way_was_hit_requests_may_fail_until_the_first_answer(lost: Loss, is_allowed: bool):
    report = judge(replace(DRILL, path=Path.NONE), replace(SEEN, losses=(lost,)))
    assert report.verdict is (Verdict.KEPT if is_allowed else Verdict.BROKEN)
    assert report.outage_s == 2


def test_what_never_comes_back_is_broken_and_what_comes_late_on_a_quiet_machine_too():
    assert judge(DRILL, replace(SEEN, recovered_at=None)).verdict is Verdict.BROKEN
    assert judge(DRILL, replace(SEEN, recovered_at=at(60))).verdict is Verdict.BROKEN


def test_seconds_are_not_judged_on_a_busy_machine():
    report = judge(DRILL, replace(SEEN, recovered_at=at(60), load_per_core=9))
    assert report.verdict is Verdict.NOT_JUDGED
    assert "60" in report.reasons[0] or "59.9" in report.reasons[0]


def test_too_few_answers_prove_nothing():
    assert judge(DRILL, replace(SEEN, answered_since=2)).verdict is Verdict.NOT_JUDGED


def test_clients_that_are_never_answered_again_show_that_it_is_broken():
    seen = replace(SEEN, answered_since=0, answering_at=None, recovered_at=None)
    assert judge(replace(DRILL, path=Path.NONE), seen).verdict is Verdict.BROKEN


def test_requests_that_hang_to_the_end_are_not_counted_as_answered():
    assert judge(DRILL, replace(SEEN, aborted=1)).verdict is Verdict.NOT_JUDGED


def test_a_release_that_ends_otherwise_than_it_must_breaks_the_drill():
    drill = replace(DRILL, ends=frozenset({ReleaseState.DONE}))
    assert judge(drill, replace(SEEN, release=released(ReleaseState.DONE))).verdict is Verdict.KEPT
    assert judge(drill, replace(SEEN, release=released(ReleaseState.SHIFTING))).verdict is Verdict.BROKEN
    assert judge(drill, SEEN).verdict is Verdict.NOT_JUDGED


def test_a_release_that_holds_for_want_of_evidence_is_not_judged():
    drill = replace(DRILL, ends=frozenset({ReleaseState.DONE}))
    held = entry(9, 2, "entered", "hold", reason="performance is not judged: too noisy")
    seen = replace(SEEN, release=released(ReleaseState.HOLD), entries=(held,))
    assert judge(drill, seen).verdict is Verdict.NOT_JUDGED


def test_a_row_of_an_owner_that_was_replaced_breaks_the_drill():
    drill = replace(DRILL, ends=frozenset({ReleaseState.DONE}))
    rows = (entry(1, 1), entry(2, 2), entry(3, 1))
    report = judge(drill, replace(SEEN, release=released(ReleaseState.DONE), entries=rows))
    assert report.verdict is Verdict.BROKEN
    assert "row 3" in report.reasons[0]


def test_what_people_write_carries_no_epoch_and_is_not_stale():
    assert stale_writes((entry(1, 1), entry(2, 2), entry(3, 0, "abort", "stop"))) == []


def test_the_journal_is_told_from_the_fault_on():
    rows = (
        entry(-1, 1),
        entry(1, 2, "entered", "rolling_back", reason="its set died"),
        entry(2, 2, "intent"),
    )
    assert journal_lines(rows, T0) == ("+1.0 s  epoch 2  entered rolling_back: its set died",)


def test_the_worst_verdict_is_the_verdict_of_all_and_nothing_played_is_not_judged():
    kept, broken = judge(DRILL, SEEN), judge(DRILL, replace(SEEN, recovered_at=None))
    unplayed = not_played(DRILL, "no PostgreSQL here")
    assert worst((kept,)) is Verdict.KEPT
    assert worst((kept, unplayed)) is Verdict.NOT_JUDGED
    assert worst((unplayed, broken, kept)) is Verdict.BROKEN
    assert worst(()) is Verdict.NOT_JUDGED
