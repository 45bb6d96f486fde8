"""What sets cost, per set, release and organization: the bill of the platforms, and estimates for what it lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from tidegate.domain import (
    TERMINAL,
    Charge,
    Cost,
    Release,
    ReleaseState,
    Resource,
    ServiceRef,
    TidegateError,
    cost_of,
    in_turn,
    month_start,
)
from tidegate.steps.ports import Ports, ReleaseLedger

RESOURCES = "resources of a set"


@dataclass(frozen=True)
class Spending:
    """An organization's cost since a moment. `is_billed` is false where a bill could not be read."""

    sets: Mapping[str, Cost]
    is_billed: bool

    @property
    def exceeded(self) -> list[str]:
        """Sets for which more was billed than they can cost."""
        return sorted(name for name, cost in self.sets.items() if cost.is_exceeded)

    @property
    def total(self) -> Cost:
        return sum(self.sets.values(), start=Cost())


def remember_resource(ledger: ReleaseLedger, resource: Resource) -> None:
    """Keep what a set is made of: a bill names ids only, and comes when the set may be gone."""
    kept: dict[str, Any] = ledger.result(RESOURCES, resource.set_name) or {}
    if resource.id not in kept:
        ledger.record_result(RESOURCES, resource.set_name, {**kept, resource.id: _as_data(resource)})


def spending(ports: Ports, org: str, since: datetime) -> Spending | None:
    """What the organization's sets cost since then, also those that are gone. None where nothing costs money."""
    if not ports.bills:
        return None
    resources = _resources(ports, org, since)
    if not resources:
        return None
    now = ports.clock()
    charges = _charges(ports, org, since, now)
    costs: dict[str, Cost] = {}
    for resource in resources:
        cost = cost_of(resource, charges, since=since, now=now)
        costs[resource.set_name] = costs.get(resource.set_name, Cost()) + cost
    return Spending(costs, charges is not None)


def month_to_date(ports: Ports, org: str) -> Spending | None:
    return spending(ports, org, month_start(ports.clock()))


def usd_per_hour(ports: Ports, org: str) -> float | None:
    """What all sets of the organization cost per hour now, with traffic or without. None where nothing costs money."""
    found: list[float] = []
    for spec, _ in ports.ledger.list_sets():
        ref = ServiceRef(spec.org, spec.service)
        if spec.org != org or ports.service(ref).platform not in ports.bills:
            continue
        try:
            price = ports.platform(ref).status(spec.name).usd_per_hour
        except TidegateError:
            continue
        found += [] if price is None else [price]
    return sum(found) if found else None


def release_cost(ports: Ports, release: Release) -> Cost | None:
    """What the set of this release cost from its making until now, or until it was removed. None where it costs
    nothing, or was never made."""
    if release.plan is None:
        return None
    found = spending(ports, release.request.org, release.created_at)
    return found.sets.get(release.plan.green_set) if found else None


def month_to_date_usd(ports: Ports, release: Release) -> float:
    """What counts against the organization's monthly budget beside this release: what its sets cost this month, and
    what releases that are under way may still cost. A release whose set left no trace counts as it was estimated; one
    that was rejected never had a set."""
    org, first = release.request.org, month_start(ports.clock())
    spent = month_to_date(ports, org)
    costs = {name: float(cost.total_usd) for name, cost in spent.sets.items()} if spent else {}
    own = release.plan.green_set if release.plan else None
    total = sum(cost for name, cost in costs.items() if name != own)
    for other in ports.ledger.releases_since(org, first):
        if other.id == release.id or other.plan is None or other.state is ReleaseState.REJECTED:
            continue
        known = costs.get(other.plan.green_set)
        if known is None:
            total += other.plan.estimated_usd
        elif other.state not in TERMINAL:
            total += max(0.0, other.plan.estimated_usd - known)
    return total


def cost_data(cost: Cost | None) -> dict[str, float] | None:
    """For JSON."""
    if cost is None:
        return None
    return {"billed_usd": float(cost.billed_usd), "not_billed_yet_usd": float(cost.estimated_usd)}


def _resources(ports: Ports, org: str, since: datetime) -> list[Resource]:
    found: list[Resource] = []
    for name, deleted_at in ports.ledger.sets_since(org, since):
        kept = ports.ledger.result(RESOURCES, name) or {}
        found += in_turn(_of_data(name, one, data, deleted_at) for one, data in kept.items())
    return found


def _charges(ports: Ports, org: str, since: datetime, now: datetime) -> Sequence[Charge] | None:
    """None when a bill cannot be read: then everything is estimated, at the most that it can cost."""
    found: list[Charge] = []
    for bills in ports.bills.values():
        try:
            found += bills.charges(org, since, now)
        except TidegateError:
            return None
    return found


def _as_data(resource: Resource) -> dict[str, str]:
    return {
        "kind": resource.kind,
        "since": resource.since.isoformat(),
        "usd_per_hour": str(resource.usd_per_hour),
    }


def _of_data(set_name: str, resource_id: str, data: Mapping[str, str], until: datetime | None) -> Resource:
    return Resource(
        set_name,
        resource_id,
        data["kind"],
        datetime.fromisoformat(data["since"]),
        Decimal(data["usd_per_hour"]),
        until,
    )
