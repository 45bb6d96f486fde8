"""The only module that talks to model-signing. Importing it costs a second and needs the extra `provenance`.

model-signing hashes the file that it verifies; here it is given the digest by which the store knows the file,
so a verification takes the same time for every size. It asks no network.

Three habits of model-signing 1.1 are not ours, and are guarded against here: it judges a certificate at the
moment from which it is valid, so that an expired one passes for ever; it takes the operating system's web
authorities when it is given no authority; and it takes certificates of web servers for signing.
"""

# pyright: reportUnknownMemberType=false
# (model-signing leaves the kind of its path alias open, so every method that takes a path is "partially unknown")
import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from model_signing import hashing, manifest, verifying

# The only name without a public home that is needed; pyproject.toml holds model-signing below 2.
from model_signing._hashing.hashing import Digest
from OpenSSL import crypto

from tidegate.domain import InvalidInput, Provenance, TrustedCertificate, TrustedKey
from tidegate.validation.signature_bundle import SignatureBundle
from tidegate.validation.signatures import CheckedSignature, SignatureState

State = SignatureState
AnyPath = str | bytes | os.PathLike[Any]
CURVES = frozenset({"secp256r1", "secp384r1", "secp521r1"})
NOT_YET_VALID, HAS_EXPIRED = 9, 10

# What reading a certificate that somebody damaged on purpose raises; several are no ValueError.
CERTIFICATE_FAILURES = (
    *(ValueError, TypeError, UnsupportedAlgorithm, crypto.Error),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
# model-signing documents ValueError alone; what it does not foresee comes through as these.
LIBRARY_FAILURES = (
    *CERTIFICATE_FAILURES,
    *(KeyError, IndexError, AttributeError, InvalidSignature, crypto.X509StoreContextError),
)


def verify_signature(
    bundle: SignatureBundle, digest: str, trust: Provenance, now: datetime
) -> CheckedSignature:
    """Does somebody trusted vouch for exactly this digest?

    Raises: InvalidInput, when a trusted key or certificate is itself no such thing.
    """
    if bundle.signed_digest != digest:
        return CheckedSignature.of(
            bundle, State.OTHER_FILE, f"it is for another file, {bundle.signed_digest[:12]}"
        )
    if bundle.key_fingerprint is not None:
        return _verify_by_key(bundle, digest, trust)
    return _verify_by_certificate(bundle, digest, trust, now)


def _verify_by_key(bundle: SignatureBundle, digest: str, trust: Provenance) -> CheckedSignature:
    if bundle.key_fingerprint in trust.revoked_keys:
        return CheckedSignature.of(bundle, State.REVOKED, "its key was revoked")
    for key in trust.trusted_keys:
        if _fingerprint_of(key) == bundle.key_fingerprint:
            verifier = verifying.Config().use_elliptic_key_verifier(public_key=key.path)
            return _ask_library(verifier, bundle, digest, key.name)
    return CheckedSignature.of(bundle, State.UNKNOWN_SIGNER, "its key is not among the trusted keys")


def _fingerprint_of(key: TrustedKey) -> str:
    try:
        public_key = load_pem_public_key(Path(key.path).read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _bad_trust("key", key.path, str(error)) from error
    if not isinstance(public_key, EllipticCurvePublicKey) or public_key.curve.name not in CURVES:
        raise _bad_trust("key", key.path, "it is no elliptic-curve key on P-256, P-384 or P-521")
    return _fingerprint(public_key)


def _fingerprint(key: CertificatePublicKeyTypes) -> str:
    """As model-signing computes it: SHA-256 of the PEM text in its standard form.

    Certificates are known by their key too. Their own fingerprint covers an ECDSA signature, of which anybody
    can make a second valid form: a revocation by it would be evaded.
    """
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _verify_by_certificate(
    bundle: SignatureBundle, digest: str, trust: Provenance, now: datetime
) -> CheckedSignature:
    try:
        chain = [x509.load_der_x509_certificate(raw) for raw in bundle.certificates]
        key = chain[0].public_key()
        if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in CURVES:
            why = "its certificate has no key on P-256, P-384 or P-521"
            return CheckedSignature.of(bundle, State.UNSUITABLE, why)
        if any(_fingerprint(link.public_key()) in trust.revoked_keys for link in chain):
            why = "the key of its certificate, or of one above it, was revoked"
            checked = CheckedSignature.of(bundle, State.REVOKED, why)
        elif not _may_sign_code(chain[0]):
            checked = CheckedSignature.of(bundle, State.UNSUITABLE, "its certificate is not for code signing")
        else:
            checked = _verify_by_authority(bundle, digest, trust, chain, now)
        return replace(checked, signer=_fingerprint(key))
    except CERTIFICATE_FAILURES as error:
        return CheckedSignature.of(bundle, State.MALFORMED, f"its certificate cannot be read: {error}")


@dataclass(frozen=True)
class _Refusal:
    state: SignatureState
    why: str


def _verify_by_authority(
    bundle: SignatureBundle, digest: str, trust: Provenance, chain: list[x509.Certificate], now: datetime
) -> CheckedSignature:
    refusal = _Refusal(State.UNKNOWN_SIGNER, "no certificate authority is trusted")
    for authority in trust.trusted_certificates:
        doubt = _why_untrusted(authority, chain, now)
        if doubt is None:
            verifier = verifying.Config().use_certificate_verifier(certificate_chain=[authority.path])
            return _ask_library(verifier, bundle, digest, authority.name)
        if refusal.state is not State.EXPIRED:
            refusal = doubt
    return CheckedSignature.of(bundle, refusal.state, refusal.why)


def _may_sign_code(leaf: x509.Certificate) -> bool:
    """Both extensions are wanted: an authority that also serves web servers must not make signers of them."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return usage.digital_signature and ExtendedKeyUsageOID.CODE_SIGNING in purposes


def _why_untrusted(
    authority: TrustedCertificate, chain: list[x509.Certificate], now: datetime
) -> _Refusal | None:
    """The whole chain must hold now: there is no trusted time stamp that could prove an earlier moment."""
    subject = chain[0].subject.rfc4514_string()
    if authority.subjects and subject not in authority.subjects:
        return _Refusal(State.UNKNOWN_SIGNER, f"'{subject}' is not among the subjects of {authority.name}")
    store = _store_of(authority)
    store.set_time(now.astimezone(UTC))
    leaf, *others = (crypto.X509.from_cryptography(certificate) for certificate in chain)
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        is_a_matter_of_time = error.errors[0] in (NOT_YET_VALID, HAS_EXPIRED)
        state = State.EXPIRED if is_a_matter_of_time else State.UNKNOWN_SIGNER
        return _Refusal(state, f"{authority.name} does not vouch for '{subject}': {error}")
    return None


def _store_of(authority: TrustedCertificate) -> crypto.X509Store:
    store = crypto.X509Store()
    try:
        for certificate in x509.load_pem_x509_certificates(Path(authority.path).read_bytes()):
            store.add_cert(crypto.X509.from_cryptography(certificate))
    except (OSError, *CERTIFICATE_FAILURES) as error:
        raise _bad_trust("certificate", authority.path, str(error)) from error
    return store


class _KnownDigest(hashing.Config):
    """A hashing configuration that hashes nothing: the store computed the file's digest when it took it in."""

    def __init__(self, bundle: SignatureBundle, digest: str):
        super().__init__()
        kind = manifest.SerializationType.from_args(
            {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
        )
        item = kind.new_item(bundle.signed_name, Digest("sha256", bytes.fromhex(digest)))
        self._known = manifest.Manifest(bundle.signed_name, [item], kind)

    def hash(
        self, model_path: AnyPath, *, files_to_hash: Iterable[AnyPath] | None = None
    ) -> manifest.Manifest:
        return self._known


def _ask_library(
    verifier: verifying.Config, bundle: SignatureBundle, digest: str, publisher: str
) -> CheckedSignature:
    """Signature and payload are model-signing's to judge; the digest that it compares is the store's."""
    with tempfile.TemporaryDirectory(prefix="tidegate-signature-") as folder:
        path = Path(folder) / "bundle.json"
        path.write_bytes(bundle.canonical)
        try:
            verifier.set_hashing_config(_KnownDigest(bundle, digest)).verify(Path(folder), path)
        except LIBRARY_FAILURES as error:
            why = f"it does not verify with the key of {publisher} ({type(error).__name__})"
            return CheckedSignature.of(bundle, State.INVALID, why)
    return CheckedSignature.of(bundle, State.VALID, f"signed by {publisher}", publisher)


def _bad_trust(kind: str, path: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"The trusted {kind} {path} cannot be used: {what}.",
        remedy=f"Replace it with the publisher's {kind} in PEM form, or remove its entry from "
        f"provenance.trusted_{kind}s.",
        file=path,
        field=f"provenance.trusted_{kind}s",
    )
