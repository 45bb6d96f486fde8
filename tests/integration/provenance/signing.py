"""Signs as a training job does: model-signing's own API, with keys and certificates made for the test."""

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from model_signing import hashing, signing

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SIGNING, SERVING = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH
EcKey = ec.EllipticCurvePrivateKey


def write_private(key: EcKey, path: Path) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def write_certificate(certificate: x509.Certificate, path: Path) -> Path:
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    return path


def fingerprint(key: EcKey) -> str:
    """As `openssl x509 -pubkey -noout -in CERTIFICATE | sha256sum` prints it."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


class KeySigner:
    """Somebody with a private key; `public` is what an organization may trust."""

    def __init__(self, folder: Path, curve: ec.EllipticCurve | None = None):
        key = ec.generate_private_key(curve or ec.SECP256R1())
        self.folder = folder
        self.fingerprint = fingerprint(key)
        self.private = write_private(key, folder / "signer.pem")
        self.public = folder / "signer.pub"
        self.public.write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        self._numbers = itertools.count()

    def sign(self, model: Path, how: hashing.Config | None = None) -> Path:
        target = self.folder / f"{model.name}.{next(self._numbers)}.sig"
        config = signing.Config().use_elliptic_key_signer(private_key=self.private)
        if how is not None:
            config.set_hashing_config(how)
        config.sign(model, target)
        return target


class Authority:
    """A certificate authority, at the root or below another."""

    def __init__(
        self, folder: Path, name: str, above: "Authority | None" = None, *, may_certify: bool = True
    ):
        self.folder = folder
        self.above = above
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.fingerprint = fingerprint(self._key)
        self.certificate = self._certify(name, self._key, above, is_authority=may_certify)
        self.file = write_certificate(self.certificate, folder / f"{name}.crt")
        self._numbers = itertools.count()

    def certify(
        self,
        subject: str,
        *,
        since: datetime = NOW - DAY,
        until: datetime = NOW + DAY,
        purpose: x509.ObjectIdentifier = SIGNING,
    ) -> "CertificateSigner":
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certify(subject, key, self, since=since, until=until, purpose=purpose)
        return CertificateSigner(self, key, certificate, f"{subject}-{next(self._numbers)}")

    def _certify(
        self,
        subject: str,
        key: EcKey,
        issuer: "Authority | None",
        *,
        since: datetime = NOW - 100 * DAY,
        until: datetime = NOW + 100 * DAY,
        purpose: x509.ObjectIdentifier = SIGNING,
        is_authority: bool = False,
    ) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer.certificate.subject if issuer else name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(_usage(is_authority), critical=True)
        )
        if not is_authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(issuer._key if issuer else key, hashes.SHA256())


class CertificateSigner:
    """Somebody with a certificate of an authority."""

    def __init__(self, issuer: Authority, key: EcKey, certificate: x509.Certificate, name: str):
        self.certificate = certificate
        self.fingerprint = fingerprint(key)
        self._issuer = issuer
        self._name = name
        self._private = write_private(key, issuer.folder / f"{name}.pem")
        self._file = write_certificate(certificate, issuer.folder / f"{name}.crt")

    def sign(self, model: Path) -> Path:
        target = self._issuer.folder / f"{model.name}.{self._name}.sig"
        signing.Config().use_certificate_signer(
            private_key=self._private,
            signing_certificate=self._file,
            certificate_chain=[self._issuer.file],
        ).sign(model, target)
        return target


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
