"""What one sweep does with releases under way: real ledger and organizations, no set and no gateway."""

import threading

import pytest

from tidegate.domain import ReleaseState, ServiceRef, SetSpec, SetState, SetStatus, Transient
from tidegate.steps.reality import read_intended
from tidegate.steps.reconcile import reconcile

State = ReleaseState


def test_releases_that_lost_their_owners_are_driven_at_once_and_not_one_after_the_other(office):
    wanted = [office.release("acme").id]
    office.register("bolt")
    wanted.append(office.release("bolt").id)
    both = threading.Barrier(2, timeout=60)

    def checks():
        both.wait()
        raise Transient("The network is away.")

    office.ports.make_checks = checks
    told = reconcile(office.ports).problems
    assert sorted(line.partition(":")[0] for line in told) == sorted(wanted)


@pytest.mark.parametrize(
    ("state", "is_tended"),
    [
        (State.PARKED, False),
        (State.PROVISIONING, False),
        (State.AWAIT_APPROVAL, False),
        (State.JUDGING, True),
        (State.HOLD, True),
        (State.ROLLED_BACK, True),
    ],
)
def test_what_serves_is_looked_after_until_a_release_has_a_set_beside_it(office, state, is_tended):
    office.enter(office.release("acme"), state)
    assert read_intended(office.ports, ServiceRef("acme", "chat")).is_tended is is_tended


def test_a_set_that_nobody_owns_is_removed_and_the_audit_log_says_so(office, monkeypatch):
    orphan = SetStatus(name="acme--chat--r0123456", state=SetState.READY)
    removed: list[str] = []
    monkeypatch.setattr(office.platform, "list_owned", lambda: [orphan])
    monkeypatch.setattr(office.platform, "delete", removed.append, raising=False)

    reconcile(office.ports)

    (entry,) = office.ledger.audit_entries(action="orphan.removed")
    assert removed == [entry["subject"]] == [orphan.name]
    assert (entry["actor"], entry["org"], entry["service"]) == ("tidegate:reconcile", "acme", "chat")
    assert entry["evidence"]["platform"] == "fake"


def test_what_a_sweep_puts_right_stands_in_the_audit_log_with_what_was_seen(office):
    release = office.enter(office.release("acme"), State.DONE)
    ref = ServiceRef("acme", "chat")
    owned = {"org": "acme", "service": "chat", "release_id": release.id, "digest": release.digest}
    spec = SetSpec(name="green", artifact_path="/m", **owned)
    office.ledger.record_set(spec, platform="fake", epoch=office.ledger.current_epoch(ref), state="ready")

    report = reconcile(office.ports)

    told = office.ledger.audit_entries(action="reconcile.repaired")
    assert [entry["reason"] for entry in reversed(told)] == report.repaired != []
    assert {(entry["actor"], entry["org"], entry["service"]) for entry in told} == {
        ("tidegate:reconcile", "acme", "chat")
    }
