"""The port `Journal`, on both databases."""

import itertools
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tidegate.domain import (
    Evidence,
    Fenced,
    Gate,
    InvalidInput,
    NotFound,
    Plan,
    Refused,
    ReleaseRequest,
    ReleaseState,
    ServiceRef,
    Verdict,
)

REF = ServiceRef("acme", "chat")
DIGEST = "a" * 64
START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
PLAN = Plan(
    green_set="green",
    green_digest=DIGEST,
    blue_set=None,
    blue_digest=None,
    blue_version=None,
    ladder=(10, 100),
    gates=("structure",),
    policy_digest="p",
)


def request(service: str = "chat", **fields: str) -> ReleaseRequest:
    return ReleaseRequest(org="acme", service=service, model="pipit", version="1", **fields)


@pytest.fixture
def release(ledger):
    return ledger.request_release(request(requested_by="ann"), DIGEST, key="k")


def test_a_requested_release_has_its_first_row(ledger, release):
    assert release.state is ReleaseState.REQUESTED
    assert (release.epoch, release.owner, release.plan) == (0, "", None)
    assert release == ledger.get_release(release.id)
    (first,) = ledger.entries(release.id)
    assert (first.seq, first.epoch, first.kind, first.name) == (1, 0, "entered", "requested")


def test_the_clock_and_the_ids_can_be_given(open_ledger):
    ticks = itertools.count()
    ids = (f"r-{number}" for number in itertools.count(1))
    ledger = open_ledger(clock=lambda: START + timedelta(seconds=next(ticks)), new_id=lambda: next(ids))
    release = ledger.request_release(request(), DIGEST, key="k")
    assert (release.id, release.created_at) == ("r-1", START)
    assert ledger.append(release.id, 0, "note", "hello").at == START + timedelta(seconds=1)


def test_the_same_key_gives_the_same_release_until_it_is_over(ledger, release):
    assert ledger.request_release(request(), DIGEST, key="k").id == release.id
    ledger.append(release.id, 0, "entered", "rejected", {"reason": "structure"})
    later = ledger.request_release(request(), DIGEST, key="k")
    assert later.id != release.id
    assert later.state is ReleaseState.REQUESTED
    assert [one.seq for one in ledger.entries(later.id)] == [1]


def test_another_key_gives_another_release(ledger, release):
    assert ledger.request_release(request(), DIGEST, key="other").id != release.id


def test_an_unknown_release_is_not_found(ledger):
    for call in (
        lambda: ledger.get_release("r-none"),
        lambda: ledger.append("r-none", 0, "note", "x"),
        lambda: ledger.acquire_lock(REF, "r-none"),
        lambda: ledger.heartbeat("r-none", "me"),
        lambda: ledger.add_evidence("r-none", [], digest=DIGEST, policy_digest="p"),
    ):
        with pytest.raises(NotFound, match="no release r-none"):
            call()


def test_releases_are_listed_newest_first(open_ledger):
    ticks = itertools.count()
    ledger = open_ledger(clock=lambda: START + timedelta(seconds=next(ticks)))
    first, second = (ledger.request_release(request(), DIGEST, key=key) for key in "ab")
    third = ledger.request_release(request("draft"), DIGEST, key="c")
    ledger.append(second.id, 0, "entered", "rejected")
    assert [one.id for one in ledger.list_releases()] == [third.id, second.id, first.id]
    assert [one.id for one in ledger.list_releases(ref=REF)] == [second.id, first.id]
    assert [one.id for one in ledger.list_releases(ref=REF, only_active=True)] == [first.id]
    assert [one.id for one in ledger.list_releases(limit=1)] == [third.id]


def test_the_active_release_is_the_one_that_holds_the_service(ledger):
    assert ledger.active_release(REF) is None
    first, second = (ledger.request_release(request(), DIGEST, key=key) for key in "ab")
    assert ledger.active_release(REF).id == first.id
    epoch = ledger.acquire_lock(REF, second.id)
    assert ledger.active_release(REF).id == second.id
    ledger.append(second.id, epoch, "entered", "done")
    assert ledger.active_release(REF).id == first.id
    assert ledger.active_release(ServiceRef("acme", "draft")) is None


def test_the_lock_gives_a_higher_epoch_each_time(ledger, release):
    assert ledger.current_epoch(REF) == 0
    epochs = [ledger.acquire_lock(REF, release.id) for _ in range(3)]
    assert epochs == [1, 2, 3]
    assert ledger.current_epoch(REF) == 3
    assert ledger.get_release(release.id).epoch == 3


def test_the_lock_is_not_given_while_another_release_holds_it(ledger, release):
    rival = ledger.request_release(request(), DIGEST, key="rival")
    epoch = ledger.acquire_lock(REF, release.id)
    assert ledger.acquire_lock(REF, rival.id) is None
    assert ledger.current_epoch(REF) == epoch
    ledger.release_lock(REF, release.id, epoch)
    assert ledger.acquire_lock(REF, rival.id) == epoch + 1


def test_a_rollback_that_waits_has_the_lock_before_a_release_that_waited_longer(ledger, release):
    holder = ledger.request_release(request(), DIGEST, key="holder")
    epoch = ledger.acquire_lock(REF, holder.id)
    back = ledger.request_release(request(trigger="rollback"), DIGEST, key="back")
    assert ledger.acquire_lock(REF, holder.id) == epoch + 1, "who has the service goes on with it"
    ledger.append(holder.id, epoch + 1, "entered", "done")
    assert ledger.active_release(REF).id == back.id
    assert ledger.acquire_lock(REF, release.id) is None
    assert ledger.acquire_lock(REF, back.id) == epoch + 2
    ledger.append(back.id, epoch + 2, "entered", "done")
    assert ledger.acquire_lock(REF, release.id) == epoch + 3


def test_the_lock_of_a_release_that_is_over_is_taken_over(ledger, release):
    epoch = ledger.acquire_lock(REF, release.id)
    ledger.append(release.id, epoch, "entered", "done")
    rival = ledger.request_release(request(), DIGEST, key="rival")
    assert ledger.acquire_lock(REF, rival.id) == epoch + 1


def test_giving_the_lock_back_needs_the_epoch_and_never_fails(ledger, release):
    rival = ledger.request_release(request(), DIGEST, key="rival")
    ledger.release_lock(REF, release.id, 7)
    epoch = ledger.acquire_lock(REF, release.id)
    ledger.release_lock(REF, release.id, epoch - 1)
    ledger.release_lock(REF, rival.id, epoch)
    assert ledger.acquire_lock(REF, rival.id) is None
    ledger.release_lock(REF, release.id, epoch)
    ledger.release_lock(REF, release.id, epoch)
    assert ledger.current_epoch(REF) == epoch


def test_a_release_locks_only_its_own_service(ledger, release):
    with pytest.raises(InvalidInput, match="is of acme/chat, not of acme/draft"):
        ledger.acquire_lock(ServiceRef("acme", "draft"), release.id)


def test_locks_of_two_services_are_apart(ledger, release):
    other = ledger.request_release(request("draft"), DIGEST, key="draft")
    assert ledger.acquire_lock(REF, release.id) == 1
    assert ledger.acquire_lock(ServiceRef("acme", "draft"), other.id) == 1


def test_entering_a_state_sets_state_reason_and_plan_at_once(ledger, release):
    epoch = ledger.acquire_lock(REF, release.id)
    ledger.append(release.id, epoch, "entered", "planned", {"reason": "planned"}, plan=PLAN)
    told = ledger.get_release(release.id)
    assert (told.state, told.reason, told.plan) == (ReleaseState.PLANNED, "planned", PLAN)
    ledger.append(release.id, epoch, "entered", "validating")
    told = ledger.get_release(release.id)
    assert (told.state, told.reason, told.plan) == (ReleaseState.VALIDATING, "", PLAN)


def test_other_rows_leave_the_state_alone(ledger, release):
    epoch = ledger.acquire_lock(REF, release.id)
    for kind in ("intent", "observed", "note", "abort"):
        ledger.append(release.id, epoch, kind, "done", {"reason": "no"})
    told = ledger.get_release(release.id)
    assert (told.state, told.reason) == (ReleaseState.REQUESTED, "")


def test_rows_count_from_one_in_each_release(ledger, release):
    other = ledger.request_release(request("draft"), DIGEST, key="draft")
    for one in (release, other, release):
        ledger.append(one.id, 0, "note", "x")
    assert [row.seq for row in ledger.entries(release.id)] == [1, 2, 3]
    assert [row.seq for row in ledger.entries(other.id)] == [1, 2]


def test_what_append_returns_is_what_entries_tell(ledger, release):
    data = {
        "ratio": np.float64(1.5),
        "count": np.int64(3),
        "nothing": math.nan,
        "endless": np.array([math.inf, 1.0]),
        "text": "nul \0, emoji 🌊, half a pair \ud800",
        "when": START,
        "verdict": Verdict.PASS,
        1: ("a", "b"),
    }
    appended = ledger.append(release.id, 0, "note", "figures", data)
    assert ledger.entries(release.id)[-1] == appended
    assert appended.data["ratio"] == 1.5
    assert appended.data["nothing"] is None
    assert appended.data["endless"] == [None, 1.0]
    assert appended.data["1"] == ["a", "b"]


def test_data_without_a_json_form_is_refused_and_nothing_is_written(ledger, release):
    with pytest.raises(InvalidInput, match="no JSON form"):
        ledger.append(release.id, 0, "note", "x", {"thing": object()})
    assert len(ledger.entries(release.id)) == 1


def test_a_stale_epoch_is_fenced_and_leaves_no_row(ledger, release):
    stale = ledger.acquire_lock(REF, release.id)
    epoch = ledger.acquire_lock(REF, release.id)
    for wrong in (stale, epoch + 1, 0):
        for kind, name in (("entered", "planned"), ("entered", "rejected"), ("intent", "x"), ("note", "x")):
            with pytest.raises(Fenced):
                ledger.append(release.id, wrong, kind, name, plan=PLAN)
    assert len(ledger.entries(release.id)) == 1
    assert ledger.get_release(release.id).plan is None


def test_the_epoch_of_another_release_is_fenced(ledger, release):
    rival = ledger.request_release(request(), DIGEST, key="rival")
    epoch = ledger.acquire_lock(REF, rival.id)
    with pytest.raises(Fenced):
        ledger.append(release.id, epoch, "note", "x")
    assert ledger.append(rival.id, epoch, "note", "x").seq == 2


def test_the_last_owner_may_note_after_giving_the_lock_back_until_the_next_one(ledger, release):
    epoch = ledger.acquire_lock(REF, release.id)
    ledger.append(release.id, epoch, "entered", "done")
    ledger.release_lock(REF, release.id, epoch)
    ledger.append(release.id, epoch, "note", "afterthought")
    rival = ledger.request_release(request(), DIGEST, key="rival")
    ledger.acquire_lock(REF, rival.id)
    with pytest.raises(Fenced):
        ledger.append(release.id, epoch, "note", "too late")


def test_a_person_may_abort_without_an_epoch(ledger, release):
    epoch = ledger.acquire_lock(REF, release.id)
    assert ledger.append(release.id, 0, "abort", "ann", {"reason": "no"}).epoch == 0
    assert ledger.append(release.id, epoch + 7, "abort", "ann").seq == 3


def test_a_release_that_waits_for_its_lock_may_only_note_abort_or_be_rejected(ledger, release):
    rival = ledger.request_release(request(), DIGEST, key="rival")
    ledger.acquire_lock(REF, rival.id)
    for kind, name in (("entered", "planned"), ("entered", "done"), ("intent", "x"), ("observed", "x")):
        with pytest.raises(Fenced):
            ledger.append(release.id, 0, kind, name)
    ledger.append(release.id, 0, "note", "waiting")
    ledger.append(release.id, 0, "entered", "rejected", {"reason": "given up"})
    assert ledger.get_release(release.id).is_over


def test_a_release_that_is_over_stays_over(ledger, release):
    epoch = ledger.acquire_lock(REF, release.id)
    ledger.append(release.id, epoch, "entered", "rolled_back", {"reason": "harm"})
    with pytest.raises(Refused, match="is over"):
        ledger.append(release.id, epoch, "entered", "done")
    ledger.append(release.id, epoch, "entered", "rolled_back", {"reason": "harm, again"})
    assert ledger.get_release(release.id).state is ReleaseState.ROLLED_BACK


def test_a_state_that_does_not_exist_is_refused(ledger, release):
    epoch = ledger.acquire_lock(REF, release.id)
    with pytest.raises(InvalidInput, match="'launched' is not a state"):
        ledger.append(release.id, epoch, "entered", "launched")


def test_a_heartbeat_tells_who_drives_the_release_and_when(open_ledger):
    ledger = open_ledger(clock=lambda: START)
    release = ledger.request_release(request(), DIGEST, key="k")
    ledger.heartbeat(release.id, "host:42")
    told = ledger.get_release(release.id)
    assert (told.owner, told.owner_seen_at) == ("host:42", START)


def row(
    check: str, verdict: Verdict = Verdict.PASS, gate: Gate = Gate.PROBES, summary: str = "fine"
) -> Evidence:
    return Evidence(gate=gate, check=check, verdict=verdict, summary=summary, data={"n": 1}, taken_at=START)


def test_the_latest_row_of_each_check_is_the_evidence(ledger, release):
    first = [row("probe.stream"), row("probe.json"), row("gguf.offset", gate=Gate.STRUCTURE)]
    ledger.add_evidence(release.id, first, digest=DIGEST, policy_digest="p")
    again = row("probe.stream", Verdict.FAIL)
    ledger.add_evidence(release.id, [again], digest=DIGEST, policy_digest="p")
    assert ledger.evidence(release.id) == [first[1], first[2], again]
    assert ledger.evidence(release.id, Gate.PROBES) == [first[1], again]
    assert ledger.evidence(release.id, Gate.QUALITY) == []


def test_evidence_of_an_artifact_needs_no_release(ledger, release):
    ledger.add_evidence(None, [row("gguf.offset")], digest=DIGEST, policy_digest="p")
    assert ledger.evidence(release.id) == []


def test_evidence_may_quote_what_a_broken_model_said(ledger, release):
    ledger.add_evidence(
        release.id, [row("probe.text", summary="said \0\ud800")], digest=DIGEST, policy_digest="p"
    )
    assert ledger.evidence(release.id)[0].summary == "said \ufffd?"


def test_evidence_without_a_time_keeps_none(ledger, release):
    ledger.add_evidence(
        release.id, [row("x").model_copy(update={"taken_at": None})], digest=DIGEST, policy_digest="p"
    )
    assert ledger.evidence(release.id)[0].taken_at is None
