"""Everything that stands in the ledger now, read at one moment, for whoever shows or watches all services at once."""

from dataclasses import dataclass, field
from datetime import datetime

from tidegate.domain.names import ServiceRef


@dataclass(frozen=True)
class StandingSet:
    """A recorded set that is not deleted."""

    name: str
    ref: ServiceRef
    platform: str
    state: str
    model: str
    version: str
    slot: str
    created_at: datetime


@dataclass(frozen=True)
class OpenRelease:
    """A release that is not over."""

    ref: ServiceRef
    state: str
    model: str
    version: str
    candidate: str | None
    started_at: datetime
    since: datetime
    """When it came into its present state."""


@dataclass(frozen=True)
class StandingRoute:
    """Wanted traffic of a service, by slot, in percent."""

    ref: ServiceRef
    generation: int
    shares: dict[str, float]


@dataclass(frozen=True)
class StandingGateway:
    """What a gateway said last."""

    name: str
    seen_at: datetime
    is_stopped: bool
    observed: dict[str, int]
    """`org/service` -> generation of its route."""
    in_flight: dict[str, int]
    """Requests by set."""


@dataclass(frozen=True)
class Overview:
    """All of it."""

    organizations: tuple[str, ...] = ()
    services: tuple[ServiceRef, ...] = ()
    sets: tuple[StandingSet, ...] = ()
    releases: tuple[OpenRelease, ...] = ()
    routes: tuple[StandingRoute, ...] = ()
    gateways: tuple[StandingGateway, ...] = ()
    held: frozenset[ServiceRef] = frozenset()
    quarantined: dict[str, int] = field(default_factory=dict[str, int])
    """Organization -> digests that must not be released."""
    drifting: frozenset[ServiceRef] = frozenset()
    """Services of which the reconciler found that something is not as it should be."""
