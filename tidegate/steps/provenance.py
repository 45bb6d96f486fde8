"""Signatures of model versions: taken in at registration, judged when a release or a person asks."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from tidegate.domain import Evidence, InvalidInput, ModelVersion
from tidegate.steps.ports import Ports
from tidegate.validation import ProvenanceFindings, check_signatures, judge_provenance, parse_bundle
from tidegate.validation.signature_bundle import MAX_BUNDLE_BYTES


def check_provenance(ports: Ports, org: str, digest: str) -> Evidence:
    """The row of the authorization gate: who vouches for this digest, by the organization's trust today."""
    return judge_provenance(_findings(ports, org, digest), ports.organization(org).provenance)


def publishers_of(ports: Ports, org: str, digest: str) -> tuple[str, ...]:
    """Names of the trusted publishers whose signatures of this digest are valid now, for rules by publisher."""
    return _findings(ports, org, digest).publishers


def _findings(ports: Ports, org: str, digest: str) -> ProvenanceFindings:
    trust = ports.organization(org).provenance
    return check_signatures(ports.store.signatures(digest), digest, trust, ports.clock())


def attach_signatures(ports: Ports, version: ModelVersion, paths: Sequence[Path]) -> Evidence:
    """Keep more signatures of a registered version, and say who vouches for it then.

    Raises: InvalidInput, NotFound.
    """
    keep_signatures(ports, version.digest, read_signatures(paths))
    return check_provenance(ports, version.org, version.digest)


def read_signatures(paths: Sequence[Path]) -> dict[Path, bytes]:
    """Contents of signature files, each of a readable shape.

    Raises: InvalidInput.
    """
    return {path: _read(path) for path in paths}


def keep_signatures(ports: Ports, digest: str, signatures: dict[Path, bytes]) -> None:
    """Store them beside the artifact. Whether they prove anything is judged when it matters: trust may change.

    Raises: InvalidInput, when one was made for another file.
    """
    for path, content in signatures.items():
        signed = parse_bundle(content).signed_digest
        if signed != digest:
            raise InvalidInput(
                f"{path} signs another file: {signed[:12]}, not {digest[:12]}.",
                remedy="Give the signature of this very file; an export made twice has two digests.",
                field="signature",
            )
    for content in signatures.values():
        ports.store.add_signature(digest, content)


def _read(path: Path) -> bytes:
    """A bundle is a few kilobytes of JSON; nothing else is read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            content = stream.read(MAX_BUNDLE_BYTES + 1) if is_file else b""
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The signature {str(path)!r} cannot be read: {error}.",
            remedy="Name the file that model_signing wrote (--signature).",
            field="signature",
        ) from error
    try:
        parse_bundle(content)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}", remedy=error.remedy, field="signature") from error
    return content
