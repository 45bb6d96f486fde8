"""What was found out about the signatures of one artifact, as values."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tidegate.validation.signature_bundle import SignatureBundle


class SignatureState(StrEnum):
    """Only `valid` counts; every other state says why this signature does not."""

    VALID = "valid"
    OTHER_FILE = "other_file"
    UNKNOWN_SIGNER = "unknown_signer"
    INVALID = "invalid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    UNSUITABLE = "unsuitable"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class CheckedSignature:
    """One stored signature. `publisher` is set when it is valid; `signer`, the fingerprint of the signing key, is
    only claimed until then."""

    bundle: str
    state: SignatureState
    why: str
    publisher: str = ""
    signer: str = ""

    @classmethod
    def of(cls, bundle: SignatureBundle, state: SignatureState, why: str, publisher: str = "") -> Self:
        return cls(bundle.digest, state, why, publisher, bundle.key_fingerprint or "")


@dataclass(frozen=True)
class ProvenanceFindings:
    """All signatures of an artifact; `problem` says why they could not be checked, and is empty if they were."""

    signatures: tuple[CheckedSignature, ...] = ()
    stored: int = 0
    problem: str = ""
    remedy: str = ""

    @property
    def publishers(self) -> tuple[str, ...]:
        """Names of those whose signatures are valid: the only ones that count as signers."""
        return tuple(
            sorted({item.publisher for item in self.signatures if item.state is SignatureState.VALID})
        )
