"""Which change of the ledger somebody is told of, and how urgent it is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.domain import Plan, Release, ReleaseRequest, ReleaseState
from tidegate.domain.event_sources import event_of_entry, event_of_finding, event_of_hold
from tidegate.domain.events import EventKind, Severity
from tidegate.domain.standing import Finding, Hold

AT = datetime(2026, 11, 26, tzinfo=UTC)
State = ReleaseState


def release(kind: str | None = "release") -> Release:
    plan = None
    if kind is not None:
        plan = Plan.model_validate(
            {
                "kind": kind,
                "green_set": "acme--chat--aaaaaaaaaa-00000000",
                "green_digest": "a" * 64,
                "blue_set": None,
                "blue_digest": None,
                "blue_version": None,
                "ladder": (100,),
                "gates": (),
                "policy_digest": "p",
            }
        )
    return Release(
        id="r-1",
        request=ReleaseRequest(org="acme", service="chat", model="pipit", version="v2"),
        digest="a" * 64,
        state=State.REQUESTED,
        epoch=1,
        plan=plan,
        created_at=AT,
        updated_at=AT,
    )


@pytest.mark.parametrize(
    ("state", "data", "failed", "kind", "severity"),
    [
        (State.AWAIT_APPROVAL, {}, [], EventKind.APPROVAL_WANTED, Severity.WARNING),
        (State.DONE, {}, [], EventKind.PROMOTED, Severity.INFO),
        (State.ROLLED_BACK, {"trigger": "evidence"}, [], EventKind.ROLLED_BACK, Severity.CRITICAL),
        (
            State.ROLLING_BACK,
            {"trigger": "evidence"},
            ["quality.score"],
            EventKind.GATE_FAILED,
            Severity.WARNING,
        ),
        (State.ROLLING_BACK, {"trigger": "budget"}, [], EventKind.BUDGET, Severity.WARNING),
        (State.REJECTED, {"gate": "structure"}, ["gguf.offset"], EventKind.GATE_FAILED, Severity.WARNING),
        (State.REJECTED, {"gate": "authorization"}, ["auth.budget"], EventKind.BUDGET, Severity.WARNING),
        (State.REJECTED, {"gate": "authorization"}, ["auth.role"], EventKind.GATE_FAILED, Severity.WARNING),
        (State.REJECTED, {}, [], EventKind.REFUSED, Severity.INFO),
        (State.HOLD, {"from": "judging"}, [], EventKind.HOLD, Severity.WARNING),
        (State.HOLD, {"from": "rolling_back"}, [], EventKind.HOLD, Severity.CRITICAL),
    ],
)
def test_each_end_and_question_of_a_release_is_its_event(
    state: State, data: dict[str, Any], failed: list[str], kind: EventKind, severity: Severity
):
    event = event_of_entry(release(), 7, state.value, data | {"reason": "why"}, failed, AT)
    assert event is not None
    assert (event.kind, event.severity, event.org, event.service) == (kind, severity, "acme", "chat")
    assert (event.key, event.topic, event.text) == ("release/r-1/7", "release/r-1", "why")
    assert event.data["failed_checks"] == failed
    assert "acme/chat" in event.title


@pytest.mark.parametrize(
    ("kind", "state", "data"),
    [
        ("release", State.VALIDATING, {}),
        ("release", State.EVALUATED, {}),
        ("release", State.ROLLING_BACK, {"trigger": "abort"}),
        (None, State.DONE, {}),
    ],
)
def test_what_concerns_nobody_else_is_no_event(kind: str | None, state: State, data: dict[str, Any]):
    assert event_of_entry(release(kind), 1, state.value, data, [], AT) is None


def test_a_rollback_that_is_done_is_told_as_one():
    event = event_of_entry(release("rollback"), 9, State.DONE.value, {}, [], AT)
    assert event is not None
    assert (event.kind, event.severity) == (EventKind.ROLLED_BACK, Severity.CRITICAL)


def hold(release_id: str | None) -> Hold:
    return Hold(
        number=3, org="acme", service="chat", reason="prices", actor="ada", release_id=release_id, at=AT
    )


def test_a_hold_that_a_person_set_is_told_and_one_of_a_release_is_part_of_its_end():
    told = event_of_hold(hold(None))
    assert told is not None
    assert (told.key, told.kind) == ("hold/3", EventKind.HOLD)
    assert event_of_hold(hold("r-1")) is None


@pytest.mark.parametrize(
    ("kind", "data", "told"),
    [
        ("weights.drift", {"repair": "weights"}, EventKind.DRIFT),
        ("backup.old", {}, EventKind.BACKUP_FAILED),
        ("spend.budget", {}, EventKind.BUDGET),
        ("quality.regression", {}, EventKind.REGRESSION),
        ("set.address", {"repair": "readdress"}, None),
        ("notification.failing", {}, None),
    ],
)
def test_a_finding_is_told_as_what_it_is(kind: str, data: dict[str, Any], told: EventKind | None):
    found = Finding(
        kind=kind,
        subject="x",
        org="acme",
        service="chat",
        summary="s",
        data=data,
        first_seen=AT,
        last_seen=AT,
    )
    event = event_of_finding(found)
    assert (event.kind if event else None) == told
    assert event is None or event.trouble == f"finding/{kind}/x"
