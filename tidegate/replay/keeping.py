"""From a sampled request to a sealed row: redacted by the policy of its service, sealed, bounded in number and age."""

import json
import math
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, cast

from tidegate.domain import Organization, Secret, ServiceRef
from tidegate.domain.policy import CapturePolicy
from tidegate.replay.redaction import redact
from tidegate.replay.sealing import Sealer

REREAD_S = 5.0
Policies = Callable[[], Mapping[ServiceRef, CapturePolicy]]


class SealedRequest(NamedTuple):
    """One sampled request as the ledger keeps it."""

    id: str
    at: datetime
    expires_at: datetime
    sealed: bytes


class Captures(Protocol):
    """The part of the ledger that keeps sampled requests."""

    def record_captured(self, ref: ServiceRef, requests: Sequence[Any], *, keep: int) -> None: ...
    def captured(self, ref: ServiceRef, limit: int = 1000) -> Sequence[Any]: ...
    def forget_captured(self, ref: ServiceRef, *, actor: str = "") -> int: ...


class CurrentPolicies:
    """Policies as their files say now, read again after a few seconds: who takes the consent back is obeyed while the
    gateway goes on sending copies. Raises what reading raises, and then nothing is kept."""

    def __init__(self, read: Policies, monotonic: Callable[[], float] = time.monotonic):
        self._read = read
        self._monotonic = monotonic
        self._read_at = -math.inf
        self._known: Mapping[ServiceRef, CapturePolicy] = {}

    def __call__(self) -> Mapping[ServiceRef, CapturePolicy]:
        if self._monotonic() - self._read_at >= REREAD_S:
            self._known = self._read()
            self._read_at = self._monotonic()
        return self._known


@dataclass(frozen=True)
class Keeper:
    """`secret_of` gives the secret that an organization's requests are sealed with. What `policies` does not list, at the
    moment of keeping, is not kept."""

    ledger: Captures
    policies: Policies
    secret_of: Callable[[str], Secret]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex
    _sealers: dict[str, Sealer] = field(default_factory=dict[str, Sealer])

    def keep(self, copies: Sequence[tuple[ServiceRef, bytes]]) -> int:
        """Keep those that may be kept; returns how many. Raises what the ledger raises."""
        rows: dict[ServiceRef, list[SealedRequest]] = {}
        policies = self.policies()
        for ref, body in copies:
            row = self._row(ref, body, policies.get(ref))
            if row is not None:
                rows.setdefault(ref, []).append(row)
        for ref, own in rows.items():
            self.ledger.record_captured(ref, own, keep=policies[ref].keep)
        return sum(map(len, rows.values()))

    def _row(self, ref: ServiceRef, body: bytes, policy: CapturePolicy | None) -> SealedRequest | None:
        request = None if policy is None or policy.percent <= 0 else _read(body)
        kept = redact(request, policy) if request is not None and policy is not None else None
        if kept is None or policy is None:
            return None
        now, name = self.clock(), self.new_id()
        sealed = self._sealer(ref.org).seal(json.dumps(kept).encode(), ref, name)
        return SealedRequest(name, now, now + timedelta(hours=policy.keep_hours), sealed)

    def _sealer(self, org: str) -> Sealer:
        if org not in self._sealers:
            self._sealers[org] = Sealer(self.secret_of(org))
        return self._sealers[org]


def capture_policies(organizations: Iterable[Organization]) -> dict[ServiceRef, CapturePolicy]:
    """Services that want requests to be sampled, and how."""
    return {
        ServiceRef(org.name, name): service.policy.replay.capture
        for org in organizations
        for name, service in org.services.items()
        if service.policy.replay.capture.percent > 0
    }


def open_requests(ledger: Captures, sealer: Sealer, ref: ServiceRef, limit: int) -> list[dict[str, Any]]:
    """The newest sampled requests of a service, oldest first. Raises: Refused for one that another key sealed."""
    return [
        cast("dict[str, Any]", json.loads(sealer.open(row.sealed, ref, row.id)))
        for row in ledger.captured(ref, limit)
    ]


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
