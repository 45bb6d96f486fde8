"""The sets of one organization on RunPod, whatever they are made of: serverless endpoints or pods.

A service says what its sets are made of from now on. Those that it has already stay what they are, until a release
has replaced them.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

from tidegate.domain import NotFound, SetSpec, SetStatus
from tidegate.platforms.runpod.client import RunPodClient
from tidegate.platforms.runpod.endpoint_sets import EndpointSets
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.pod_sets import PodSets
from tidegate.platforms.runpod.remembering import Freshness
from tidegate.platforms.runpod.removal import Patience
from tidegate.platforms.runpod.tenant import Tenant

Kind: TypeAlias = EndpointSets | PodSets
OTHERS_S = 60.0


class OrganizationSets:
    """What the platform does for one organization."""

    def __init__(
        self,
        tenant: Tenant,
        client: RunPodClient,
        *,
        memory_of: Callable[[SetSpec], int],
        freshness: Freshness | None = None,
        patience: Patience | None = None,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        """`memory_of` estimates what a worker needs on its GPU for a set."""
        self.tenant = tenant
        self.client = client
        self._pace = pace or Pace()
        patience, freshness = patience or Patience(), freshness or Freshness()
        self.endpoints = EndpointSets(
            tenant,
            client,
            memory_of=memory_of,
            freshness=freshness,
            patience=patience,
            pace=self._pace,
            clock=clock,
        )
        self.pods = PodSets(
            tenant,
            client,
            memory_of=memory_of,
            freshness=freshness,
            patience=patience,
            pace=self._pace,
            clock=clock,
        )
        self._kinds: dict[str, Kind] = {}
        self._others: dict[Kind, tuple[float, frozenset[str]]] = {}

    def create(self, spec: SetSpec) -> SetStatus:
        """Adopts a set of either kind; a new one is made of what its service says.

        Raises: Refused, InvalidInput, CapacityShortage, Transient.
        """
        self.tenant.config(spec.service)
        made = self._find(spec.name) or self._wanted(spec.name)
        return made.create(spec)

    def status(self, name: str) -> SetStatus:
        """State of a set. What cannot go on by itself is mended or ended here, whoever asks first."""
        found = self._find(name)
        return found.status(name) if found else SetStatus.absent(name)

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        """Raises: NotFound, Transient (nobody answered), InvalidInput (the engine says 4xx)."""
        return self._require(name).invoke(name, path, body, timeout_s)

    def metrics(self, name: str) -> dict[str, float]:
        found = self._find(name)
        return found.metrics(name) if found else {}

    def logs(self, name: str, lines: int) -> str:
        found = self._find(name)
        return found.logs(name, lines) if found else ""

    def stop(self, name: str) -> None:
        found = self._find(name)
        if found:
            found.stop(name)

    def start(self, name: str) -> SetStatus:
        """Raises: NotFound, Refused, CapacityShortage, Transient."""
        return self._require(name).start(name)

    def delete(self, name: str) -> None:
        """Raises: Transient when it does not go away."""
        found = self._find(name)
        if found:
            found.delete(name)
            self._kinds.pop(name, None)
            self._others.pop(found, None)

    def list_owned(self) -> list[SetStatus]:
        """Sets of this organization only, even when the account holds more."""
        return [*self.endpoints.list_owned(), *self.pods.list_owned()]

    def price_per_hour_usd(self, spec: SetSpec) -> Decimal:
        """The most that the set can cost per hour. Raises: Refused when nothing that is allowed fits."""
        self.tenant.config(spec.service)
        return self._wanted(spec.name).price_per_hour_usd(spec)

    def _wanted(self, name: str) -> Kind:
        config = self.tenant.config_of(name)
        return self.pods if config is not None and config.kind == "pod" else self.endpoints

    def _find(self, name: str) -> Kind | None:
        """What the set is made of; None when there is none of that name.

        First what was found before, then what its service says. Those of the other kind are few and old: their
        names are asked for once a minute.
        """
        wanted = self._wanted(name)
        first = self._kinds.get(name, wanted)
        if not first.holds(name):
            second = self.pods if first is self.endpoints else self.endpoints
            is_there = second.holds(name) if second is wanted else name in self._names_of(second)
            if not is_there:
                self._kinds.pop(name, None)
                return None
            first = second
        self._kinds[name] = first
        return first

    def _names_of(self, kind: Kind) -> frozenset[str]:
        kept = self._others.get(kind)
        if kept is None or self._pace.now() - kept[0] > OTHERS_S:
            kept = (self._pace.now(), kind.names())
            self._others[kind] = kept
        return kept[1]

    def _require(self, name: str) -> Kind:
        found = self._find(name)
        if found is None:
            raise NotFound(f"There is no set {name} on RunPod.", remedy="Create it.", set=name)
        return found
