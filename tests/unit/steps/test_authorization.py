"""The authorization gate: who asked, with which credential, within which limits and budget."""

import json

import pytest

from tidegate.domain import (
    Action,
    Evidence,
    NeedsOperator,
    Refused,
    Release,
    ReleaseState,
    Transient,
    Verdict,
    fold,
)
from tidegate.domain.evidence import Gate
from tidegate.steps.authorization import AUTHORIZATION_CHECKS, check_authorization
from tidegate.steps.proof import issue_token, named_wish

State = ReleaseState
SECRET = "value-of-acme-0123456789"


def planned(office, usd: float = 1.0, org: str = "acme", **fields: str) -> Release:
    return office.enter(office.release(org, **fields), State.VALIDATING, usd=usd)


def rows(office, release: Release) -> dict[str, Evidence]:
    return {row.check.removeprefix("auth."): row for row in check_authorization(office.ports, release)}


def test_a_good_release_passes_with_a_row_for_every_check(office):
    release = planned(office)
    found = check_authorization(office.ports, release)
    assert {row.check for row in found} == AUTHORIZATION_CHECKS
    assert fold(Gate.AUTHORIZATION, found, AUTHORIZATION_CHECKS).verdict is Verdict.PASS


# ---- who asked


def test_the_row_of_the_request_names_identity_role_and_key(office):
    request = office.request("acme")
    signed = issue_token(office.ports, named_wish(office.ports, Action.RELEASE, request), "lin").token
    release = office.enter(office.release("acme", signed), State.VALIDATING)
    row = rows(office, release)["request"]
    assert row.verdict is Verdict.PASS
    assert row.summary == "asked by lin (releaser), signed with key k1 of acme"
    assert signed.reveal() not in row.model_dump_json()


def test_a_signed_release_passes_long_after_its_token_expired(office):
    request = office.request("acme")
    signed = issue_token(office.ports, named_wish(office.ports, Action.RELEASE, request), "lin").token
    release = office.enter(office.release("acme", signed), State.VALIDATING)
    office.sign_all("acme")
    office.pass_time(days=2)
    assert rows(office, release)["request"].verdict is Verdict.PASS


def test_a_release_that_was_recorded_unsigned_fails_once_signatures_are_wanted(office):
    release = planned(office)
    office.sign_all("acme")
    row = rows(office, release)["request"]
    assert row.verdict is Verdict.FAIL
    assert "signed requests only" in row.summary
    assert "tidegate token issue" in row.remedy


def test_a_release_of_somebody_who_lost_the_role_since_fails(office):
    release = planned(office, by="lin")
    office.change("acme", "lin: releaser", "lin: viewer")
    assert rows(office, release)["request"].verdict is Verdict.FAIL


def test_an_approval_token_is_no_proof_of_the_release(office):
    release = planned(office)
    wish = named_wish(office.ports, Action.APPROVE, office.request("acme"))
    office.ledger.spend(issue_token(office.ports, wish, "noor").proof, release.id)
    office.sign_all("acme")
    assert rows(office, release)["request"].verdict is Verdict.FAIL


# ---- credential


def test_each_organization_is_verified_with_its_own_credential_only(office):
    for org in ("acme", "bolt"):
        assert rows(office, planned(office, org=org))["credential"].verdict is Verdict.PASS
    assert office.platform.asked == [("acme", SECRET), ("bolt", "value-of-bolt-0123456789")]


def test_another_organizations_credential_is_not_good_for_this_one(office):
    office.environ["TIDEGATE_SECRET_FAKE_CREDENTIAL_ACME"] = "value-of-bolt-0123456789"
    assert rows(office, planned(office))["credential"].verdict is Verdict.FAIL


def test_a_refused_credential_is_told_by_organization_reference_and_remedy_never_by_value(office):
    office.environ["TIDEGATE_SECRET_FAKE_CREDENTIAL_ACME"] = "wrong-value-0123456789"
    row = rows(office, planned(office))["credential"]
    assert row.verdict is Verdict.FAIL
    assert "'fake-credential-acme' of acme" in row.summary
    assert row.remedy == "Check ***."
    assert "wrong-value" not in row.model_dump_json()


def test_a_credential_that_is_not_there_says_so(office):
    del office.environ["TIDEGATE_SECRET_FAKE_CREDENTIAL_ACME"]
    row = rows(office, planned(office))["credential"]
    assert row.verdict is Verdict.FAIL
    assert "there is none at that place" in row.summary


@pytest.mark.parametrize(
    ("trouble", "verdict"),
    [
        (Refused("balance is 0.12 USD", remedy="Add funds."), Verdict.FAIL),
        (Refused("the key may only read", remedy="Give it the scope."), Verdict.FAIL),
        (Transient("no answer", remedy="Try again."), Verdict.ERROR),
        (NeedsOperator("it looks odd", remedy="Look."), Verdict.ERROR),
    ],
)
def test_what_a_platform_says_of_balance_and_scope_is_in_the_row_and_no_answer_is_no_yes(
    office, trouble: Exception, verdict: Verdict
):
    office.platform.trouble = trouble
    row = rows(office, planned(office))["credential"]
    assert row.verdict is verdict
    assert trouble.message in row.summary
    assert row.remedy == trouble.remedy


@pytest.mark.parametrize("reference", ["env:ACME_FAKE_KEY", "file:{folder}/acme.key"])
def test_a_credential_is_read_from_where_the_reference_says(office, reference: str):
    office.environ["ACME_FAKE_KEY"] = SECRET
    path = office.folder / "acme.key"
    path.write_text(SECRET)
    path.chmod(0o600)
    office.change("acme", "fake-credential-acme", f"'{reference.format(folder=office.folder)}'")
    assert rows(office, planned(office))["credential"].verdict is Verdict.PASS


def test_a_credential_in_prefect_is_an_error_outside_of_flows(office):
    office.change("acme", "fake-credential-acme", "'prefect-secret:acme-key'")
    row = rows(office, planned(office))["credential"]
    assert row.verdict is Verdict.ERROR
    assert "only flows can read" in row.summary


# ---- model, limits, budget


@pytest.mark.parametrize(
    ("name", "said", "verdict"),
    [
        ("finch", {}, Verdict.PASS),
        # Whoever registers a version may claim anything: only a signature counts (tests/integration/provenance).
        ("signed-1", {"publisher": "labs"}, Verdict.FAIL),
        ("signed-1", {}, Verdict.FAIL),
        ("wren", {}, Verdict.FAIL),
    ],
)
def test_a_model_is_allowed_by_name_and_publisher(office, name: str, said: dict[str, str], verdict: Verdict):
    office.register("acme", name=name, version="v7", digest="7", **said)
    row = rows(office, planned(office, model=name, version="v7"))["model"]
    assert row.verdict is verdict
    assert verdict is Verdict.PASS or "signed-* published by labs" in row.remedy


@pytest.mark.parametrize(("usd", "verdict"), [(2.0, Verdict.PASS), (2.01, Verdict.FAIL)])
def test_a_set_costs_no_more_per_hour_than_the_organization_allows(office, usd: float, verdict: Verdict):
    row = rows(office, planned(office, usd=usd))["limits"]
    assert row.verdict is verdict
    assert "of at most $2.00" in row.summary


def test_the_month_so_far_counts_against_the_monthly_budget(office):
    for number in range(9):
        office.register("acme", version=f"x{number}", digest="abcdef345"[number])
        office.enter(office.release("acme", version=f"x{number}"), State.DONE)
    row = rows(office, planned(office))["budget"]
    assert (row.verdict, row.data["month_to_date_usd"]) == (Verdict.PASS, 9.0)
    row = rows(office, planned(office, usd=1.5, service="acme-only"))["budget"]
    assert row.verdict is Verdict.FAIL
    assert "of $10.00 are spent this month" in row.summary


def test_rejected_releases_other_months_and_other_organizations_cost_nothing(office):
    office.register("acme", version="v2", digest="2")
    office.enter(office.release("acme", version="v2"), State.REJECTED, usd=2.0)
    office.enter(office.release("bolt"), State.DONE, usd=2.0)
    office.register("acme", version="v3", digest="3")
    office.enter(office.release("acme", version="v3"), State.DONE, usd=2.0)
    office.pass_time(days=7)
    assert rows(office, planned(office))["budget"].data["month_to_date_usd"] == 0.0


def test_evidence_of_the_gate_holds_no_secret(office):
    release = planned(office)
    told = json.dumps([row.model_dump(mode="json") for row in check_authorization(office.ports, release)])
    assert SECRET not in told
