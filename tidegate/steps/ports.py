"""Everything a step needs from outside, in one value that `wiring` builds once per process."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from tidegate.domain import (
    Action,
    ApiKey,
    Measurement,
    MeasurementKind,
    NotFound,
    Organization,
    Release,
    RequestProof,
    Secret,
    ServiceConfig,
    ServiceRef,
)
from tidegate.domain.audit import Interface
from tidegate.domain.error_tracking import FORGET, NoteError
from tidegate.domain.events import Event
from tidegate.domain.standing import Finding, Hold, Quarantined
from tidegate.domain.totals import Gain
from tidegate.platforms.protocol import Bills, Platform
from tidegate.release import Controller, Step
from tidegate.release.ports import Checks, Ledger
from tidegate.settings import Settings

GpuWork = Literal["inference", "quality", "nightly", "compare"]


class ReleaseLedger(Ledger, Protocol):
    """The ledger with what only steps and the composition use: baselines, cached results, keys of clients, spent
    request tokens."""

    def record_baseline(self, ref: ServiceRef, kind: str, digest: str, data: dict[str, Any]) -> None: ...
    def baseline(self, ref: ServiceRef, kind: str) -> dict[str, Any] | None: ...
    def baseline_history(self, ref: ServiceRef, kind: str, limit: int = 50) -> list[dict[str, Any]]: ...
    def record_result(self, kind: str, key: str, data: dict[str, Any]) -> None: ...
    def result(self, kind: str, key: str) -> dict[str, Any] | None: ...
    def record_measurement(self, measured: Measurement) -> Measurement: ...
    def measurement(self, id_or_prefix: str, *, kind: MeasurementKind | None = None) -> Measurement: ...
    def measurements(
        self,
        *,
        kind: MeasurementKind | None = None,
        org: str | None = None,
        service: str | None = None,
        digest: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[Measurement]: ...
    def active_release(self, ref: ServiceRef) -> Release | None: ...
    def live_api_keys(self) -> list[ApiKey]: ...
    def register_api_key(self, org: str, name: str, digest: str, *, created_by: str) -> None: ...
    def find_active(self, key: str) -> Release | None: ...
    def sets_since(self, org: str, at: datetime) -> list[tuple[str, datetime | None]]: ...
    def releases_since(self, org: str, at: datetime) -> list[Release]: ...
    def record_captured(self, ref: ServiceRef, requests: Sequence[Any], *, keep: int) -> None: ...
    def captured(self, ref: ServiceRef, limit: int = 1000) -> Sequence[Any]: ...
    def forget_captured(self, ref: ServiceRef, *, actor: str = "") -> int: ...
    def wanted_of_gateway(self, gateway: str) -> str | None: ...
    def spend(self, proof: RequestProof, release_id: str) -> None: ...
    def proofs(self, release_id: str, action: Action | None = None) -> list[RequestProof]: ...
    def note_finding(
        self,
        kind: str,
        subject: str,
        summary: str,
        *,
        remedy: str = "",
        ref: ServiceRef | None = None,
        data: dict[str, Any] | None = None,
    ) -> Finding: ...
    def resolve_finding(self, kind: str, subject: str) -> None: ...
    def record_events(self, events: Sequence[Event]) -> None: ...
    def findings(self, *, only_open: bool = True) -> list[Finding]: ...
    def quarantined(self, org: str, digest: str) -> Quarantined | None: ...
    def list_quarantine(self, org: str | None = None, *, lifted: bool = False) -> list[Quarantined]: ...
    def lift_quarantine(self, org: str, digest: str, *, actor: str, reason: str) -> Quarantined: ...
    def note_tensors(self, org: str, digest: str, tensor_digest: str) -> None: ...
    def add_totals(self, gains: Sequence[Gain]) -> None: ...
    def note_last(self, metric: str, labels: tuple[str, ...], value: float) -> None: ...
    def hold_of(self, ref: ServiceRef) -> Hold | None: ...
    def list_holds(self, ref: ServiceRef | None = None, *, lifted: bool = False) -> list[Hold]: ...
    def note_deed(
        self,
        action: str,
        *,
        actor: str,
        org: str | None = None,
        ref: ServiceRef | None = None,
        release_id: str | None = None,
        subject: str = "",
        reason: str = "",
        evidence: Mapping[str, Any] | None = None,
        interface: Interface | None = None,
    ) -> None: ...
    def note_configuration(self, org: str, digest: str, *, actor: str, parts: Mapping[str, str]) -> bool: ...
    def lift_hold(self, ref: ServiceRef, *, actor: str, reason: str) -> Hold | None: ...


class ArtifactStore(Protocol):
    """Content-addressed artifacts."""

    def add(self, path: Path) -> "StoredFile": ...
    def path_of(self, digest: str) -> str | None: ...
    def verify(self, digest: str) -> bool: ...
    def add_signature(self, digest: str, bundle: bytes) -> None: ...
    def signatures(self, digest: str) -> list[bytes]: ...


class StoredFile(Protocol):
    @property
    def digest(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def path(self) -> str: ...


class Secrets(Protocol):
    """Secrets by reference."""

    def get(self, reference: str) -> Secret | None: ...
    def ensure(self, reference: str) -> Secret: ...
    def replace(self, name: str, value: Secret) -> None: ...


class GpuRunner(Protocol):
    """Where work that loads a model on an accelerator is done: another pool, or here."""

    def start(self, work: GpuWork, subject: str, attempt: str = "0") -> "GpuJob":
        """Begin the work, or find the same attempt of it that was begun before."""
        ...


class GpuJob(Protocol):
    def wait(self) -> dict[str, Any]:
        """The result, as `evaluation.evaluate` returns it. Raises: Transient when the work was lost."""
        ...


@dataclass
class Ports:
    """The composition: `wiring.load()` fills it with real adapters, tests with faulty ones."""

    settings: Settings
    ledger: ReleaseLedger
    store: ArtifactStore
    organizations: Mapping[str, Organization]
    platforms: Mapping[str, Platform]
    secrets: Secrets
    gateway_url: Callable[[], str]
    bills: Mapping[str, Bills] = field(default_factory=dict[str, Bills])
    """The platforms that cost money."""
    gpu: GpuRunner | None = None
    make_checks: Callable[[], Checks] | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    on_step: Callable[[Release, Step], None] = lambda release, step: None
    note_error: NoteError = FORGET
    """Keeps what ended something; `domain.error_tracking` says how it is told."""

    def organization(self, name: str) -> Organization:
        """Raises: NotFound, naming the organizations that exist."""
        if name not in self.organizations:
            raise NotFound(
                f"There is no organization '{name}'.",
                remedy=f"Use one of: {', '.join(sorted(self.organizations)) or '(none is configured)'}.",
                field="org",
            )
        return self.organizations[name]

    def service(self, ref: ServiceRef) -> ServiceConfig:
        """Raises: NotFound."""
        return self.organization(ref.org).service(ref)

    def platform(self, ref: ServiceRef) -> Platform:
        """The platform of a service. Raises: NotFound."""
        name = self.service(ref).platform
        if name not in self.platforms:
            raise NotFound(
                f"Platform '{name}' of {ref} is not available here.",
                remedy=f"Set the service's platform to one of: {', '.join(sorted(self.platforms))}.",
                field="platform",
            )
        return self.platforms[name]

    def controller(self, ref: ServiceRef) -> Controller:
        """The controller of one service's releases, as this process."""
        assert self.make_checks is not None, "wiring.load() always sets it"
        return Controller(
            ledger=self.ledger,
            platform=self.platform(ref),
            checks=self.make_checks(),
            service=self.service(ref),
            owner=self.owner,
            clock=self.clock,
            on_step=self.on_step,
        )
