"""What people do through steps stands in the audit log: with their name, where they came from, and what it rests on."""

from datetime import timedelta
from typing import Any

import pytest

from tidegate import steps
from tidegate.domain import Evidence, Gate, Refused, ReleaseState, ServiceRef, Verdict
from tidegate.domain.audit import Interface
from tidegate.domain.evidence import evidence_digest
from tidegate.steps.configuration import tell_configuration
from tidegate.steps.proof import issue_token, release_wish, rotate_keys

ACME = ServiceRef("acme", "chat")


def entries(office: Any, action: str) -> list[dict[str, Any]]:
    return list(reversed(office.ledger.audit_entries(action=action)))


def test_a_yes_is_told_with_the_plan_and_the_evidence_that_it_rests_on(office: Any):
    release = office.enter(office.release("acme", by="lin"), ReleaseState.HOLD)
    rows = [Evidence(gate=Gate.QUALITY, check="score", verdict=Verdict.NOT_JUDGED, summary="few")]
    office.ledger.add_evidence(release.id, rows, digest=release.digest, policy_digest="p")

    steps.approve_release(office.ports, release.id, "noor", "read the answers")

    (asked,) = entries(office, "release.requested")
    (given,) = entries(office, "release.approved")
    assert (asked["actor"], asked["evidence"]["version"]) == ("lin", "finch:v1")
    assert (given["actor"], given["reason"], given["interface"]) == ("noor", "read the answers", "cli")
    assert given["evidence"]["evidence"] == evidence_digest(rows)
    assert given["evidence"]["plan"] == release.plan.digest
    assert given["evidence"]["digest"] == release.digest


def test_who_proved_it_with_a_token_came_by_token_and_the_token_is_not_told(office: Any):
    office.sign_all("acme")
    wish = release_wish(office.ports, office.request("acme", by="lin"))
    issued = issue_token(office.ports, wish, "lin", timedelta(minutes=5), actor="root")

    office.release("acme", issued.token, by="lin")

    (made,) = entries(office, "token.issued")
    (asked,) = entries(office, "release.requested")
    assert (made["actor"], made["evidence"]["for"]) == ("root", "lin")
    assert (asked["actor"], asked["interface"], asked["evidence"]["through"]) == ("lin", "token", "cli")
    assert asked["evidence"]["token"] == made["evidence"]["token"] == issued.proof.nonce
    assert issued.token.reveal() not in str(office.ledger.audit_entries())


def test_a_request_that_is_refused_leaves_nothing(office: Any):
    office.sign_all("acme")
    with pytest.raises(Refused):
        office.release("acme", by="lin")

    assert entries(office, "release.") == []


def test_a_stop_a_hold_and_an_override_are_told_by_name(office: Any):
    office.ledger.quarantine("acme", "1" * 64, reason="leaks", release_id="", actor="ops")
    release = office.release("acme", by="ada", override_quarantine="reviewed")
    office.enter(release, ReleaseState.HOLD)
    steps.stop_release(office.ports, release.id, "lin", "wrong prices")
    office.ledger.hold_service(ACME, reason="prices", actor="lin")

    told = [(one["action"], one["actor"]) for one in reversed(office.ledger.audit_entries())]

    assert [one for one in told if one[0] != "version.registered"] == [
        ("quarantine.set", "ops"),
        ("release.requested", "ada"),
        ("quarantine.overridden", "ada"),
        ("release.hold", "controller"),
        ("release.stopped", "lin"),
        ("hold.set", "lin"),
    ]
    assert office.ledger.verify_audit().is_whole


def test_another_policy_is_told_with_its_digest_and_the_former_one(office: Any):
    tell_configuration(office.ports)
    tell_configuration(office.ports)
    office.set_policy("acme", "require_signed_requests: true\n")
    office.ports = office.load()
    tell_configuration(office.ports)

    first, second = [one for one in entries(office, "configuration.seen") if one["org"] == "acme"]

    assert second["evidence"]["former"] == first["evidence"]["digest"]
    assert second["evidence"]["policy_of_chat"] != first["evidence"]["policy_of_chat"]


def test_a_new_key_that_signs_tokens_is_told_by_its_id(office: Any):
    keys = rotate_keys(office.ports, "acme", timedelta(0), actor="root")

    (told,) = entries(office, "token_key.rotated")

    assert (told["actor"], told["evidence"]["key"]) == ("root", keys.present.id)


def test_interfaces_have_the_names_of_the_document():
    assert {one.value for one in Interface} == {"cli", "flow", "schedule", "api", "token", "agent"}
