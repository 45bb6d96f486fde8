"""Releases of signed and unsigned versions, up to the gate that asks who vouches for them."""

import sys
from pathlib import Path

import pytest
from house import House
from signing import Authority, KeySigner

from tidegate import steps
from tidegate.domain import InvalidInput, NotFound, ReleaseState, Verdict

REFUSED, GOES_ON = ReleaseState.REJECTED, ReleaseState.VALIDATING


def test_an_unsigned_version_is_refused_before_anything_is_created(strict: House, model: Path):
    strict.register(model, "v1")

    release, row = strict.ask("v1")

    assert release.state is REFUSED
    assert "carries no signature" in release.reason
    assert (row.verdict, row.data["outcome"]) == (Verdict.FAIL, "unsigned")
    assert "tidegate models attach" in row.remedy
    assert strict.ports.ledger.list_sets() == []


def test_a_signed_version_goes_on_and_its_signer_is_recorded(strict: House, model: Path, trainer: KeySigner):
    version = strict.register(model, "v1", trainer.sign(model))

    release, row = strict.ask("v1")

    assert release.state is GOES_ON
    assert (row.verdict, row.data["signed_by"]) == (Verdict.PASS, ["acme-training"])
    assert steps.publishers_of(strict.ports, "acme", version.digest) == ("acme-training",)


def test_two_publishers_who_signed_are_both_recorded(
    strict: House, model: Path, trainer: KeySigner, authority: Authority
):
    strict.register(model, "v1", trainer.sign(model), authority.certify("ci").sign(model))

    assert strict.ask("v1")[1].data["signed_by"] == ["acme-ci", "acme-training"]


def test_a_version_signed_by_a_stranger_is_refused_and_accepted_once_it_is_signed_again(
    strict: House, model: Path, trainer: KeySigner, stranger: KeySigner
):
    version = strict.register(model, "v1", stranger.sign(model))
    refused, row = strict.ask("v1")
    assert refused.state is REFUSED
    assert row.data["signatures"][0]["state"] == "unknown_signer"
    assert steps.publishers_of(strict.ports, "acme", version.digest) == ()

    row = steps.attach_signatures(strict.ports, version, [trainer.sign(model)])
    assert row.data["signed_by"] == ["acme-training"]

    again, _ = strict.ask("v1")
    assert (again.state, again.id != refused.id) == (GOES_ON, True)


def test_a_key_that_was_removed_refuses_the_next_release(strict: House, model: Path, trainer: KeySigner):
    strict.register(model, "v1", trainer.sign(model))
    strict.declare({"required": True})
    strict.ports = strict.load()

    release, row = strict.ask("v1")

    assert (release.state, row.data["outcome"]) == (REFUSED, "untrusted")


def test_where_no_signature_is_required_a_version_goes_on_with_a_note(
    lenient: House, model: Path, stranger: KeySigner
):
    lenient.register(model, "v1", stranger.sign(model))

    release, row = lenient.ask("v1")

    assert release.state is GOES_ON
    assert (row.verdict, row.data["outcome"], row.data["signed_by"]) == (Verdict.PASS, "not_required", [])
    assert "not among the trusted keys" in row.summary


def test_without_the_package_a_required_signature_refuses_and_an_optional_one_is_noted(
    strict: House, model: Path, trainer: KeySigner, monkeypatch: pytest.MonkeyPatch
):
    strict.register(model, "v1", trainer.sign(model))
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "tidegate.validation.signature_verifier", raising=False)

    release, row = strict.ask("v1")

    assert release.state is REFUSED
    assert "could not be judged" in release.reason
    assert "tidegate[provenance]" in row.remedy


def test_the_signature_of_another_file_is_refused_at_the_door(
    strict: House, model: Path, other_model: Path, trainer: KeySigner
):
    with pytest.raises(InvalidInput, match="signs another file"):
        strict.register(model, "v1", trainer.sign(other_model))

    with pytest.raises(NotFound):
        strict.ports.ledger.get_version("acme", "pipit", "v1")


@pytest.mark.parametrize("content", [None, b"", b"{}"], ids=["missing", "empty", "other-json"])
def test_what_is_no_signature_is_refused_at_the_door(
    strict: House, model: Path, tmp_path: Path, content: bytes | None
):
    path = tmp_path / "pipit.sig"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidInput) as caught:
        strict.register(model, "v1", path)

    assert "pipit.sig" in caught.value.message
    assert caught.value.remedy
    assert strict.ports.ledger.list_versions("acme") == []


@pytest.mark.parametrize(("publisher", "is_allowed"), [("acme-training", True), ("acme-ci", False)])
def test_a_model_is_allowed_by_who_signed_it_not_by_what_is_claimed(
    lenient: House, model: Path, trainer: KeySigner, publisher: str, is_allowed: bool
):
    lenient.declare(lenient.provenance, models=[{"name": "pipit", "publisher": publisher}])
    lenient.ports = lenient.load()
    claimed = {"publisher": "acme-ci"}
    steps.register_model(lenient.ports, "acme", "pipit", "v1", model, claimed, [trainer.sign(model)])

    release, _ = lenient.ask("v1")

    assert release.state is (GOES_ON if is_allowed else REFUSED)
