"""Who vouches for an artifact, and may it be released by that? Missing evidence is never a pass where one is wanted.

A signature binds the SHA-256 of the whole file: the digest under which the store keeps it, the release names
it, and the engine reports it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tidegate.domain import Evidence, Gate, InvalidInput, Provenance, Verdict
from tidegate.validation.report import ValidationCategory, ValidationResult, ValidationStatus
from tidegate.validation.signature_bundle import HOW_TO_SIGN, parse_bundle
from tidegate.validation.signatures import CheckedSignature, ProvenanceFindings, SignatureState

PROVENANCE_CHECK = "provenance.signature"
SIGNATURE_CHECK = "file.signature"
EXTRA = "tidegate[provenance]"

_STATUS_OF = {
    Verdict.PASS: ValidationStatus.PASSED,
    Verdict.FAIL: ValidationStatus.FAILED,
    Verdict.ERROR: ValidationStatus.ERROR,
    Verdict.NOT_JUDGED: ValidationStatus.NOT_JUDGED,
}

REMEDIES = {
    SignatureState.OTHER_FILE: "Give the signature of this very file; an export made twice has two digests.",
    SignatureState.UNKNOWN_SIGNER: "Sign with a trusted key, or list its public half under "
    "provenance.trusted_keys (an authority: trusted_certificates) of the organization.",
    SignatureState.INVALID: "Somebody changed it, or it is no signature of that key: sign the file again.",
    SignatureState.EXPIRED: "Sign the file again with a certificate that is valid now.",
    SignatureState.REVOKED: "Sign the file again with a key that was not revoked.",
    SignatureState.UNSUITABLE: "Sign with a certificate on P-256, P-384 or P-521 whose key usage is "
    "digitalSignature and whose extended key usage is codeSigning.",
    SignatureState.MALFORMED: HOW_TO_SIGN,
}


def check_signatures(
    bundles: Sequence[bytes], digest: str, trust: Provenance, now: datetime
) -> ProvenanceFindings:
    """Verify each bundle. model-signing is imported only when there is one to verify and somebody to trust."""
    if not bundles or not (trust.trusted_keys or trust.trusted_certificates):
        return ProvenanceFindings(stored=len(bundles))
    try:
        return ProvenanceFindings(
            tuple(_check_one(content, digest, trust, now) for content in bundles), len(bundles)
        )
    except ImportError as error:
        return ProvenanceFindings(
            stored=len(bundles),
            problem=f"the package model-signing cannot be imported ({error})",
            remedy=f"Install it where releases run: pip install '{EXTRA}'.",
        )
    except InvalidInput as error:
        return ProvenanceFindings(stored=len(bundles), problem=error.message, remedy=error.remedy)


def _check_one(content: bytes, digest: str, trust: Provenance, now: datetime) -> CheckedSignature:
    from tidegate.validation.signature_verifier import verify_signature

    try:
        bundle = parse_bundle(content)
    except InvalidInput as error:
        return CheckedSignature(hashlib.sha256(content).hexdigest(), SignatureState.MALFORMED, error.message)
    return verify_signature(bundle, digest, trust, now)


def judge_provenance(findings: ProvenanceFindings, trust: Provenance) -> Evidence:
    """The decision, from values alone. What is not required passes with a note that says what was found."""
    if findings.publishers:
        return _row(Verdict.PASS, "signed", f"signed by {', '.join(findings.publishers)}", findings)
    outcome, summary, remedy = _why_not_signed(findings, trust)
    if not trust.required:
        return _row(Verdict.PASS, "not_required", f"{summary}; a signature is not required", findings, remedy)
    could_not = outcome == "not_checked"
    return _row(Verdict.ERROR if could_not else Verdict.FAIL, outcome, summary, findings, remedy)


def signature_result(
    bundles: Sequence[bytes], digest: str, trust: Provenance | None, now: datetime, *, is_required: bool
) -> ValidationResult | None:
    """The signature as a check of the file's integrity. None where nobody signed it and nobody asks for it."""
    is_wanted = is_required or (trust is not None and trust.required)
    if not bundles and not is_wanted:
        return None
    given = (trust or Provenance()).model_copy(update={"required": is_wanted})
    if not digest:
        status, message, remedy = (
            ValidationStatus.NOT_JUDGED,
            "Not judged: there is no digest to compare.",
            "",
        )
        details: dict[str, Any] = {}
    else:
        row = judge_provenance(check_signatures(bundles, digest, given, now), given)
        status, message, remedy, details = _STATUS_OF[row.verdict], row.summary, row.remedy, row.data
        if status is ValidationStatus.PASSED and details["outcome"] == "not_required":
            # Somebody signed it and the signature does not count: worth a look, also where none is required.
            status = ValidationStatus.WARNING
    return ValidationResult(
        category=ValidationCategory.FILE_INTEGRITY,
        check_name=SIGNATURE_CHECK,
        status=status,
        message=message[:1].upper() + message[1:],
        remedy=remedy,
        details=details,
    )


def _why_not_signed(findings: ProvenanceFindings, trust: Provenance) -> tuple[str, str, str]:
    """Outcome, what was found, what to do."""
    if findings.problem:
        return "not_checked", f"signatures could not be checked: {findings.problem}", findings.remedy
    if not findings.stored:
        remedy = f"{HOW_TO_SIGN} Then: tidegate models attach ORG MODEL:VERSION MODEL.gguf.sig."
        return "unsigned", "the model version carries no signature", remedy
    if not findings.signatures:
        return (
            "untrusted",
            "the organization trusts no signer, so its signatures prove nothing",
            "List a publisher's public key under provenance.trusted_keys of the organization.",
        )
    reasons = "; ".join(item.why for item in findings.signatures)
    states = dict.fromkeys(item.state for item in findings.signatures)
    return "wrongly_signed", f"no signature counts: {reasons}", " ".join(REMEDIES[state] for state in states)


def _row(
    verdict: Verdict, outcome: str, summary: str, findings: ProvenanceFindings, remedy: str = ""
) -> Evidence:
    signatures: list[dict[str, Any]] = [
        {
            "bundle": item.bundle,
            "state": item.state.value,
            "why": item.why,
            "publisher": item.publisher,
            "signer": item.signer,
        }
        for item in findings.signatures
    ]
    return Evidence(
        gate=Gate.AUTHORIZATION,
        check=PROVENANCE_CHECK,
        verdict=verdict,
        summary=summary,
        remedy=remedy,
        data={"outcome": outcome, "signed_by": list(findings.publishers), "signatures": signatures},
    )
