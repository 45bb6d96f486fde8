"""Sets on RunPod behind the `Platform` protocol: finds the organization of a set and lets it act with its own key.

A set of one organization is never looked for, routed to or paid for with the key of another.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

from tidegate.domain import (
    Charge,
    NotFound,
    Refused,
    Secret,
    SetSpec,
    SetState,
    SetStatus,
    TidegateError,
    owner_of_set,
)
from tidegate.platforms.runpod.billing import BillingRoute, Span
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.costs import charges_of
from tidegate.platforms.runpod.organization_sets import OrganizationSets
from tidegate.platforms.runpod.pace import Pace, wait_for
from tidegate.platforms.runpod.sweeping import Orphan, find_orphans

log = logging.getLogger(__name__)

BILL_S = 60.0
SETTLED = (SetState.READY, SetState.FAILED, SetState.ABSENT, SetState.STOPPED)


class RunPodPlatform:
    """The `Platform` protocol over RunPod."""

    name = "runpod"

    def __init__(
        self,
        organizations: Mapping[str, OrganizationSets],
        connect: Callable[[Secret], RunPodClient],
        *,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        """`connect` makes a client for a key that is to be verified."""
        self.organizations = dict(organizations)
        self._connect = connect
        self._pace = pace or Pace()
        self._clock = clock
        self._bills: dict[tuple[str, datetime], tuple[float, list[Charge]]] = {}

    def close(self) -> None:
        """Close the connections to RunPod; for processes that make more than one platform."""
        for sets in self.organizations.values():
            sets.client.close()

    def verify_credential(self, org: str, credential: Secret | None) -> None:
        """The key is known, may see serverless endpoints, and its account has money. Raises: Refused, Transient."""
        if credential is None:
            raise Refused(
                f"Organization {org} may not use RunPod: its key is not there.",
                remedy="Name its secret under `credentials: {runpod: ...}` and store the key.",
                org=org,
                platform=self.name,
            )
        with closing(self._connect(credential)) as client:
            try:
                account = client.account.state()
                client.control.list_endpoints()
            except Refused as error:
                raise Refused(
                    f"Organization {org} may not use RunPod: {error.message}",
                    remedy=error.remedy,
                    org=org,
                    platform=self.name,
                ) from error
        if account is not None and account.client_balance is not None and account.client_balance <= 0:
            raise Refused(
                f"The RunPod account of {org} has no money left ({account.client_balance:.2f} USD).",
                remedy="Add credit to the RunPod account.",
                org=org,
                platform=self.name,
            )

    def create(self, spec: SetSpec) -> SetStatus:
        """Raises: CapacityShortage, Refused, Transient."""
        sets = self._of(spec.name)
        if spec.org != sets.tenant.org:
            raise Refused(
                f"Set {spec.name} does not belong to {spec.org}.",
                remedy="Ask for the name that belongs to this service.",
                set=spec.name,
            )
        return sets.create(spec)

    def status(self, name: str) -> SetStatus:
        sets = self._find(name)
        return sets.status(name) if sets else SetStatus.absent(name)

    def wait_ready(self, name: str, timeout_s: float) -> SetStatus:
        return wait_for(
            lambda: self.status(name),
            lambda status: status.state in SETTLED,
            timeout_s=timeout_s,
            pace=self._pace,
            longest_s=5.0,
        )

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        return self._of(name).invoke(name, path, body, timeout_s)

    def metrics(self, name: str) -> dict[str, float]:
        sets = self._find(name)
        return sets.metrics(name) if sets else {}

    def logs(self, name: str, lines: int = 50) -> str:
        sets = self._find(name)
        return sets.logs(name, lines) if sets else ""

    def stop(self, name: str) -> None:
        sets = self._find(name)
        if sets:
            sets.stop(name)

    def start(self, name: str) -> SetStatus:
        return self._of(name).start(name)

    def delete(self, name: str) -> None:
        sets = self._find(name)
        if sets:
            sets.delete(name)

    def list_owned(self) -> list[SetStatus]:
        """Sets of every organization. One whose account cannot be read does not hide those of the others."""
        found: list[SetStatus] = []
        for org, sets in self.organizations.items():
            try:
                found += sets.list_owned()
            except TidegateError as error:
                log.warning("runpod: the sets of %s cannot be listed: %s", org, error.message)
        return found

    def price_per_hour_usd(self, spec: SetSpec) -> float:
        """The most that the set can cost per hour."""
        return float(self.exact_price_per_hour_usd(spec))

    def exact_price_per_hour_usd(self, spec: SetSpec) -> Decimal:
        return self._of(spec.name).price_per_hour_usd(spec)

    def orphans(self, known: Mapping[str, frozenset[str]]) -> list[tuple[str, Orphan]]:
        """What costs money and belongs to no set that is known, by organization. Removing is the caller's word."""
        found: list[tuple[str, Orphan]] = []
        for org, sets in self.organizations.items():
            control = sets.client.control
            names = known.get(org, frozenset())
            orphans = find_orphans(org, control.list_endpoints(), control.list_pods(), names, self._clock())
            found += [(org, orphan) for orphan in orphans]
        return found

    def sweep(self, known: Mapping[str, frozenset[str]]) -> list[Orphan]:
        """Remove every orphan. `known` names the sets of each organization, also those still to be created."""
        removed: list[Orphan] = []
        for org, orphan in self.orphans(known):
            log.warning(
                "runpod: %s %s (%s) is removed: %s", orphan.kind, orphan.name, orphan.id, orphan.reason
            )
            self.remove_orphan(org, orphan)
            removed.append(orphan)
        return removed

    def charges(self, org: str, since: datetime, until: datetime) -> list[Charge]:
        """What RunPod billed for the account of an organization, by resource and hour.

        Kept for a minute: the bill itself changes every hour, and a person who watches asks every second.
        """
        sets = self.organizations.get(org)
        if sets is None:
            return []
        kept = self._bills.get((org, since))
        if kept is None or self._pace.now() - kept[0] >= BILL_S:
            span = Span(start=since, end=until, bucket="hour")
            billing = sets.client.control.billing
            routes = (BillingRoute.SERVERLESS, BillingRoute.PODS)
            found = [charge for route in routes for charge in charges_of(billing.records(route, span))]
            kept = (self._pace.now(), found)
            self._bills[org, since] = kept
        return kept[1]

    def remove_orphan(self, org: str, orphan: Orphan) -> None:
        """By its id: the set of the same name, if there is one, stays."""
        control = self.organizations[org].client.control
        if orphan.kind == "pod":
            control.delete_pod(orphan.id)
        else:
            control.delete_endpoint(orphan.id)

    def _find(self, name: str) -> OrganizationSets | None:
        owner = owner_of_set(name)
        return self.organizations.get(owner.org) if owner else None

    def _of(self, name: str) -> OrganizationSets:
        sets = self._find(name)
        if sets is None:
            raise NotFound(
                f"There is no set {name} on RunPod: its organization does not use RunPod here.",
                remedy="Set the service's platform to runpod, and store the organization's key.",
                set=name,
            )
        return sets
