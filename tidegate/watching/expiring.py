"""Sees what expires: client keys, keys that sign requests and are being replaced, trusted certificates."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tidegate.access import request_keys_name
from tidegate.access.request_keys import RequestKeys
from tidegate.domain import Organization
from tidegate.ledger import Ledger
from tidegate.observability.health.judging import Expiring
from tidegate.steps.ports import Ports

CERTIFICATE = "certificate"


def expiring(ports: Ports, ledger: Ledger) -> tuple[list[Expiring], int]:
    """What has an end, and how many were looked at. The former keys of a rotation end on purpose and are not told.

    Raises: NeedsOperator, OSError, ValueError where one cannot be read: then nobody knows.
    """
    keys = ledger.live_api_keys()
    newest = {(key.org, key.name): key for key in sorted(keys, key=lambda key: key.created_at)}
    found = [
        Expiring(key.org, "client_key", key.name, key.expires_at)
        for key in newest.values()
        if key.expires_at is not None
    ]
    looked_at = len(newest)
    for org in ports.organizations.values():
        stored = ports.secrets.get(request_keys_name(org.name))
        looked_at += 1 if stored is not None and RequestKeys.parse(stored).present else 0
        certificates = list(_certificates(org))
        looked_at += len(certificates)
        found += [Expiring(org.name, CERTIFICATE, name, at) for name, at in certificates]
    return found, looked_at


def _certificates(org: Organization) -> Iterator[tuple[str, datetime]]:
    """The first end of each chain: a chain is as good as its weakest certificate."""
    for one in org.provenance.trusted_certificates:
        # Seldom needed, and slow to import.
        from cryptography import x509

        chain = x509.load_pem_x509_certificates(Path(one.path).read_bytes())
        yield one.name, min(certificate.not_valid_after_utc for certificate in chain)
