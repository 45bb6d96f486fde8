"""Reads the world for `decide`: sets, routes, gateways, aliases, evidence. Remembers nothing, decides nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.domain import Gate, GateResult, GatewayStatus, Release, Route, SetStatus, TrafficCounts, fold
from tidegate.release.observation import Observation, View
from tidegate.release.ports import Ledger, SetPlatform
from tidegate.release.window import Window

GATEWAY_ALIVE_S = 5.0


@dataclass(frozen=True)
class Observer:
    ledger: Ledger
    platform: SetPlatform
    required: Mapping[Gate, frozenset[str]]
    clock: Callable[[], datetime]

    def observe(self, view: View, epoch: int) -> Observation:
        """Read the world. Nothing here is remembered between calls."""
        release, plan = view.release, view.release.plan
        route = self.ledger.get_route(release.ref)
        champion = self.ledger.get_alias(release.ref, "champion")
        gates = self._gates(release)
        seen = Observation(
            now=self.clock(),
            lock_epoch=epoch,
            green=self.platform.status(plan.green_set) if plan else SetStatus.absent(""),
            blue=self.platform.status(plan.blue_set) if plan and plan.blue_set else None,
            route=route,
            route_confirmed=self._is_confirmed(route),
            champion_digest=champion.digest if champion else None,
            gates={gate: result.verdict for gate, result in gates.items()},
            gate_reasons={gate: result.reasons for gate, result in gates.items()},
            measured_gates=frozenset(gate for gate, result in gates.items() if result.is_measured),
            healthy_sets=self._healthy(),
            active_requests=self._active(),
            window=self._window(view),
            recorded_sets=tuple(
                spec.name for spec, state in self.ledger.list_sets(release.ref) if state != "deleted"
            ),
            already_live=self._is_live(release, route, champion.digest if champion else None),
        )
        return seen

    def _alive_gateways(self) -> list[GatewayStatus]:
        limit = self.clock() - timedelta(seconds=GATEWAY_ALIVE_S)
        return [status for status in self.ledger.gateways() if status.seen_at >= limit]

    def _is_confirmed(self, route: Route | None) -> bool:
        """Every live gateway acknowledged the generation; with no live gateway nothing is confirmed."""
        alive = self._alive_gateways()
        wanted = route.generation if route else 0
        return bool(alive) and all(status.observed_generation >= wanted for status in alive)

    def _healthy(self) -> frozenset[str]:
        alive = self._alive_gateways()
        return (
            frozenset[str].intersection(*(frozenset(s.healthy_sets) for s in alive)) if alive else frozenset()
        )

    def _active(self) -> Mapping[str, int]:
        total: dict[str, int] = {}
        for status in self._alive_gateways():
            for name, count in status.active_requests.items():
                total[name] = total.get(name, 0) + count
        return total

    def _gates(self, release: Release) -> dict[Gate, GateResult]:
        rows = self.ledger.evidence(release.id)
        present = {row.gate for row in rows}
        return {
            gate: fold(gate, rows, self.required.get(gate, frozenset())) for gate in Gate if gate in present
        }

    def _window(self, view: View) -> Window | None:
        marker = view.observed.get("weights")
        if marker is None:
            return None
        new = self._counts_since(view.plan.green_set, marker.data)
        old = self._counts_since(view.plan.blue_set, marker.data) if view.plan.blue_set else None
        return Window(new=new, old=old) if new else None

    def _counts_since(self, name: str, data: Mapping[str, Any]) -> TrafficCounts | None:
        now = self.ledger.counts(name)
        before = data.get("counts", {}).get(name)
        if now is None:
            return None
        return now.since(TrafficCounts.model_validate(before) if before else None)

    def _is_live(self, release: Release, route: Route | None, champion: str | None) -> bool:
        if release.request.trigger == "rollback" or champion != release.digest or route is None:
            return False
        live = [
            u.set_name
            for u in route.upstreams
            if route.weights[u.set_name] == 100 and u.digest == release.digest
        ]
        return bool(live) and self.platform.status(live[0]).is_ready and release.plan is None
