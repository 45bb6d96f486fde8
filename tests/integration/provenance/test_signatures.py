"""Real signatures by model-signing: which ones count, and what is said about those that do not."""

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from model_signing import hashing, verifying
from signing import DAY, NOW, SERVING, Authority, KeySigner

from tidegate.domain import Provenance, TrustedCertificate, TrustedKey, Verdict
from tidegate.validation import (
    CheckedSignature,
    ProvenanceFindings,
    SignatureState,
    check_signatures,
    judge_provenance,
)

State = SignatureState
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def digest_of(model: Path) -> str:
    return hashlib.sha256(model.read_bytes()).hexdigest()


def trust_key(*signers: KeySigner, name: str = "acme-training") -> Provenance:
    keys = tuple(TrustedKey(name=name, path=str(signer.public)) for signer in signers)
    return Provenance(required=True, trusted_keys=keys)


def trust_authority(authority: Authority, **more: Any) -> Provenance:
    entry = TrustedCertificate(name="acme", path=str(authority.file), subjects=more.pop("subjects", ()))
    return Provenance(required=True, trusted_certificates=(entry,), **more)


def check(model: Path, trust: Provenance, *bundles: Path | bytes) -> ProvenanceFindings:
    contents = [bundle if isinstance(bundle, bytes) else bundle.read_bytes() for bundle in bundles]
    return check_signatures(contents, digest_of(model), trust, NOW)


def only(findings: ProvenanceFindings, trust: Provenance) -> CheckedSignature:
    """The one signature; it must be refused where a signature is required, with a remedy."""
    row = judge_provenance(findings, trust)
    assert (row.verdict, findings.publishers) == (Verdict.FAIL, ())
    assert row.remedy
    (signature,) = findings.signatures
    return signature


def changed(bundle: Path, *, sign_digest: str | None = None, hint: str | None = None) -> bytes:
    """The bundle with another file in its payload, or another key named in it; the signature stays."""
    content = json.loads(bundle.read_bytes())
    if sign_digest is not None:
        statement = json.loads(base64.b64decode(content["dsseEnvelope"]["payload"]))
        statement["predicate"]["resources"][0]["digest"] = sign_digest
        root = hashlib.sha256(bytes.fromhex(sign_digest)).hexdigest()
        statement["subject"][0]["digest"]["sha256"] = root
        content["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    if hint is not None:
        content["verificationMaterial"]["publicKey"]["hint"] = hint
    return json.dumps(content).encode()


def hint_of(bundle: Path) -> str:
    return json.loads(bundle.read_bytes())["verificationMaterial"]["publicKey"]["hint"]


def test_the_right_key_vouches_for_the_file(model: Path, trainer: KeySigner):
    trust = trust_key(trainer)

    findings = check(model, trust, trainer.sign(model))

    row = judge_provenance(findings, trust)
    assert (row.verdict, row.summary) == (Verdict.PASS, "signed by acme-training")
    assert row.data["signed_by"] == ["acme-training"]
    assert row.data["signatures"][0]["signer"] == hint_of(trainer.sign(model))


def test_the_name_of_the_file_means_nothing(model: Path, trainer: KeySigner, tmp_path: Path):
    renamed = tmp_path / "another-name.gguf"
    renamed.write_bytes(model.read_bytes())

    assert check(model, trust_key(trainer), trainer.sign(renamed)).publishers == ("acme-training",)


def test_an_unknown_key_vouches_for_nothing(model: Path, trainer: KeySigner, stranger: KeySigner):
    trust = trust_key(trainer)

    assert only(check(model, trust, stranger.sign(model)), trust).state is State.UNKNOWN_SIGNER


def test_a_stranger_who_names_the_trusted_key_is_found_out(
    model: Path, trainer: KeySigner, stranger: KeySigner
):
    trust = trust_key(trainer)
    forged = changed(stranger.sign(model), hint=hint_of(trainer.sign(model)))

    assert only(check(model, trust, forged), trust).state is State.INVALID


def test_the_signature_of_another_file_does_not_count(model: Path, other_model: Path, trainer: KeySigner):
    trust = trust_key(trainer)

    signature = only(check(model, trust, trainer.sign(other_model)), trust)

    assert signature.state is State.OTHER_FILE
    assert digest_of(other_model)[:12] in signature.why


def test_one_changed_byte_of_the_model_is_another_file(model: Path, trainer: KeySigner, tmp_path: Path):
    trust = trust_key(trainer)
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    damaged = tmp_path / model.name
    damaged.write_bytes(content)

    assert only(check(damaged, trust, trainer.sign(model)), trust).state is State.OTHER_FILE


def test_a_payload_changed_to_name_this_file_does_not_verify(
    model: Path, other_model: Path, trainer: KeySigner
):
    trust = trust_key(trainer)
    moved = changed(trainer.sign(other_model), sign_digest=digest_of(model))

    assert only(check(model, trust, moved), trust).state is State.INVALID


def test_a_key_that_was_removed_from_the_list_counts_no_more(
    model: Path, trainer: KeySigner, stranger: KeySigner
):
    bundle = trainer.sign(model)
    assert check(model, trust_key(trainer, stranger), bundle).publishers
    after = trust_key(stranger)

    assert only(check(model, after, bundle), after).state is State.UNKNOWN_SIGNER


def test_after_the_only_key_was_removed_nothing_passes(model: Path, trainer: KeySigner):
    nobody = Provenance(required=True)

    row = judge_provenance(check(model, nobody, trainer.sign(model)), nobody)

    assert (row.verdict, row.data["outcome"]) == (Verdict.FAIL, "untrusted")
    assert "trusted_keys" in row.remedy


def test_during_a_rotation_either_key_of_a_publisher_is_enough(
    model: Path, trainer: KeySigner, stranger: KeySigner
):
    both = trust_key(trainer, stranger)

    for signer in (trainer, stranger):
        assert check(model, both, signer.sign(model)).publishers == ("acme-training",)


def test_one_good_signature_among_others_is_enough(model: Path, trainer: KeySigner, stranger: KeySigner):
    trust = trust_key(trainer)

    findings = check(model, trust, stranger.sign(model), b"{}", trainer.sign(model))

    assert judge_provenance(findings, trust).verdict is Verdict.PASS
    states = [signature.state for signature in findings.signatures]
    assert states == [State.UNKNOWN_SIGNER, State.MALFORMED, State.VALID]


@pytest.mark.parametrize(
    "how",
    [
        hashing.Config().use_file_serialization(hashing_algorithm="blake3"),
        hashing.Config().use_shard_serialization(shard_size=100_000),
    ],
    ids=["another-hash", "in-pieces"],
)
def test_a_signature_over_anything_but_the_sha256_of_the_whole_file_is_refused(
    model: Path, trainer: KeySigner, how: hashing.Config
):
    trust = trust_key(trainer)

    signature = only(check(model, trust, trainer.sign(model, how)), trust)

    assert signature.state is State.MALFORMED


def test_a_signed_folder_vouches_for_none_of_its_files(
    model: Path, other_model: Path, trainer: KeySigner, tmp_path: Path
):
    trust = trust_key(trainer)
    for file in (model, other_model):
        (tmp_path / file.name).write_bytes(file.read_bytes())

    signature = only(check(model, trust, trainer.sign(tmp_path)), trust)

    assert "folder of 2 files" in signature.why


def test_a_certificate_of_a_trusted_authority_vouches_for_the_file(model: Path, authority: Authority):
    trust = trust_authority(authority)

    findings = check(model, trust, authority.certify("training").sign(model))

    assert findings.publishers == ("acme",)


def test_a_certificate_below_an_intermediate_is_trusted_by_its_root(
    model: Path, authority: Authority, tmp_path: Path
):
    between = Authority(tmp_path, "Acme Training", authority)

    findings = check(model, trust_authority(authority), between.certify("training").sign(model))

    assert findings.publishers == ("acme",)


def test_a_certificate_of_another_authority_of_the_same_name_is_untrusted(
    model: Path, authority: Authority, tmp_path: Path
):
    trust = trust_authority(authority)
    impostor = Authority(tmp_path, "Acme Root")

    signature = only(check(model, trust, impostor.certify("training").sign(model)), trust)

    assert signature.state is State.UNKNOWN_SIGNER


def test_a_signing_certificate_cannot_certify_others(model: Path, authority: Authority, tmp_path: Path):
    trust = trust_authority(authority)
    usurper = Authority(tmp_path, "training", authority, may_certify=False)

    signature = only(check(model, trust, usurper.certify("friend").sign(model)), trust)

    assert signature.state is State.UNKNOWN_SIGNER


def test_an_expired_certificate_is_refused_though_the_library_takes_it(model: Path, authority: Authority):
    trust = trust_authority(authority)
    bundle = authority.certify("training", since=NOW - 9 * DAY, until=NOW - DAY).sign(model)
    library = verifying.Config().use_certificate_verifier(certificate_chain=[authority.file])
    library.verify(model, bundle)

    signature = only(check(model, trust, bundle), trust)

    assert signature.state is State.EXPIRED


def test_a_certificate_of_the_future_is_refused(model: Path, authority: Authority):
    trust = trust_authority(authority)
    bundle = authority.certify("training", since=NOW + DAY, until=NOW + 2 * DAY).sign(model)

    assert only(check(model, trust, bundle), trust).state is State.EXPIRED


def test_a_revoked_key_is_refused_with_and_without_a_certificate(
    model: Path, trainer: KeySigner, authority: Authority
):
    certified = authority.certify("training")
    revoked = (trainer.fingerprint, certified.fingerprint)
    by_key = trust_key(trainer).model_copy(update={"revoked_keys": revoked})
    by_authority = trust_authority(authority, revoked_keys=revoked)

    assert only(check(model, by_key, trainer.sign(model)), by_key).state is State.REVOKED
    assert only(check(model, by_authority, certified.sign(model)), by_authority).state is State.REVOKED


def test_whoever_was_certified_by_a_revoked_authority_is_refused(
    model: Path, authority: Authority, tmp_path: Path
):
    between = Authority(tmp_path, "Acme Training", authority)
    bundle = between.certify("training").sign(model)
    trust = trust_authority(authority, revoked_keys=(between.fingerprint,))

    assert only(check(model, trust, bundle), trust).state is State.REVOKED


def test_a_revoked_certificate_stays_revoked_when_its_own_signature_is_written_in_another_form(
    model: Path, authority: Authority
):
    """ECDSA: with (r, s) also (r, n - s) verifies, so the certificate has a second valid fingerprint."""
    signer = authority.certify("training")
    bundle = json.loads(signer.sign(model).read_bytes())
    leaf = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"][0]
    leaf["rawBytes"] = base64.b64encode(in_another_form(signer.certificate)).decode()
    twin = json.dumps(bundle).encode()
    assert check(model, trust_authority(authority), twin).publishers == ("acme",)
    trust = trust_authority(authority, revoked_keys=(signer.fingerprint,))

    assert only(check(model, trust, twin), trust).state is State.REVOKED


def in_another_form(certificate: x509.Certificate) -> bytes:
    """The same certificate with the other ECDSA signature that its authority's key accepts."""
    r, s = decode_dss_signature(certificate.signature)
    twin = encode_dss_signature(r, P256_ORDER - s)
    body = certificate.public_bytes(Encoding.DER)[4:]
    algorithm_and_body = body[: -len(certificate.signature) - 3]
    content = algorithm_and_body + bytes([0x03, len(twin) + 1, 0]) + twin
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content


def test_a_web_servers_certificate_signs_no_models_though_the_library_takes_it(
    model: Path, authority: Authority
):
    trust = trust_authority(authority)
    bundle = authority.certify("www.acme.example", purpose=SERVING).sign(model)
    library = verifying.Config().use_certificate_verifier(certificate_chain=[authority.file])
    library.verify(model, bundle)

    assert only(check(model, trust, bundle), trust).state is State.UNSUITABLE


def test_only_the_listed_subjects_of_an_authority_count(model: Path, authority: Authority):
    trust = trust_authority(authority, subjects=("CN=training",))

    assert check(model, trust, authority.certify("training").sign(model)).publishers == ("acme",)
    signature = only(check(model, trust, authority.certify("marketing").sign(model)), trust)
    assert "CN=marketing" in signature.why


def test_without_a_trusted_authority_no_certificate_counts(
    model: Path, authority: Authority, trainer: KeySigner
):
    """The library would fall back to the operating system's authorities."""
    trust = trust_key(trainer)

    signature = only(check(model, trust, authority.certify("training").sign(model)), trust)

    assert signature.state is State.UNKNOWN_SIGNER


def test_a_trusted_file_that_is_no_key_is_an_error_with_its_name(
    model: Path, trainer: KeySigner, tmp_path: Path
):
    broken = tmp_path / "broken.pub"
    broken.write_text("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n")
    trust = Provenance(required=True, trusted_keys=(TrustedKey(name="acme", path=str(broken)),))

    row = judge_provenance(check(model, trust, trainer.sign(model)), trust)

    assert (row.verdict, row.data["outcome"]) == (Verdict.ERROR, "not_checked")
    assert str(broken) in row.summary
    assert "provenance.trusted_keys" in row.remedy


@pytest.mark.parametrize("missing", ["model_signing", "OpenSSL"])
def test_without_the_package_a_required_signature_never_passes_and_the_extra_is_named(
    model: Path, trainer: KeySigner, monkeypatch: pytest.MonkeyPatch, missing: str
):
    bundle = trainer.sign(model)
    for name in list(sys.modules):
        if name.split(".")[0] in ("model_signing", "OpenSSL") or name.endswith(".signature_verifier"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    trust = trust_key(trainer)

    findings = check(model, trust, bundle)

    row = judge_provenance(findings, trust)
    assert row.verdict is Verdict.ERROR
    assert "tidegate[provenance]" in row.remedy
    optional = judge_provenance(findings, trust.model_copy(update={"required": False}))
    assert (optional.verdict, optional.data["outcome"]) == (Verdict.PASS, "not_required")
    assert "could not be checked" in optional.summary


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(place=some.floats(0, 1, exclude_max=True), flip=some.integers(1, 255))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_damage_to_a_bundle_is_an_exception_or_moves_it_to_another_file(
    model: Path, other_model: Path, trainer: KeySigner, authority: Authority, place: float, flip: int
):
    trust = Provenance(
        required=True,
        trusted_keys=trust_key(trainer).trusted_keys,
        trusted_certificates=trust_authority(authority).trusted_certificates,
    )
    for bundle in bundles_of(other_model, trainer, authority):
        content = bytearray(bundle)
        content[int(place * len(content))] ^= flip

        assert check(model, trust, bytes(content)).publishers == ()
        assert check(other_model, trust, bytes(content)).problem == ""


_MADE: list[bytes] = []


def bundles_of(model: Path, trainer: KeySigner, authority: Authority) -> list[bytes]:
    if not _MADE:
        _MADE.extend(signer.sign(model).read_bytes() for signer in (trainer, authority.certify("fuzzed")))
    return _MADE
