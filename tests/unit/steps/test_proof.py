"""Signed and unsigned requests at the steps: who may release, roll back and approve, and with which token."""

from datetime import timedelta

import pytest

from tidegate import steps
from tidegate.access import request_keys_name
from tidegate.domain import (
    Action,
    Evidence,
    Gate,
    GatewayStatus,
    InvalidInput,
    NotFound,
    Refused,
    Release,
    ReleaseState,
    Route,
    Secret,
    ServiceRef,
    Upstream,
    Verdict,
)
from tidegate.steps.proof import issue_token, named_wish, rotate_keys

ACME = ServiceRef("acme", "chat")
State = ReleaseState


def token(
    office,
    by: str = "lin",
    action: Action = Action.RELEASE,
    lifetime: timedelta = timedelta(minutes=10),
    **fields: str,
) -> Secret:
    request = office.request(fields.pop("org", "acme"), **fields)
    return issue_token(office.ports, named_wish(office.ports, action, request), by, lifetime).token


def problem(call, *arguments: object, **named: object) -> str:
    with pytest.raises(Refused) as caught:
        call(*arguments, **named)
    assert "tg1." not in str(caught.value.as_dict())
    assert caught.value.remedy
    return caught.value.context.get("problem", "role")


def test_a_signed_request_is_recorded_in_the_name_of_its_token(office):
    office.sign_all("acme")
    release = office.release("acme", token(office), by="prefect-ui")
    assert release.request.requested_by == "lin"
    assert [proof.identity for proof in office.ledger.proofs(release.id)] == ["lin"]


def test_an_unsigned_request_is_refused_where_signatures_are_wanted_and_leaves_nothing(office):
    office.sign_all("acme")
    assert problem(office.release, "acme") == "unsigned"
    assert problem(office.release, "acme", by="ada") == "unsigned"
    assert office.ledger.list_releases() == []
    assert office.ledger.current_epoch(ACME) == 0


def test_by_default_an_operator_of_the_installation_may_ask_without_a_token(office):
    assert office.release("acme").request.requested_by == "root"


def test_a_policy_may_name_who_asks_without_a_token(office):
    office.set_policy("acme", "unsigned_requests_from: [ops-*]\n")
    office.ports = office.load()
    assert problem(office.release, "acme") == "unsigned"
    assert office.release("acme", by="ops-1").request.requested_by == "ops-1"


@pytest.mark.parametrize(("by", "may"), [("lin", True), ("noor", True), ("ada", True), ("dora", False)])
def test_a_known_name_is_held_to_its_role_even_without_a_token(office, by: str, may: bool):
    if may:
        assert office.release("acme", by=by)
    else:
        assert problem(office.release, "acme", by=by) == "role"


@pytest.mark.parametrize("by", ["dora", "schedule:nightly", "eve", "root"])
def test_no_token_is_issued_for_somebody_who_may_not(office, by: str):
    assert problem(token, office, by) == "role"


def test_a_token_of_somebody_who_lost_the_role_since_is_refused(office):
    signed = token(office)
    office.change("acme", "lin: releaser", "lin: viewer")
    assert problem(office.release, "acme", signed) == "role"
    office.change("acme", "lin: viewer, ", "")
    assert problem(office.release, "acme", signed) == "role"


def test_a_token_is_used_once(office):
    signed = token(office)
    release = office.release("acme", signed)
    office.ledger.append(release.id, 0, "entered", "rejected", {"reason": "over"})
    assert problem(office.release, "acme", signed) == "replay"
    assert len(office.ledger.list_releases()) == 1


def test_a_resumed_run_presents_the_same_token_again_even_after_its_expiry(office):
    signed = token(office)
    release = office.release("acme", signed)
    office.pass_time(hours=3)
    assert office.release("acme", signed).id == release.id


def test_a_release_under_way_is_driven_on_without_a_token(office):
    office.sign_all("acme")
    release = office.release("acme", token(office))
    assert office.release("acme").id == release.id


def test_an_expired_token_is_refused(office):
    signed = token(office, lifetime=timedelta(minutes=1))
    office.pass_time(minutes=1)
    assert problem(office.release, "acme", signed) == "expired"


@pytest.mark.parametrize("field", ["version", "model", "service", "trigger", "override_quarantine"])
def test_a_token_for_one_request_is_not_good_for_another(office, field: str):
    office.register("acme", version="v2", digest="3")
    office.register("acme", name="finch-2", digest="1")
    other = {
        "version": "v2",
        "model": "finch-2",
        "service": "acme-only",
        "trigger": "training",
        "override_quarantine": "I want it",
    }
    signed = token(office, by="ada")
    expected = {"version": "digest", "service": "service"}.get(field, "parameters")
    assert problem(office.release, "acme", signed, **{field: other[field]}) == expected
    assert office.ledger.list_releases() == []


def test_a_token_of_one_organization_opens_nothing_in_another(office):
    """Same service name, same model, same digest, same people: only the organization differs."""
    rotate_keys(office.ports, "bolt", timedelta(0))
    signed = token(office)
    assert problem(office.release, "bolt", signed) in ("signature", "unknown_key")
    assert office.ledger.list_releases() == []
    keys = {org: office.ports.secrets.get(request_keys_name(org)) for org in ("acme", "bolt")}
    assert keys["acme"] != keys["bolt"]


def test_even_with_the_same_key_a_token_names_its_organization(office):
    signed = token(office)
    office.ports.secrets.replace(
        request_keys_name("bolt"), office.ports.secrets.get(request_keys_name("acme"))
    )
    assert problem(office.release, "bolt", signed) == "org"


def test_a_name_that_somebody_has_cannot_be_claimed_over_anothers_token(office):
    signed = token(office, by="lin")
    assert problem(office.release, "acme", signed, by="ada") == "identity"


def test_overriding_a_quarantine_needs_an_approver(office):
    assert problem(token, office, by="lin", override_quarantine="known") == "role"
    assert problem(office.release, "acme", by="lin", override_quarantine="known") == "role"
    signed = token(office, by="noor", override_quarantine="known")
    assert office.release("acme", signed, override_quarantine="known")


def test_a_token_is_issued_for_a_file_that_is_not_registered_yet(office):
    request = office.request("acme", version="v9", trigger="training")
    wish = named_wish(office.ports, Action.RELEASE, request, "9" * 64)
    signed = issue_token(office.ports, wish, "service:training").token
    assert steps.verify_trainer(office.ports, ACME, "service:training", signed) == "service:training"
    office.register("acme", version="v9", digest="9")
    release = office.release("acme", signed, version="v9", trigger="training", by="service:training")
    assert release.request.requested_by == "service:training"


def test_a_token_for_one_file_does_not_release_the_other_that_was_registered(office):
    request = office.request("acme", version="v9", trigger="training")
    signed = issue_token(
        office.ports, named_wish(office.ports, Action.RELEASE, request, "9" * 64), "service:training"
    ).token
    office.register("acme", version="v9", digest="8")
    assert problem(office.release, "acme", signed, version="v9", trigger="training") == "digest"


def test_the_training_trigger_needs_a_token_where_signatures_are_wanted(office):
    office.sign_all("acme")
    assert problem(steps.verify_trainer, office.ports, ACME, "service:training", None) == "unsigned"


@pytest.mark.parametrize("seconds", [0, 3601, -5])
def test_a_lifetime_out_of_range_is_refused(office, seconds: int):
    with pytest.raises(InvalidInput, match="lives between"):
        token(office, lifetime=timedelta(seconds=seconds))


def test_keys_rotate_with_an_overlap_and_without_one(office):
    early = token(office)
    rotate_keys(office.ports, "acme", timedelta(minutes=5))
    assert office.release("acme", early)
    office.register("acme", version="v2", digest="3")
    late = token(office, version="v2")
    rotate_keys(office.ports, "acme", timedelta(0))
    assert problem(office.release, "acme", late, version="v2") == "unknown_key"


# ---- rollback


def committed(office) -> Release:
    """v1 is the champion, v0 the previous one, and nothing is under way."""
    old = (
        office.ledger.get_version("acme", "finch", "v0")
        if office.register("acme", version="v0", digest="2")
        else None
    )
    new = office.ledger.get_version("acme", "finch", "v1")
    for alias, version in (("champion", new), ("previous", old)):
        office.ledger.set_alias(ACME, alias, version, actor="t", reason="t", epoch=0)
    return new


def test_a_rollback_is_signed_over_the_version_that_it_leaves(office):
    committed(office)
    office.sign_all("acme")
    assert problem(steps.request_rollback, office.ports, ACME, "lin", "wrong prices") == "unsigned"
    signed = token(office, action=Action.ROLLBACK)
    back = steps.request_rollback(office.ports, ACME, "", "wrong prices", signed)
    assert (back.request.trigger, back.request.requested_by, back.digest) == ("rollback", "lin", "2" * 64)
    assert [proof.action for proof in office.ledger.proofs(back.id)] == [Action.ROLLBACK]


def test_a_rollback_token_may_name_its_target_and_is_good_for_no_other(office):
    committed(office)
    office.sign_all("acme")
    wish = named_wish(office.ports, Action.ROLLBACK, office.request("acme"), to="2" * 64)
    signed = issue_token(office.ports, wish, "lin").token
    manager = steps.RollbackManager(office.ports)
    told = {"actor": "", "reason": "wrong prices", "proof": signed}
    assert problem(manager.begin, ACME, **told) == "parameters"
    back = manager.begin(ACME, to="2" * 64, **told).release
    assert (back.digest, back.request.requested_by) == ("2" * 64, "lin")


def test_only_a_rollback_is_signed_over_a_target(office):
    with pytest.raises(InvalidInput, match="Only a rollback"):
        named_wish(office.ports, Action.RELEASE, office.request("acme"), to="2" * 64)


def test_a_rollback_token_for_a_version_that_is_not_live_is_not_issued(office):
    committed(office)
    assert problem(token, office, action=Action.ROLLBACK, version="v0") == "digest"


def test_a_release_token_does_not_roll_back(office):
    committed(office)
    assert problem(steps.request_rollback, office.ports, ACME, "", "wrong", token(office)) == "action"


def test_stopping_a_release_under_way_spends_its_token_on_it(office):
    release = office.release("acme")
    signed = token(office, action=Action.ROLLBACK)
    steps.request_rollback(office.ports, ACME, "", "wrong prices", signed)
    aborts = [entry for entry in office.ledger.entries(release.id) if entry.kind == "abort"]
    assert [entry.data["actor"] for entry in aborts] == ["lin"]
    assert len(office.ledger.proofs(release.id, Action.ROLLBACK)) == 1


def test_a_viewer_does_not_roll_back(office):
    committed(office)
    assert problem(steps.request_rollback, office.ports, ACME, "dora", "wrong prices") == "role"


# ---- approval


def waiting(office, *approvers: str) -> Release:
    names = ", ".join(approvers)
    office.set_policy("acme", f"approval: {{before_commit: true, approvers: [{names}]}}\n")
    office.ports = office.load()
    return office.enter(office.release("acme"), State.AWAIT_APPROVAL, **{"from": "baking"})


def approvals(office, release: Release) -> list[str]:
    return [entry.data["actor"] for entry in office.ledger.entries(release.id) if entry.name == "approve"]


@pytest.mark.parametrize(
    ("by", "may"), [("ada", True), ("noor", True), ("lin", False), ("dora", False), ("root", False)]
)
def test_only_the_role_approver_or_higher_approves(office, by: str, may: bool):
    held = waiting(office)
    if may:
        steps.approve_release(office.ports, held.id, by, "read the answers")
    else:
        assert problem(steps.approve_release, office.ports, held.id, by, "read the answers") == "role"
    assert approvals(office, held) == ([by] if may else [])


def test_where_a_policy_names_approvers_nobody_else_approves(office):
    held = waiting(office, "noor")
    assert problem(steps.approve_release, office.ports, held.id, "ada", "fine") == "role"
    steps.approve_release(office.ports, held.id, "noor", "fine")
    assert approvals(office, held) == ["noor"]


def test_an_approver_of_one_organization_approves_nothing_in_another(office):
    office.change("bolt", "noor: approver", "olga: approver")
    held = waiting(office)
    assert problem(steps.approve_release, office.ports, held.id, "olga", "fine") == "role"


def test_a_signed_approval_is_for_one_release_and_its_plan(office):
    held = waiting(office)
    office.set_policy("acme", "require_signed_requests: true\napproval: {before_commit: true}\n")
    office.ports = office.load()
    assert problem(steps.approve_release, office.ports, held.id, "noor", "fine") == "unsigned"
    signed = token(office, by="noor", action=Action.APPROVE)
    steps.approve_release(office.ports, held.id, "", "fine", signed)
    assert approvals(office, held) == ["noor"]
    entry = next(entry for entry in office.ledger.entries(held.id) if entry.name == "approve")
    assert held.plan is not None
    assert entry.data["plan_digest"] == held.plan.digest


def test_an_approval_token_of_an_earlier_release_of_the_same_file_is_void(office):
    first = waiting(office)
    signed = token(office, by="noor", action=Action.APPROVE)
    office.enter(first, State.ROLLED_BACK)
    office.ledger.release_lock(ACME, first.id, office.ledger.get_release(first.id).epoch)
    second = waiting(office)
    assert second.id != first.id
    assert problem(steps.approve_release, office.ports, second.id, "", "fine", signed) == "parameters"


def test_an_approval_token_answers_one_question_of_a_release(office):
    """A release may be held twice: the answer to the first question is not the answer to the second."""
    release = office.enter(office.release("acme"), State.HOLD, **{"from": "shifting", "step": 0})
    signed = token(office, by="noor", action=Action.APPROVE)
    for _ in range(2):
        steps.approve_release(office.ports, release.id, "", "fine", signed)
    office.enter(release, State.SHIFTING, step=1, weight=100)
    office.enter(release, State.HOLD, **{"from": "shifting", "step": 1})
    assert problem(steps.approve_release, office.ports, release.id, "", "fine", signed) == "parameters"


def test_an_approval_token_is_void_once_the_evidence_changed(office):
    release = office.enter(office.release("acme"), State.HOLD, **{"from": "shifting", "step": 0})
    signed = token(office, by="noor", action=Action.APPROVE)
    row = Evidence(gate=Gate.QUALITY, check="quality.score", verdict=Verdict.FAIL, summary="worse now")
    office.ledger.add_evidence(release.id, [row], digest=release.digest, policy_digest="p")
    assert problem(steps.approve_release, office.ports, release.id, "", "fine", signed) == "parameters"


def test_a_release_token_does_not_approve(office):
    held = waiting(office)
    signed = token(office, by="noor")
    assert problem(steps.approve_release, office.ports, held.id, "", "fine", signed) == "action"


def test_no_approval_token_is_issued_when_nothing_is_under_way(office):
    with pytest.raises(NotFound, match="no release under way"):
        token(office, by="noor", action=Action.APPROVE)


def serve(office, release: Release, green: int) -> None:
    """Both sets have their share, and the gateway confirms it."""
    upstreams = tuple(
        Upstream(set_name=name, host="h", port=1, digest=digest * 64, release_id=release.id)
        for name, digest in (("green", "1"), ("blue", "2"))
    )
    weights = {"green": green, "blue": 100 - green}
    route = Route(org="acme", service="chat", upstreams=upstreams, weights=weights)
    generation = office.ledger.put_route(route, epoch=office.ledger.get_release(release.id).epoch)
    office.ledger.report_gateway(
        GatewayStatus(gateway="g", observed_generation=generation, seen_at=office.now)
    )


def test_an_approved_release_goes_on_in_the_next_run_of_its_flow(office):
    """And not only when the sweep of `reconcile` comes by."""
    release = office.enter(office.release("acme"), State.HOLD, **{"from": "shifting", "step": 0})
    serve(office, release, green=10)
    assert steps.select_model(office.ports, office.request("acme")).state is State.HOLD
    steps.approve_release(office.ports, release.id, "noor", "checked by hand")
    outcome = steps.select_model(office.ports, office.request("acme"))
    assert (outcome.state, outcome.goes_on) == (State.SHIFTING, True)
