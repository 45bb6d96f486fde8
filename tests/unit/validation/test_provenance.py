"""The decision about signatures from values alone, and what counts as a signature at all."""

import base64
import json
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.domain import Gate, InvalidInput, Provenance, TrustedKey, Verdict, fold
from tidegate.validation import (
    PROVENANCE_CHECK,
    CheckedSignature,
    ProvenanceFindings,
    SignatureState,
    check_signatures,
    judge_provenance,
    parse_bundle,
)

DIGEST = "ab" * 32
NOW = datetime(2026, 11, 26, tzinfo=UTC)
KEY = TrustedKey(name="acme-training", path="/nowhere/training.pub")
GOOD = CheckedSignature("b1", SignatureState.VALID, "signed by acme-training", "acme-training", "f1")
BAD = CheckedSignature("b2", SignatureState.INVALID, "it does not verify")
NOTHING = ProvenanceFindings()
UNTRUSTED = ProvenanceFindings(stored=1)
UNCHECKED = ProvenanceFindings(stored=1, problem="the package is missing", remedy="Install it.")


def found(*signatures: CheckedSignature) -> ProvenanceFindings:
    return ProvenanceFindings(signatures, len(signatures))


@pytest.mark.parametrize(
    ("findings", "required", "verdict", "outcome"),
    [
        (found(GOOD), True, Verdict.PASS, "signed"),
        (found(GOOD), False, Verdict.PASS, "signed"),
        (found(BAD, GOOD), True, Verdict.PASS, "signed"),
        (found(BAD), True, Verdict.FAIL, "wrongly_signed"),
        (found(BAD), False, Verdict.PASS, "not_required"),
        (NOTHING, True, Verdict.FAIL, "unsigned"),
        (NOTHING, False, Verdict.PASS, "not_required"),
        (UNTRUSTED, True, Verdict.FAIL, "untrusted"),
        (UNTRUSTED, False, Verdict.PASS, "not_required"),
        (UNCHECKED, True, Verdict.ERROR, "not_checked"),
        (UNCHECKED, False, Verdict.PASS, "not_required"),
    ],
)
def test_only_a_trusted_signature_passes_where_one_is_required(
    findings: ProvenanceFindings, required: bool, verdict: Verdict, outcome: str
):
    row = judge_provenance(findings, Provenance(required=required, trusted_keys=(KEY,)))

    assert (row.verdict, row.data["outcome"]) == (verdict, outcome)
    assert row.data["signed_by"] == (["acme-training"] if outcome == "signed" else [])
    assert bool(row.remedy) == (outcome != "signed")
    assert fold(Gate.AUTHORIZATION, [row], frozenset({PROVENANCE_CHECK})).verdict is verdict


@pytest.mark.parametrize("findings", [NOTHING, UNTRUSTED, UNCHECKED, found(BAD)])
def test_a_pass_without_a_signature_says_so(findings: ProvenanceFindings):
    row = judge_provenance(findings, Provenance())

    assert row.summary.endswith("a signature is not required")


@pytest.mark.parametrize("state", [state for state in SignatureState if state is not SignatureState.VALID])
def test_every_reason_for_refusal_has_a_remedy(state: SignatureState):
    row = judge_provenance(found(CheckedSignature("b", state, "why")), Provenance(required=True))

    assert row.verdict is Verdict.FAIL
    assert row.remedy


def test_publishers_of_signatures_that_do_not_count_are_no_signers():
    claimed = CheckedSignature("b", SignatureState.EXPIRED, "why", "acme", "f")

    assert found(claimed, GOOD, GOOD).publishers == ("acme-training",)


@pytest.mark.parametrize(
    ("bundles", "trust"),
    [([], Provenance(required=True, trusted_keys=(KEY,))), ([b"{}"], Provenance(required=True))],
    ids=["no-signature", "nobody-trusted"],
)
def test_the_package_is_not_needed_where_there_is_nothing_to_verify(
    bundles: list[bytes], trust: Provenance, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.delitem(sys.modules, "tidegate.validation.signature_verifier", raising=False)

    assert check_signatures(bundles, DIGEST, trust, NOW).problem == ""


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def bundle(**changes: Any) -> dict[str, Any]:
    """A bundle of the right shape; nobody signed it."""
    statement = {
        "_type": changes.pop("statement_type", "https://in-toto.io/Statement/v1"),
        "subject": [{"name": "m.gguf", "digest": {"sha256": DIGEST}}],
        "predicateType": changes.pop("predicate_type", "https://model_signing/signature/v1.0"),
        "predicate": {
            "serialization": {"method": changes.pop("method", "files"), "hash_type": "sha256"},
            "resources": changes.pop("resources", [{"name": ".", "algorithm": "sha256", "digest": DIGEST}]),
        },
    }
    whole = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "cd" * 32}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": changes.pop("payload", None) or encoded(statement),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": changes.pop("signatures", [{"sig": "AAAA", "keyid": ""}]),
        },
    }
    return whole | changes


def test_a_bundle_tells_which_file_and_which_key_it_claims():
    read = parse_bundle(json.dumps(bundle()).encode())

    assert (read.signed_digest, read.key_fingerprint) == (DIGEST, "cd" * 32)
    assert json.loads(read.canonical) == bundle()


RESOURCE = {"name": ".", "algorithm": "sha256", "digest": DIGEST}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b" " * 2_000_000, "larger than"),
        (bundle(extra=1), "extra"),
        (bundle(mediaType="text/plain"), "mediaType"),
        (bundle(verificationMaterial={"tlogEntries": []}), "neither a key nor a certificate"),
        (bundle(verificationMaterial={"publicKey": {}, "tlogEntries": []}), "hint"),
        (bundle(verificationMaterial={"certificate": {"rawBytes": "AAAA"}}), "Sigstore identity"),
        (bundle(verificationMaterial={"publicKey": {"hint": "cd" * 32}, "public_key": {}}), "public_key"),
        (bundle(payload="!!!"), "payload"),
        (bundle(payload="AAAA"), "not JSON"),
        (bundle(payload="AAA"), "base64"),
        (bundle(signatures=[]), "signatures"),
        (bundle(signatures=[{"sig": "AAAA"}] * 2), "signatures"),
        (bundle(predicate_type="https://model_signing/Digests/v0.1"), "Digests"),
        (bundle(statement_type="other"), "payload"),
        (bundle(method="shards"), "not the SHA-256 of the whole file"),
        (bundle(resources=[]), "resources"),
        (bundle(resources=[RESOURCE, RESOURCE | {"name": "b"}]), "folder of 2 files"),
        (bundle(resources=[RESOURCE | {"algorithm": "blake3"}]), "blake3"),
        (bundle(resources=[RESOURCE | {"digest": "xyz"}]), "whole file"),
    ],
)
def test_what_is_no_signature_of_one_whole_file_is_refused(content: Any, said: str):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()

    with pytest.raises(InvalidInput) as caught:
        parse_bundle(raw)

    assert said in caught.value.message
    assert "model_signing sign key" in caught.value.remedy
