"""The provenance block of an organization: what is accepted, and what every error tells."""

from pathlib import Path

import pytest

from tidegate.access import load_organizations
from tidegate.domain import InvalidInput, Organization

ORGANIZATION = """
name: acme
display_name: Acme
services:
  chat:
    models: [finch]
provenance:
  required: true
"""
PUBLIC = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("organizations/keys", "policies"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "policies/acme.yaml").write_text("")
    (tmp_path / "organizations/keys/training.pub").write_text(PUBLIC)
    (tmp_path / "organizations/keys/root.crt").write_text(CERTIFICATE)
    return tmp_path


def load(folder: Path, block: str = "") -> Organization:
    (folder / "organizations/acme.yaml").write_text(ORGANIZATION + block)
    return load_organizations(folder / "organizations", folder / "policies")["acme"]


def refused(folder: Path, block: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        load(folder, block)
    assert "organizations/acme.yaml" in caught.value.message
    assert caught.value.remedy
    return caught.value


def trusting(path: object) -> str:
    return f"  trusted_keys: [{{name: acme-training, path: {path}}}]\n"


def test_an_organization_without_the_block_requires_nothing(folder: Path):
    (folder / "organizations/acme.yaml").write_text(ORGANIZATION.partition("provenance")[0])

    acme = load_organizations(folder / "organizations", folder / "policies")["acme"]

    assert not acme.provenance.required


def test_paths_are_relative_to_the_organizations_folder(folder: Path):
    more = "  trusted_certificates: [{name: acme, path: keys/root.crt, subjects: ['CN=training']}]\n"

    provenance = load(folder, trusting("keys/training.pub") + more).provenance

    assert provenance.trusted_keys[0].path == str(folder / "organizations/keys/training.pub")
    assert provenance.trusted_certificates[0].path == str(folder / "organizations/keys/root.crt")
    assert provenance.trusted_certificates[0].subjects == ("CN=training",)
    assert load(folder, trusting(folder / "organizations/keys/training.pub")).provenance.trusted_keys


def test_a_publisher_may_have_several_keys(folder: Path):
    (folder / "organizations/keys/next.pub").write_text(PUBLIC)
    keys = "  trusted_keys:\n" + "".join(
        f"    - {{name: acme-training, path: keys/{file}}}\n" for file in ("training.pub", "next.pub")
    )

    assert [key.name for key in load(folder, keys).provenance.trusted_keys] == ["acme-training"] * 2


def test_a_missing_key_is_named_with_its_field_and_what_to_do(folder: Path):
    error = refused(folder, trusting("keys/gone.pub"))

    assert str(folder / "organizations/keys/gone.pub") in error.message
    assert error.context["field"] == "provenance.trusted_keys.0.path"
    assert "remove the entry" in error.remedy


def test_a_certificate_that_is_a_folder_is_named(folder: Path):
    error = refused(folder, "  trusted_certificates: [{name: acme, path: keys}]\n")

    assert error.context["field"] == "provenance.trusted_certificates.0.path"


@pytest.mark.parametrize(
    "content", ["", "hello", CERTIFICATE, "x" * 300_000], ids=["empty", "text", "certificate", "large"]
)
def test_a_file_that_is_no_public_key_is_refused(folder: Path, content: str):
    (folder / "organizations/keys/training.pub").write_text(content)

    assert "public key" in refused(folder, trusting("keys/training.pub")).message


@pytest.mark.parametrize("kind", ["", "EC ", "ENCRYPTED ", "OPENSSH "])
def test_a_private_key_never_enters_and_is_not_repeated(folder: Path, kind: str):
    secret = "MIGHAgEAMBMGByqGSM49"
    text = f"-----BEGIN {kind}PRIVATE KEY-----\n{secret}\n-----END {kind}PRIVATE KEY-----\n"
    (folder / "organizations/keys/training.pub").write_text(text + PUBLIC)

    error = refused(folder, trusting("keys/training.pub"))

    assert "holds a private key" in error.message
    assert "replace the pair" in error.remedy
    assert secret not in str(error)


@pytest.mark.parametrize(
    ("block", "field"),
    [
        ("  trusted_key: []\n", "provenance.trusted_key"),
        ("  trusted_keys: [{path: keys/training.pub}]\n", "provenance.trusted_keys.0.name"),
        ("  trusted_keys: [{name: 'a b', path: keys/training.pub}]\n", "provenance.trusted_keys.0.name"),
        ("  revoked_keys: [abc]\n", "provenance.revoked_keys.0"),
        ("  trusted_keys: [{name: acme, path: ''}]\n", "provenance.trusted_keys.0.path"),
    ],
)
def test_a_bad_entry_is_refused_by_the_name_of_its_field(folder: Path, block: str, field: str):
    assert refused(folder, block).context["field"] == field
