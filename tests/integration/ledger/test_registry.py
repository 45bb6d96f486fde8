"""The port `Registry`, on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidegate.domain import Fenced, InvalidInput, ModelVersion, NotFound, Refused, ServiceRef

REF = ServiceRef("acme", "chat")
AT = datetime(2026, 11, 21, 2, 0, 0, 123456, tzinfo=UTC)


def version(number: str, *, digest: str = "", name: str = "pipit", org: str = "acme") -> ModelVersion:
    return ModelVersion(
        org=org,
        name=name,
        version=number,
        digest=(digest or number[-1]) * 64,
        size_bytes=5 * 1024**3,
        path=f"/store/{number}",
        provenance={"base": "smollm", "note": "naïve ✓"},
        registered_at=AT,
    )


def test_a_version_comes_back_as_it_was_registered(ledger):
    stored = ledger.register_version(version("1"))
    assert stored == version("1") == ledger.get_version("acme", "pipit", "1")
    assert stored.registered_at.tzinfo is UTC


def test_times_of_other_zones_come_back_as_the_same_moment_in_utc(ledger):
    at = datetime(2026, 11, 21, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    stored = ledger.register_version(version("1").model_copy(update={"registered_at": at}))
    assert stored.registered_at == at
    assert stored.registered_at.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused_by_name(ledger):
    naive = version("1").model_copy(update={"registered_at": datetime(2026, 1, 1)})  # noqa: DTZ001
    with pytest.raises(InvalidInput, match="no time zone"):
        ledger.register_version(naive)


def test_registering_the_same_again_returns_the_first_one(ledger):
    ledger.register_version(version("1"))
    again = version("1").model_copy(update={"path": "/elsewhere"})
    assert ledger.register_version(again).path == "/store/1"


def test_a_version_never_changes_its_digest(ledger):
    ledger.register_version(version("1", digest="a"))
    with pytest.raises(Refused, match="acme already has pipit:1"):
        ledger.register_version(version("1", digest="b"))
    assert ledger.get_version("acme", "pipit", "1").digest == "a" * 64


def test_latest_is_the_newest_registered_whatever_its_name(ledger):
    for number in ("2", "9", "10"):
        ledger.register_version(version(number))
    assert ledger.get_version("acme", "pipit", "latest").version == "10"


def test_latest_cannot_be_the_name_of_a_version(ledger):
    with pytest.raises(InvalidInput, match="latest"):
        ledger.register_version(version("latest", digest="a"))


def test_an_unknown_version_is_not_found(ledger):
    for wanted in ("1", "latest"):
        with pytest.raises(NotFound, match="acme has no model version pipit"):
            ledger.get_version("acme", "pipit", wanted)


def test_a_digest_finds_its_newest_version_in_its_own_organization_only(ledger):
    ledger.register_version(version("1", digest="a"))
    ledger.register_version(version("2", digest="a"))
    assert ledger.version_by_digest("acme", "a" * 64).version == "2"
    assert ledger.version_by_digest("other", "a" * 64) is None


def test_versions_are_listed_newest_first_and_by_organization(ledger):
    for number, org in (("1", "acme"), ("2", "bolt"), ("3", "acme")):
        ledger.register_version(version(number, org=org))
    assert [one.version for one in ledger.list_versions()] == ["3", "2", "1"]
    assert [one.version for one in ledger.list_versions("acme")] == ["3", "1"]


def test_an_alias_moves_and_tells_its_history(ledger):
    old, new = ledger.register_version(version("1")), ledger.register_version(version("2"))
    assert ledger.get_alias(REF, "champion") is None
    ledger.set_alias(REF, "champion", old, actor="ann", reason="first", epoch=0)
    ledger.set_alias(REF, "champion", new, actor="bob", reason="better", epoch=0)
    assert ledger.get_alias(REF, "champion") == new
    ledger.set_alias(REF, "champion", None, actor="cy", reason="gone", epoch=0)
    assert ledger.get_alias(REF, "champion") is None
    told = [(row["alias"], row["old"], row["new"], row["actor"]) for row in ledger.alias_history(REF)]
    assert told == [
        ("champion", None, "pipit:1", "ann"),
        ("champion", "pipit:1", "pipit:2", "bob"),
        ("champion", "pipit:2", None, "cy"),
    ]
    assert ledger.alias_history(REF)[1]["new_digest"] == new.digest


def test_repeating_a_move_of_an_alias_adds_nothing_to_its_history(ledger):
    one = ledger.register_version(version("1"))
    for _ in range(2):
        ledger.set_alias(REF, "champion", one, actor="ann", reason="crashed in between", epoch=0)
    ledger.set_alias(REF, "previous", None, actor="ann", reason="never set", epoch=0)
    assert len(ledger.alias_history(REF)) == 1


def test_aliases_of_two_services_are_apart(ledger):
    one = ledger.register_version(version("1"))
    ledger.set_alias(REF, "champion", one, actor="ann", reason="", epoch=0)
    assert ledger.get_alias(ServiceRef("acme", "draft"), "champion") is None


def test_an_alias_needs_a_registered_version_of_the_same_organization(ledger):
    foreign = ledger.register_version(version("1", org="bolt"))
    for wanted in (foreign, version("7"), version("1")):
        with pytest.raises(NotFound):
            ledger.set_alias(REF, "champion", wanted, actor="ann", reason="", epoch=0)


@pytest.mark.parametrize("epoch", [-1, 1])
def test_an_alias_moves_only_at_the_current_epoch(ledger, epoch):
    one = ledger.register_version(version("1"))
    with pytest.raises(Fenced, match=r"not the current one \(0\)"):
        ledger.set_alias(REF, "champion", one, actor="ann", reason="", epoch=epoch)
    assert ledger.get_alias(REF, "champion") is None


def test_quarantine_keeps_the_newest_reason_and_stays_in_its_organization(ledger):
    assert ledger.quarantine_reason("acme", "a" * 64) is None
    ledger.quarantine("acme", "a" * 64, reason="repeats itself", release_id="r-1")
    ledger.quarantine("acme", "a" * 64, reason="leaks", release_id="r-2")
    assert ledger.quarantine_reason("acme", "a" * 64) == "leaks"
    assert ledger.quarantine_reason("bolt", "a" * 64) is None
