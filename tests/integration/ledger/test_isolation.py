"""Two organizations in one ledger, on both databases: neither sees, routes to or changes what is the other's."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import (
    Evidence,
    Gate,
    ModelVersion,
    NotFound,
    Refused,
    ReleaseRequest,
    Route,
    ServiceRef,
    SetSpec,
    Upstream,
    Verdict,
    set_name,
)

MINE, THEIRS = ServiceRef("acme", "chat"), ServiceRef("bolt", "chat")
AT = datetime(2026, 11, 26, tzinfo=UTC)
DIGEST = "a" * 64


def version(org: str) -> ModelVersion:
    return ModelVersion(
        org=org, name="pipit", version="1", digest=DIGEST, size_bytes=1, path="/x", registered_at=AT
    )


def spec(ref: ServiceRef, name: str = "") -> SetSpec:
    return SetSpec(
        name=name or set_name(ref, DIGEST, "r-1"),
        org=ref.org,
        service=ref.service,
        release_id="r-1",
        digest=DIGEST,
        artifact_path="/x",
    )


def route(ref: ServiceRef, name: str) -> Route:
    upstream = Upstream(set_name=name, host="127.0.0.1", port=8000, digest=DIGEST, release_id="r-1")
    return Route(org=ref.org, service=ref.service, upstreams=(upstream,), weights={name: 100})


def request(ledger, ref: ServiceRef):
    wanted = ReleaseRequest(org=ref.org, service=ref.service, model="pipit", version="1")
    return ledger.request_release(wanted, DIGEST, key=f"{ref}/k")


def test_versions_and_digests_are_found_in_their_own_organization_only(ledger):
    ledger.register_version(version("acme"))
    with pytest.raises(NotFound):
        ledger.get_version("bolt", "pipit", "1")
    assert ledger.version_by_digest("bolt", DIGEST) is None
    assert ledger.list_versions("bolt") == []


def test_aliases_and_their_history_stay_in_their_service(ledger):
    mine = ledger.register_version(version("acme"))
    ledger.set_alias(MINE, "champion", mine, actor="ada", reason="", epoch=0)
    assert ledger.get_alias(THEIRS, "champion") is None
    assert ledger.alias_history(THEIRS) == []
    with pytest.raises(NotFound):
        ledger.set_alias(THEIRS, "champion", mine, actor="eve", reason="", epoch=0)


def test_releases_keys_and_spending_stay_in_their_organization(ledger):
    mine = request(ledger, MINE)
    assert ledger.list_releases(ref=THEIRS) == []
    assert ledger.active_release(THEIRS) is None
    assert ledger.find_active(f"{THEIRS}/k") is None
    assert ledger.releases_since("bolt", AT - timedelta(days=9999)) == []
    assert [one.id for one in ledger.releases_since("acme", AT - timedelta(days=9999))] == [mine.id]
    assert request(ledger, THEIRS).id != mine.id


def test_evidence_belongs_to_one_release(ledger):
    mine, theirs = request(ledger, MINE), request(ledger, THEIRS)
    row = Evidence(gate=Gate.STRUCTURE, check="c", verdict=Verdict.PASS, summary="good")
    ledger.add_evidence(mine.id, [row], digest=DIGEST, policy_digest="p")
    assert ledger.evidence(theirs.id) == []


@pytest.mark.parametrize("is_recorded", [True, False])
def test_no_service_routes_to_the_set_of_another_one(ledger, is_recorded):
    name = set_name(THEIRS, DIGEST, "r-1")
    if is_recorded:
        ledger.record_set(spec(THEIRS), platform="local", epoch=0, state="wanted")
    with pytest.raises(Refused, match=f"belongs to {THEIRS}, not to {MINE}"):
        ledger.put_route(route(MINE, name), epoch=0)
    assert ledger.get_route(MINE) is None
    assert ledger.put_route(route(THEIRS, name), epoch=0) == 1
    assert ledger.get_route(MINE) is None


def test_no_service_routes_to_a_set_that_is_recorded_for_another_one_under_any_name(ledger):
    ledger.record_set(spec(THEIRS, "green"), platform="local", epoch=0, state="wanted")
    with pytest.raises(Refused, match="belongs to bolt/chat"):
        ledger.put_route(route(MINE, "green"), epoch=0)


@pytest.mark.parametrize("name", ["", "green"])
def test_no_service_records_a_set_over_that_of_another_one(ledger, name):
    theirs = spec(THEIRS, name)
    ledger.record_set(theirs, platform="local", epoch=0, state="wanted")
    with pytest.raises(Refused, match="belongs to bolt/chat"):
        ledger.record_set(spec(MINE, theirs.name), platform="local", epoch=0, state="wanted")
    found = ledger.get_set(theirs.name)
    assert found is not None
    assert found[0].org == "bolt"
    assert ledger.list_sets(MINE) == []


def test_baselines_and_quarantine_stay_where_they_are(ledger):
    ledger.record_baseline(MINE, "nightly", DIGEST, {"x": 1})
    ledger.quarantine("acme", DIGEST, reason="leaks", release_id="r-1")
    assert ledger.baseline(THEIRS, "nightly") is None
    assert ledger.quarantine_reason("bolt", DIGEST) is None
