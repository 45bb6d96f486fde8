"""Reads a detached signature: a sigstore bundle as model-signing writes it with a key or a certificate.

Nothing is proven here. What is understood is written again in one canonical form, and only that form is
verified: whatever a bundle hides in unknown or doubled fields reaches nobody.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from tidegate.domain import InvalidInput
from tidegate.domain.names import Digest

MAX_BUNDLE_BYTES = 1024**2
MAX_CHAIN = 8
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
HOW_TO_SIGN = (
    "Sign the file itself where it was trained: model_signing sign key MODEL.gguf --private_key KEY.pem "
    "--signature MODEL.gguf.sig (model-signing 1.1 or newer)."
)

Base64Text = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


@dataclass(frozen=True)
class SignatureBundle:
    """What a bundle claims. `canonical` is all of it, as the verifier is given it."""

    digest: str
    canonical: bytes
    signed_name: str
    signed_digest: str
    key_fingerprint: str | None
    certificates: tuple[bytes, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class _PublicKey(_Strict):
    hint: Digest


class _Certificate(_Strict):
    raw_bytes: Base64Text


class _Chain(_Strict):
    certificates: list[_Certificate] = Field(min_length=1, max_length=MAX_CHAIN)


class _Material(_Strict):
    public_key: _PublicKey | None = None
    x509_certificate_chain: _Chain | None = None
    tlog_entries: list[Any] = Field(default=[], max_length=0)


class _Signature(_Strict):
    sig: Base64Text
    keyid: str = ""


class _Envelope(_Strict):
    payload: Base64Text
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: list[_Signature] = Field(min_length=1, max_length=1)


class _Bundle(_Strict):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _Material
    dsse_envelope: _Envelope


class _Resource(BaseModel):
    name: str
    algorithm: str
    digest: str


class _Serialization(BaseModel):
    method: str


class _Predicate(BaseModel):
    resources: list[_Resource] = Field(min_length=1)
    serialization: _Serialization


class _Statement(BaseModel):
    """Unknown fields are allowed: model-signing tells verifiers to ignore them."""

    statement_type: str = Field(alias="_type")
    predicate_type: str = Field(alias="predicateType")
    predicate: _Predicate


def parse_bundle(content: bytes) -> SignatureBundle:
    """Raises: InvalidInput, for everything that is no such bundle or does not sign exactly one whole file."""
    if len(content) > MAX_BUNDLE_BYTES:
        raise _refused(f"it is larger than {MAX_BUNDLE_BYTES // 1024} KiB")
    raw = _json(content)
    if _is_keyless(raw):
        raise _refused(
            "it was made with a Sigstore identity, which only Sigstore's services can vouch for, and "
            "Tidegate asks nobody outside"
        )
    try:
        bundle = _Bundle.model_validate(raw)
    except ValidationError as error:
        raise _refused(_first_problem(error)) from error
    material = bundle.verification_material
    chain = material.x509_certificate_chain
    if (material.public_key is None) == (chain is None):
        raise _refused("it names neither a key nor a certificate, or both")
    name, digest = _signed_file(_decode(bundle.dsse_envelope.payload, "the payload"))
    _decode(bundle.dsse_envelope.signatures[0].sig, "the signature")
    return SignatureBundle(
        digest=hashlib.sha256(content).hexdigest(),
        canonical=bundle.model_dump_json(by_alias=True, exclude_none=True).encode(),
        signed_name=name,
        signed_digest=digest,
        key_fingerprint=material.public_key.hint if material.public_key else None,
        certificates=tuple(_decode(item.raw_bytes, "a certificate") for item in chain.certificates)
        if chain
        else (),
    )


def _signed_file(payload: bytes) -> tuple[str, str]:
    """Name and SHA-256 of the one file that the statement is about."""
    try:
        statement = _Statement.model_validate(_json(payload))
    except ValidationError as error:
        raise _refused(f"its payload: {_first_problem(error)}") from error
    if (statement.statement_type, statement.predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise _refused(f"its payload is a {statement.predicate_type}, not a {PREDICATE_TYPE}")
    resources = statement.predicate.resources
    if len(resources) != 1:
        raise _refused(f"it signs a folder of {len(resources)} files or pieces, not this one file")
    only = resources[0]
    is_digest = len(only.digest) == 64 and set(only.digest) <= set("0123456789abcdef")
    if statement.predicate.serialization.method != "files" or only.algorithm != "sha256" or not is_digest:
        raise _refused(f"it signs {only.algorithm} of the file, not the SHA-256 of the whole file")
    return only.name, only.digest


def _json(content: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _refused("it is not JSON") from error
    if not isinstance(value, dict):
        raise _refused("it is not a JSON object")
    return cast("dict[str, Any]", value)


def _is_keyless(raw: dict[str, Any]) -> bool:
    material = raw.get("verificationMaterial")
    if not isinstance(material, dict):
        return False
    fields = cast("dict[str, object]", material)
    return bool(fields.get("certificate") or fields.get("tlogEntries"))


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _refused(f"{what} is not base64") from error


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'it'}: {first['msg']}"


def _refused(what: str) -> InvalidInput:
    return InvalidInput(
        f"This is no usable signature of a model file: {what}.", remedy=HOW_TO_SIGN, field="signature"
    )
