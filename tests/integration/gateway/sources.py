"""A route source in memory, with the faults that a ledger can have."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tidegate.domain import GatewayStatus, LiveBatch, Route, TrafficCounts, Transient
from tidegate.domain.live import ALL, total


@dataclass
class MemoryRoutes:
    """A route source in memory that can be behind, unreachable, or lie about generations."""

    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    number: int = 0
    is_down: bool = False
    is_mute: bool = False
    """Routes can be read, and no report is taken."""
    unheard: int = 0
    on_answer: Callable[[], object] = object
    status: GatewayStatus | None = None
    wish: str | None = None
    totals: dict[str, TrafficCounts] = field(default_factory=dict)
    batches: dict[tuple[object, ...], LiveBatch] = field(default_factory=dict)
    """What was reported of live requests; one that comes again changes nothing, as in the ledger."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    gate: threading.Lock = field(default_factory=threading.Lock)
    """Whoever holds it makes the source as slow as it likes."""

    def put(self, route: Route, *, epoch: int = 1) -> int:
        with self.lock:
            self.number += 1
            self.routes[route.org, route.service] = route.model_copy(
                update={"generation": self.number, "epoch": epoch}
            )
            return self.number

    def remove(self, org: str) -> int:
        with self.lock:
            self.routes = {key: route for key, route in self.routes.items() if key[0] != org}
            self.number += 1
            return self.number

    def list_routes(self) -> list[Route]:
        self._answer()
        return list(self.routes.values())

    def generation(self) -> int:
        self._answer()
        return self.number

    def report_gateway(self, status: GatewayStatus) -> None:
        self._answer()
        if self.is_mute:
            self.unheard += 1
            raise Transient("The ledger takes nothing.")
        self.status = status

    def record_counts(self, gateway: str, counts: Sequence[TrafficCounts]) -> None:
        self._answer()
        self.totals.update({one.set_name: one for one in counts})

    def wanted_of_gateway(self, gateway: str) -> str | None:
        self._answer()
        return self.wish

    def record_live(self, batches: Sequence[LiveBatch]) -> None:
        self._answer()
        for batch in batches:
            self.batches.setdefault(batch.key, batch)

    def live_totals(self, slice_name: str = ALL, *, is_probe: bool = False) -> dict[str, dict[str, int]]:
        """Counts by set."""
        chosen = [
            one for one in list(self.batches.values()) if (one.slice, one.is_probe) == (slice_name, is_probe)
        ]
        names = {one.set_name for one in chosen}
        return {name: dict(total(one for one in chosen if one.set_name == name)) for name in names}

    def _answer(self) -> None:
        with self.gate:
            self.on_answer()
        if self.is_down:
            raise Transient("The ledger does not answer.")
