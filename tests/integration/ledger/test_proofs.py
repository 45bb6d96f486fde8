"""Request tokens in the ledger, on both databases: spent once, for one release, together with its request."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import (
    Action,
    InvalidInput,
    Refused,
    ReleaseRequest,
    ReleaseState,
    RequestProof,
    Role,
    ServiceRef,
)

AT = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
DIGEST = "a" * 64
PROCESSES = 8
nonces = itertools.count(1)


def proof(org: str = "acme", service: str = "chat", **changes: object) -> RequestProof:
    made = RequestProof(
        org=org,
        service=service,
        action=Action.RELEASE,
        digest=DIGEST,
        parameters="b" * 64,
        identity="ada",
        role=Role.RELEASER,
        issued_at=AT,
        expires_at=AT + timedelta(minutes=10),
        nonce=f"{next(nonces):032x}",
        key_id="k1",
    )
    return made.model_copy(update=changes)


def request(ledger, key: str, used: RequestProof | None = None, org: str = "acme", service: str = "chat"):
    wanted = ReleaseRequest(org=org, service=service, model="pipit", version="1")
    return ledger.request_release(wanted, DIGEST, key=key, proof=used)


def end(ledger, release) -> None:
    ledger.append(release.id, 0, "entered", ReleaseState.REJECTED.value, {"reason": "over"})


def test_a_token_is_remembered_with_the_release_that_it_was_used_for(ledger):
    used = proof()
    release = request(ledger, "k", used)
    assert ledger.proofs(release.id) == [used]
    assert ledger.proofs(release.id, Action.APPROVE) == []


def test_the_same_token_again_is_the_same_release_while_it_is_not_over(ledger):
    used = proof()
    assert request(ledger, "k", used).id == request(ledger, "k", used).id
    assert len(ledger.list_releases()) == 1


def test_a_token_of_a_release_that_is_over_starts_no_other_one(ledger):
    used = proof()
    first = request(ledger, "k", used)
    end(ledger, first)
    with pytest.raises(Refused, match=f"used before, for release {first.id}") as caught:
        request(ledger, "k", used)
    assert caught.value.context["problem"] == "replay"
    assert [release.id for release in ledger.list_releases()] == [first.id]


def test_a_token_is_not_used_for_a_second_request(ledger):
    used = proof()
    request(ledger, "k", used)
    with pytest.raises(Refused, match="used before"):
        request(ledger, "other", used)
    assert len(ledger.list_releases()) == 1


def test_a_second_token_for_a_release_under_way_is_spent_on_it(ledger):
    first, second = proof(), proof(identity="bob")
    release = request(ledger, "k", first)
    assert request(ledger, "k", second).id == release.id
    assert {one.identity for one in ledger.proofs(release.id)} == {"ada", "bob"}


def test_a_token_is_spent_on_an_approval_once(ledger):
    one, other = request(ledger, "k"), request(ledger, "other")
    used = proof(action=Action.APPROVE, role=Role.APPROVER)
    for _ in range(2):
        ledger.spend(used, one.id)
    assert ledger.proofs(one.id, Action.APPROVE) == [used]
    with pytest.raises(Refused, match="used before"):
        ledger.spend(used, other.id)


def test_other_claims_under_a_spent_nonce_are_a_replay(ledger):
    release = request(ledger, "k")
    used = proof()
    ledger.spend(used, release.id)
    with pytest.raises(Refused, match="used before"):
        ledger.spend(used.model_copy(update={"identity": "eve"}), release.id)


@pytest.mark.parametrize("ref", [ServiceRef("bolt", "chat"), ServiceRef("acme", "draft")])
def test_a_token_of_one_service_is_never_spent_on_a_release_of_another(ledger, ref):
    release = request(ledger, "k")
    with pytest.raises(InvalidInput, match=f"token of {ref} cannot be used for release {release.id}"):
        ledger.spend(proof(ref.org, ref.service), release.id)
    assert ledger.proofs(release.id) == []


def test_a_request_with_the_token_of_another_service_leaves_nothing(ledger):
    with pytest.raises(InvalidInput):
        request(ledger, "k", proof("bolt"))
    assert ledger.list_releases() == []


def test_equal_nonces_of_two_organizations_do_not_meet(ledger):
    used = proof()
    mine = request(ledger, "k", used)
    theirs = request(ledger, "k2", used.model_copy(update={"org": "bolt"}), org="bolt")
    assert ledger.proofs(mine.id)[0].org == "acme"
    assert ledger.proofs(theirs.id)[0].org == "bolt"


def test_exactly_one_of_eight_releases_gets_a_token_that_all_of_them_present(ledger, rivals, url):
    releases = [request(ledger, f"k{number}").id for number in range(PROCESSES)]
    used = proof()
    told = rivals.run(url, *[["spend", used.model_dump(mode="json"), release] for release in releases])
    winners = [one["result"] for one in told if "result" in one]
    assert len(winners) == 1
    assert [one["error"][0] for one in told if "error" in one] == ["Refused"] * (PROCESSES - 1)
    assert ledger.proofs(winners[0]) == [used]


def test_a_token_presented_by_eight_at_once_is_one_release(ledger, rivals, url):
    used = proof().model_dump(mode="json")
    told = rivals.results(url, *[["request_with", used, "k"]] * PROCESSES)
    assert len(set(told)) == 1
    assert len(ledger.list_releases()) == 1


def test_a_token_presented_with_eight_different_requests_at_once_is_one_release(ledger, rivals, url):
    used = proof().model_dump(mode="json")
    told = rivals.run(url, *[["request_with", used, f"k{number}"] for number in range(PROCESSES)])
    assert len([one for one in told if "result" in one]) == 1
    assert len(ledger.list_releases()) == 1
