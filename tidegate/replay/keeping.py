"""From a sampled request to a sealed row: redacted by the policy of its service, sealed, bounded in number and age."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol, cast

from tidegate.domain import ServiceRef
from tidegate.domain.policy import CapturePolicy
from tidegate.replay.redaction import redact
from tidegate.replay.sealing import Sealer


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
    def forget_captured(self, ref: ServiceRef) -> int: ...


@dataclass(frozen=True)
class Keeper:
    """`sealer_of` gives the sealer of an organization. What is not listed in `policies` is not kept."""

    ledger: Captures
    policies: Mapping[ServiceRef, CapturePolicy]
    sealer_of: Callable[[str], Sealer]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex
    _sealers: dict[str, Sealer] = field(default_factory=dict[str, Sealer])

    def keep(self, ref: ServiceRef, body: bytes) -> bool:
        """Keep one request, if it may be kept. Raises what the ledger raises."""
        policy = self.policies.get(ref)
        request = None if policy is None or policy.percent <= 0 else _read(body)
        kept = redact(request, policy) if request is not None and policy is not None else None
        if kept is None or policy is None:
            return False
        now, name = self.clock(), self.new_id()
        sealed = self._sealer(ref.org).seal(json.dumps(kept).encode(), ref, name)
        row = SealedRequest(name, now, now + timedelta(hours=policy.keep_hours), sealed)
        self.ledger.record_captured(ref, [row], keep=policy.keep)
        return True

    def _sealer(self, org: str) -> Sealer:
        if org not in self._sealers:
            self._sealers[org] = self.sealer_of(org)
        return self._sealers[org]


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
