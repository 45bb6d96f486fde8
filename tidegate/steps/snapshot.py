"""How a service stands at one moment: what is wanted, what gateways and sets report. Read, never remembered."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.domain import GatewayStatus, ServiceRef, SetStatus, TidegateError
from tidegate.release.confirmation import GATEWAY_ALIVE_S
from tidegate.steps.ports import Ports


@dataclass(frozen=True)
class SetSeen:
    """One recorded set. `digest` is what the ledger says it serves, `reported` what its engine says."""

    name: str
    version: str
    digest: str
    reported: str | None
    state: str
    recorded: str
    weight: int | None
    """Percent of live traffic; None when no route names it."""

    @property
    def is_ready(self) -> bool:
        return self.state == "ready"


@dataclass(frozen=True)
class GatewaySeen:
    """One gateway. `has_it` is True when it confirmed the present weights."""

    name: str
    is_alive: bool
    has_it: bool
    healthy_sets: tuple[str, ...]
    routed_sets: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """Everything that a rollback may change, as it is now."""

    org: str
    service: str
    at: datetime
    champion: str | None
    champion_digest: str | None
    previous: str | None
    previous_digest: str | None
    generation: int
    epoch: int
    weights: Mapping[str, int]
    sets: tuple[SetSeen, ...]
    gateways: tuple[GatewaySeen, ...]
    release: str | None
    """The release under way."""
    state: str | None
    position: int
    """Last row of that release's journal."""

    @property
    def ref(self) -> ServiceRef:
        return ServiceRef(self.org, self.service)

    @property
    def live(self) -> SetSeen | None:
        """The set that carries the most live traffic."""
        carrying = [one for one in self.sets if one.weight]
        return max(carrying, key=lambda one: one.weight or 0, default=None)

    @property
    def alive_gateways(self) -> tuple[GatewaySeen, ...]:
        return tuple(one for one in self.gateways if one.is_alive)

    @property
    def digest(self) -> str:
        """The same for the same standing, whenever it is taken."""
        standing = self.as_data() | {"at": None, "position": None}
        return hashlib.sha256(json.dumps(standing, sort_keys=True).encode()).hexdigest()

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat()}

    def find(self, name: str) -> SetSeen | None:
        return next((one for one in self.sets if one.name == name), None)

    def serves_only(self, digest: str) -> bool:
        """S4: all live traffic is on ready sets that report this file, every living gateway says so, and the alias
        names it."""
        carrying = [one for one in self.sets if one.weight]
        return (
            bool(carrying)
            and all(one.is_ready and digest == one.digest == one.reported for one in carrying)
            and bool(self.alive_gateways)
            and all(one.has_it for one in self.alive_gateways)
            and self.champion_digest == digest
        )


def take_snapshot(ports: Ports, ref: ServiceRef) -> Snapshot:
    """Raises: NotFound for an unknown service."""
    ports.service(ref)
    now, ledger = ports.clock(), ports.ledger
    route = ledger.get_route(ref)
    champion, previous = ledger.get_alias(ref, "champion"), ledger.get_alias(ref, "previous")
    active = ledger.active_release(ref)
    weights = dict(route.weights) if route else {}
    generation = route.generation if route else 0
    return Snapshot(
        org=ref.org,
        service=ref.service,
        at=now,
        champion=champion.label if champion else None,
        champion_digest=champion.digest if champion else None,
        previous=previous.label if previous else None,
        previous_digest=previous.digest if previous else None,
        generation=generation,
        epoch=ledger.current_epoch(ref),
        weights=weights,
        sets=_sets(ports, ref, weights),
        gateways=tuple(_gateway(one, generation, now) for one in ledger.gateways() if one.state == "serving"),
        release=active.id if active else None,
        state=active.state.value if active else None,
        position=max((entry.seq for entry in ledger.entries(active.id)), default=0) if active else 0,
    )


def _sets(ports: Ports, ref: ServiceRef, weights: Mapping[str, int]) -> tuple[SetSeen, ...]:
    found: list[SetSeen] = []
    for spec, recorded in ports.ledger.list_sets(ref):
        version = ports.ledger.version_by_digest(ref.org, spec.digest)
        status = status_of(ports, ref, spec.name)
        found.append(
            SetSeen(
                name=spec.name,
                version=version.label if version else spec.digest[:12],
                digest=spec.digest,
                reported=status.digest if status else None,
                state=status.state.value if status else "unknown",
                recorded=recorded,
                weight=weights.get(spec.name),
            )
        )
    return tuple(found)


def status_of(ports: Ports, ref: ServiceRef, name: str) -> SetStatus | None:
    """None when the platform cannot be asked: that says nothing about the set."""
    try:
        return ports.platform(ref).status(name)
    except TidegateError:
        return None


def _gateway(status: GatewayStatus, generation: int, now: datetime) -> GatewaySeen:
    return GatewaySeen(
        name=status.gateway,
        is_alive=status.seen_at >= now - timedelta(seconds=GATEWAY_ALIVE_S),
        has_it=status.observed_generation >= generation,
        healthy_sets=status.healthy_sets,
        routed_sets=status.routed_sets,
    )
