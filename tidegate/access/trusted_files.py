"""Finds the public keys and certificates that an organization trusts. What is private is refused, unread by others."""

import os
import stat
from pathlib import Path

from tidegate.domain import InvalidInput, Organization, Provenance, TrustedCertificate, TrustedKey

MAX_PEM_BYTES = 256 * 1024
KEY_MARK = "-----BEGIN PUBLIC KEY-----"
CERTIFICATE_MARK = "-----BEGIN CERTIFICATE-----"
PRIVATE_MARK = "PRIVATE KEY-----"


def locate_trusted_files(organization: Organization, file: Path) -> Organization:
    """The organization with every trusted file as an absolute path; `file` is its YAML, beside which they lie.

    Raises:
        InvalidInput: a file is missing, cannot be read, holds something else, or holds a private key.
    """
    provenance = organization.provenance
    located = Provenance(
        required=provenance.required,
        trusted_keys=tuple(
            TrustedKey(name=key.name, path=_locate(file, f"trusted_keys.{index}", key.path, KEY_MARK))
            for index, key in enumerate(provenance.trusted_keys)
        ),
        trusted_certificates=tuple(
            TrustedCertificate(
                name=authority.name,
                path=_locate(file, f"trusted_certificates.{index}", authority.path, CERTIFICATE_MARK),
                subjects=authority.subjects,
            )
            for index, authority in enumerate(provenance.trusted_certificates)
        ),
        revoked_keys=provenance.revoked_keys,
    )
    return organization.model_copy(update={"provenance": located})


def _locate(file: Path, entry: str, path: str, mark: str) -> str:
    field = f"provenance.{entry}.path"
    wanted = "public key" if mark == KEY_MARK else "certificate"
    target = (file.parent / path).absolute()
    text = _read_pem(target, file, field, wanted)
    if PRIVATE_MARK in text:
        raise InvalidInput(
            f"{file}: {field}: {target} holds a private key.",
            remedy="Remove it from this machine: only its owner may hold it. If others could read it, replace "
            f"the pair. Put the {wanted} in its place (openssl pkey -in KEY -pubout makes a public key).",
            file=file,
            field=field,
        )
    if mark not in text:
        raise InvalidInput(
            f"{file}: {field}: {target} holds no {wanted} in PEM form.",
            remedy=f"It must begin with {mark} (openssl pkey -in KEY -pubout makes a public key).",
            file=file,
            field=field,
        )
    return str(target)


def _read_pem(target: Path, file: Path, field: str, wanted: str) -> str:
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = stream.read(MAX_PEM_BYTES + 1) if is_file else b""
    except (OSError, ValueError) as error:
        what = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise InvalidInput(
            f"{file}: {field}: the {wanted} {target} cannot be read: {what}.",
            remedy=f"Put the publisher's {wanted} there, correct the path (it is relative to {file.parent}), "
            "or remove the entry to trust it no longer.",
            file=file,
            field=field,
        ) from error
    if not content or len(content) > MAX_PEM_BYTES:
        raise InvalidInput(
            f"{file}: {field}: {target} is no {wanted} file: it is empty, no regular file, or too large.",
            remedy=f"Name a PEM file of at most {MAX_PEM_BYTES // 1024} KiB.",
            file=file,
            field=field,
        )
    return content.decode("ascii", errors="replace")
