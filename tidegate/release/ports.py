"""What the controller of a release needs from outside, as small protocols.

The ledger room implements `Journal`, `Registry` and `Router`; platforms implement `Platform`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from tidegate.domain import (
    Evidence,
    Gate,
    GatewayStatus,
    JournalEntry,
    LiveBatch,
    ModelVersion,
    Plan,
    Release,
    ReleaseRequest,
    ReleaseState,
    RequestProof,
    Route,
    ServiceRef,
    SetSpec,
    SetStatus,
    TrafficCounts,
)
from tidegate.domain.live import SLICES
from tidegate.domain.release import EntryKind
from tidegate.domain.standing import Hold

LEFT = "left"
"""Recorded state of a set that reconcile removes, once no silent gateway can send to it any more."""


class Registry(Protocol):
    """Model versions, aliases, quarantine."""

    def register_version(self, version: ModelVersion, *, actor: str = "") -> ModelVersion:
        """Store it. Same org, name, version and digest: returns the stored one.
        Raises: Refused when that name and version exist with another digest (versions are immutable)."""
        ...

    def get_version(self, org: str, name: str, version: str) -> ModelVersion:
        """`version` may be `latest` (newest registered). Raises: NotFound."""
        ...

    def version_by_digest(self, org: str, digest: str) -> ModelVersion | None: ...

    def list_versions(self, org: str | None = None) -> list[ModelVersion]: ...

    def get_alias(self, ref: ServiceRef, alias: str) -> ModelVersion | None:
        """The version behind `champion`, `candidate` or `previous` of a service."""
        ...

    def set_alias(
        self,
        ref: ServiceRef,
        alias: str,
        version: ModelVersion | None,
        *,
        actor: str,
        reason: str,
        epoch: int,
    ) -> None:
        """Move (or, with None, remove) an alias and append it to its history. Raises: Fenced for a lower epoch."""
        ...

    def alias_history(self, ref: ServiceRef) -> list[dict[str, Any]]: ...

    def quarantine(
        self,
        org: str,
        digest: str,
        *,
        reason: str,
        release_id: str,
        tensor_digest: str | None = None,
        epoch: int | None = None,
        actor: str = "",
    ) -> None:
        """Forbid the digest, and files of the same tensors. Raises: Fenced for an `epoch` that does not own the release."""
        ...

    def quarantine_reason(self, org: str, digest: str) -> str | None: ...

    def hold_service(
        self,
        ref: ServiceRef,
        *,
        reason: str,
        actor: str,
        release_id: str | None = None,
        epoch: int | None = None,
    ) -> Hold:
        """Let nothing be released to it by itself. One that stands already is returned.
        Raises: Fenced for an `epoch` that does not own the release."""
        ...


class Journal(Protocol):
    """Releases, their journal and evidence, and the lock on a service. The controller's only memory."""

    def request_release(
        self, request: ReleaseRequest, digest: str, *, key: str, proof: RequestProof | None = None
    ) -> Release:
        """Create it in REQUESTED (first journal row included), or return the one that already has `key` and
        is not over. One transaction, in which the request's `proof` is spent; two callers at once get the same
        release. Raises: Refused for a proof that was spent on another release, or on one that is over."""
        ...

    def get_release(self, release_id: str) -> Release:
        """Raises: NotFound."""
        ...

    def list_releases(
        self, *, ref: ServiceRef | None = None, only_active: bool = False, limit: int = 50
    ) -> list[Release]:
        """Newest first."""
        ...

    def acquire_lock(self, ref: ServiceRef, release_id: str) -> int | None:
        """Take the service for this release and return a new, higher epoch; the same release asking again gets a
        new epoch too (its former owner is fenced off). None while another release that is not over holds it."""
        ...

    def release_lock(self, ref: ServiceRef, release_id: str, epoch: int) -> None:
        """No error when it is not held; the epoch counter never falls."""
        ...

    def current_epoch(self, ref: ServiceRef) -> int: ...

    def append(
        self,
        release_id: str,
        epoch: int,
        kind: EntryKind,
        name: str,
        data: dict[str, Any] | None = None,
        *,
        plan: Plan | None = None,
    ) -> JournalEntry:
        """Append one row. `entered` also sets the release's state (to `name`), reason (`data["reason"]`) and, when
        given, its plan, in the same transaction. `abort` needs no valid epoch.
        Raises: Fenced when `epoch` is not the service's current one."""
        ...

    def entries(self, release_id: str) -> list[JournalEntry]: ...

    def add_evidence(
        self,
        release_id: str | None,
        rows: Sequence[Evidence],
        *,
        digest: str,
        policy_digest: str,
        epoch: int | None = None,
    ) -> None:
        """Store rows; a row of the same release, gate and check replaces the former in later reads.
        Raises: Fenced when `epoch` is given and is not the one that owns the release."""
        ...

    def evidence(self, release_id: str, gate: Gate | None = None) -> list[Evidence]:
        """Latest row of each (gate, check), in the order of storing."""
        ...

    def heartbeat(self, release_id: str, owner: str, epoch: int = 0) -> None:
        """Say who drives it, and that it lives. Raises: Fenced for an `epoch` that another owner replaced."""
        ...

    def record_set(self, spec: SetSpec, *, platform: str, epoch: int, state: str) -> None:
        """Remember a set and its spec (upsert by name). Raises: Fenced, Refused for a name of another service."""
        ...

    def get_set(self, name: str) -> tuple[SetSpec, str] | None:
        """Spec and recorded state of a set."""
        ...

    def list_sets(self, ref: ServiceRef | None = None) -> list[tuple[SetSpec, str]]:
        """Recorded sets that are not deleted, oldest first."""
        ...


class Router(Protocol):
    """Wanted traffic (written fenced) and what gateways confirmed. Gateways read it; nobody edits Envoy's files."""

    def get_route(self, ref: ServiceRef) -> Route | None: ...

    def put_route(self, route: Route, *, epoch: int, expected_generation: int | None = None) -> int:
        """Store wanted upstreams and weights as a new generation, higher than every earlier one of any service,
        and return it. The same content again returns the present generation. With `expected_generation`
        nothing is written, and the present generation returned, when somebody else wrote meanwhile.
        Raises: Fenced, Refused for a set of another service."""
        ...

    def list_routes(self) -> list[Route]: ...

    def generation(self) -> int:
        """Highest generation of all services: what a gateway must reach to be up to date."""
        ...

    def report_gateway(self, status: GatewayStatus) -> None: ...

    def gateways(self) -> list[GatewayStatus]: ...

    def record_counts(self, gateway: str, counts: Sequence[TrafficCounts]) -> None:
        """Store cumulative counts by set as sampled at one gateway; old samples are pruned."""
        ...

    def record_live(self, batches: Sequence[LiveBatch]) -> None:
        """Store what gateways measured; a batch that is there already stays as it is."""
        ...

    def live(
        self,
        set_name: str,
        since: datetime,
        until: datetime | None = None,
        *,
        slices: Collection[str] = SLICES,
    ) -> list[LiveBatch]:
        """What clients got from a set, in order of time."""
        ...

    def counts(self, set_name: str, at: datetime | None = None) -> TrafficCounts | None:
        """Sum over gateways of the newest sample (not newer than `at`) of each."""
        ...


class Ledger(Journal, Registry, Router, Protocol):
    """The one database behind the three protocols."""

    def set_state(self, name: str, state: str, *, epoch: int) -> None: ...


class SetPlatform(Protocol):
    """The part of `platforms.protocol.Platform` that a release needs."""

    name: str

    def create(self, spec: SetSpec) -> SetStatus: ...
    def start(self, name: str) -> SetStatus: ...
    def status(self, name: str) -> SetStatus: ...
    def delete(self, name: str) -> None: ...
    def price_per_hour_usd(self, spec: SetSpec) -> float: ...


class Checks(Protocol):
    """Runs checks and returns their rows. A failed check is a row; raises Transient when it could not be run."""

    @property
    def required(self) -> Mapping[Gate, frozenset[str]]:
        """Checks without which a gate is not judged."""
        ...

    def run(self, gates: Sequence[Gate], release: Release) -> list[Evidence]: ...

    def send_probes(self, release: Release, sets: Sequence[str], count: int) -> int:
        """Send so many probe requests to each of these sets through a gateway, in turns, so that they can be compared;
        returns how many the first one answered. Gateways measure them apart from clients'."""
        ...

    def prove_identity(self, release: Release, sets: Sequence[str]) -> dict[str, Any]:
        """Ask every worker of these sets which file it serves: `proven` names of sets, `failed` set -> what it
        serves instead, `open` set -> why it could not be asked."""
        ...

    def switch_under_streams(self, release: Release, switch: Callable[[], None]) -> dict[str, Any]:
        """Make the switch while streams of our own run: `seconds` until every gateway had it, `streams`, `lost`,
        `truncated`. Returns after the last of them ended."""
        ...

    def spent_usd(self, release: Release) -> float:
        """What the sets of this release have cost so far."""
        ...


__all__ = ["LEFT", "Checks", "Journal", "Ledger", "Registry", "ReleaseState", "Router", "SetPlatform"]
