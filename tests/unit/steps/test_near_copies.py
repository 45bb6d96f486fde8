"""Copies of what failed, overrides with a name and an end, and holds, at the steps of a release."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.gguf.writer import STRING, tiny_llama
from tidegate import steps
from tidegate.domain import (
    Evidence,
    InvalidInput,
    NotFound,
    Refused,
    Release,
    ReleaseState,
    ServiceRef,
    Verdict,
)
from tidegate.steps import standing
from tidegate.steps.authorization import check_authorization
from tidegate.steps.reporting import release_markdown

State = ReleaseState
ACME = ServiceRef("acme", "chat")
TINY = tiny_llama()


def write(folder: Path, name: str, said: str = "") -> Path:
    path = folder / name
    path.write_bytes((TINY.with_pair("general.name", STRING, said) if said else TINY).encode())
    return path


def row(office, release: Release, check: str) -> Evidence:
    entered = office.enter(release, State.VALIDATING)
    return {one.check: one for one in check_authorization(office.ports, entered)}[f"auth.{check}"]


@pytest.fixture
def copies(office, tmp_path: Path):
    """v8 failed; v9 has the same tensors and another name in its metadata."""
    failed = steps.register_model(office.ports, "acme", "finch", "v8", write(tmp_path, "v8.gguf"))
    copy = steps.register_model(office.ports, "acme", "finch", "v9", write(tmp_path, "v9.gguf", "Innocent"))
    office.ledger.quarantine("acme", failed.digest, reason="leaks", release_id="r-1")
    return failed, copy


def test_a_copy_under_other_metadata_is_refused_by_name_of_the_file_that_failed(office, copies):
    failed, copy = copies
    assert failed.digest != copy.digest
    assert failed.tensor_digest == copy.tensor_digest is not None
    found = row(office, office.release("acme", version="v9"), "quarantine")
    assert found.verdict is Verdict.FAIL
    assert f"same tensors as {failed.digest[:12]}" in found.summary
    assert "leaks" in found.summary
    assert found.data["quarantined"] == failed.digest


def test_what_an_earlier_version_registered_and_quarantined_by_its_digest_alone_is_looked_into(
    office, tmp_path: Path
):
    digests = []
    for version, said in (("v8", ""), ("v9", "Innocent")):
        stored = office.ports.store.add(write(tmp_path, f"{version}.gguf", said))
        digests.append(stored.digest)
        office.ledger.register_version(
            office.ledger.get_version("acme", "finch", "v1").model_copy(
                update={"version": version, "digest": stored.digest, "path": str(stored.path)}
            )
        )
    office.ledger.quarantine("acme", digests[0], reason="leaks", release_id="r-1")
    assert office.ledger.quarantined("acme", digests[1]) is None
    assert row(office, office.release("acme", version="v9"), "quarantine").verdict is Verdict.FAIL


def test_another_model_is_no_copy(office, copies):
    assert row(office, office.release("acme"), "quarantine").verdict is Verdict.PASS


def test_an_override_says_who_why_and_until_when_in_gate_journal_and_report(office, copies):
    release = office.release("acme", version="v9", by="noor", override_quarantine="the bank was wrong")
    found = row(office, release, "quarantine")
    assert found.verdict is Verdict.PASS
    assert "overridden by noor until 2026-11-27 02:00 UTC: the bank was wrong" in found.summary
    (note,) = [entry for entry in office.ledger.entries(release.id) if entry.name == "override quarantine"]
    assert (note.data["actor"], note.data["reason"]) == ("noor", "the bank was wrong")
    assert note.data["until"].startswith("2026-11-27T02:00")
    assert "leaks" in note.data["quarantine"]
    told = release_markdown(office.ports, release.id)
    assert "the bank was wrong (noor, until 2026-11-27 02:00 UTC)" in told
    assert "noor: the bank was wrong (quarantined: same tensors as" in told


def test_asking_again_tells_an_override_once(office, copies):
    for _ in range(2):
        release = office.release("acme", version="v9", by="noor", override_quarantine="wrong bank")
    assert [entry.name for entry in office.ledger.entries(release.id)].count("override quarantine") == 1


def test_an_override_that_ended_counts_no_more(office, copies):
    release = office.release("acme", version="v9", by="noor", override_quarantine="the bank was wrong")
    office.pass_time(hours=25)
    found = row(office, release, "quarantine")
    assert found.verdict is Verdict.FAIL
    assert "the override by noor ended at 2026-11-27 02:00 UTC" in found.summary


@pytest.mark.parametrize("by", ["prefect-ui", "unknown"])
def test_an_override_needs_the_name_of_a_person(office, copies, by: str):
    with pytest.raises(Refused, match="name of a person"):
        office.release("acme", version="v9", by=by, override_quarantine="because")
    assert office.ledger.list_releases() == []


def test_an_override_lasts_no_longer_than_a_week(office, copies):
    for until in (office.now + timedelta(days=8), office.now):
        with pytest.raises(InvalidInput, match="at most 7 days"):
            office.release(
                "acme", version="v9", by="noor", override_quarantine="because", override_until=until
            )


def test_nobody_without_the_role_overrides(office, copies):
    with pytest.raises(Refused, match="override quarantine"):
        office.release("acme", version="v9", by="lin", override_quarantine="because")


def test_thirty_nights_with_one_bad_model_and_its_copies_expose_it_once(office, copies, tmp_path: Path):
    """Each night registers it anew under another name in the metadata; the first one was the exposure that failed."""
    passed = 0
    for night in range(30):
        path = write(tmp_path, f"n{night}.gguf", f"night {night}")
        steps.register_model(office.ports, "acme", "finch", f"n{night}", path)
        release = office.release("acme", version=f"n{night}", by="lin", trigger="nightly")
        passed += row(office, release, "quarantine").verdict is Verdict.PASS
        epoch = office.ledger.get_release(release.id).epoch
        office.ledger.append(release.id, epoch, "entered", "rejected", {"reason": "quarantine"})
    assert passed == 0


# ---- holds


def test_a_release_that_waited_when_the_hold_was_set_is_refused_at_the_gate(office):
    waiting = office.release("acme", by="lin", trigger="training")
    standing.set_hold(office.ports, ACME, "lin", "prices are wrong")
    found = row(office, waiting, "hold")
    assert found.verdict is Verdict.FAIL
    assert "held by lin: prices are wrong" in found.summary
    assert "tidegate hold lift acme/chat" in found.remedy


def test_a_release_by_hand_goes_on_and_the_row_says_that_the_service_is_held(office):
    standing.set_hold(office.ports, ACME, "lin", "prices are wrong")
    found = row(office, office.release("acme"), "hold")
    assert found.verdict is Verdict.PASS
    assert "asked for by hand" in found.summary
    assert office.ledger.hold_of(ACME) is not None, "it stands until somebody lifts it"


def test_only_somebody_with_the_role_lifts_a_hold_and_only_by_name(office):
    standing.set_hold(office.ports, ACME, "lin", "prices are wrong")
    for by in ("lin", "dora", "schedule:nightly", "unknown"):
        with pytest.raises(Refused):
            standing.lift_hold(office.ports, ACME, by, "right again")
    with pytest.raises(InvalidInput):
        standing.lift_hold(office.ports, ACME, "noor", " ")
    assert standing.lift_hold(office.ports, ACME, "noor", "right again").lifted_by == "noor"
    with pytest.raises(NotFound):
        standing.lift_hold(office.ports, ACME, "noor", "right again")


def test_where_requests_are_signed_an_unknown_name_decides_nothing(office):
    office.sign_all("acme")
    with pytest.raises(Refused, match="nobody in organization acme"):
        standing.set_hold(office.ports, ACME, "root", "prices are wrong")


def test_lifting_a_quarantine_is_told_in_the_journal_of_the_release_that_set_it(office):
    release = office.enter(office.release("acme"), State.ROLLED_BACK)
    office.ledger.quarantine("acme", release.digest, reason="leaks", release_id=release.id)
    with pytest.raises(Refused):
        standing.lift_quarantine(office.ports, "acme", release.digest, "lin", "wrong")
    standing.lift_quarantine(office.ports, "acme", release.digest, "noor", "wrong bank")
    last = office.ledger.entries(release.id)[-1]
    assert (last.kind, last.name, last.data) == (
        "note",
        "quarantine lifted",
        {"actor": "noor", "reason": "wrong bank"},
    )


def test_a_file_is_put_into_quarantine_by_hand_and_its_copies_follow(office, copies):
    failed, copy = copies
    standing.lift_quarantine(office.ports, "acme", failed.digest, "noor", "wrong bank")
    digest = standing.digest_of(office.ports, "acme", "finch:v8")
    assert digest == standing.digest_of(office.ports, "acme", failed.digest[:10]) == failed.digest
    found = standing.add_quarantine(office.ports, "acme", digest, "lin", "it does leak")
    assert found.reason == "it does leak (by lin)"
    assert office.ledger.quarantined("acme", copy.digest) is not None
    for unknown in ("finch:none", "abc", "0" * 64):
        with pytest.raises(NotFound):
            standing.digest_of(office.ports, "acme", unknown)
