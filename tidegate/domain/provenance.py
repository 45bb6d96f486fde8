"""Whose signatures an organization trusts, and whether a model version must carry one."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tidegate.domain.names import Digest

Publisher = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@/-]{0,99}$")]
"""Who signs, as people and rules name them: `acme-training`, `ml@acme.example`."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrustedKey(_Part):
    """A public key. The same publisher may have several: that is how a key is rotated with overlap."""

    name: Publisher = Field(description="Publisher that holds the private key.")
    path: str = Field(min_length=1, description="PEM file, relative to the organizations folder.")


class TrustedCertificate(_Part):
    """A root certificate (with intermediates, in one PEM file) whose code-signing certificates are trusted."""

    name: Publisher = Field(description="Publisher for whom this authority speaks.")
    path: str = Field(min_length=1, description="PEM file, relative to the organizations folder.")
    subjects: tuple[str, ...] = Field(
        default=(),
        description="Only these subjects (RFC 4514, such as CN=training,O=Acme); empty: all that it certified.",
    )


class Provenance(_Part):
    """Trust in signatures of model versions. Only public halves are named here; private keys stay with signers.

    `required` without anybody trusted is allowed on purpose: it refuses every release, which is what removing
    the only, stolen key must do.
    """

    required: bool = Field(default=False, description="Refuse releases without a trusted signature.")
    trusted_keys: tuple[TrustedKey, ...] = ()
    trusted_certificates: tuple[TrustedCertificate, ...] = ()
    revoked_keys: tuple[Digest, ...] = Field(
        default=(),
        description="SHA-256 of public keys in PEM form whose signatures and certificates count no longer.",
    )

    @property
    def is_on(self) -> bool:
        """There is something to check against, or something to refuse."""
        return self.required or bool(self.trusted_keys or self.trusted_certificates)
