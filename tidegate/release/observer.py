"""Reads the world for `decide`: sets, routes, gateways, aliases, evidence. Remembers nothing, decides nothing."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.domain import (
    Evidence,
    Gate,
    GateResult,
    GatewayStatus,
    Release,
    Route,
    ServiceRef,
    SetStatus,
    TrafficCounts,
    fold,
)
from tidegate.release.observation import Observation, View
from tidegate.release.ports import LEFT, Checks, Ledger, SetPlatform
from tidegate.release.window import Window

GATEWAY_ALIVE_S = 5.0


@dataclass(frozen=True)
class Observer:
    ledger: Ledger
    platform: SetPlatform
    checks: Checks
    required: Mapping[Gate, frozenset[str]]
    clock: Callable[[], datetime]

    def observe(self, view: View, epoch: int) -> Observation:
        """Read the world. Nothing here is remembered between calls."""
        release, plan = view.release, view.release.plan
        route = self.ledger.get_route(release.ref)
        champion = self.ledger.get_alias(release.ref, "champion")
        rows = self.ledger.evidence(release.id)
        gates = self._gates(rows)
        recorded = [(spec.name, state) for spec, state in self.ledger.list_sets(release.ref)]
        return Observation(
            now=self.clock(),
            lock_epoch=epoch,
            green=self.platform.status(plan.green_set) if plan else SetStatus.absent(""),
            blue=self.platform.status(plan.blue_set) if plan and plan.blue_set else None,
            route=route,
            route_confirmed=self._is_confirmed(release.ref, route),
            champion_digest=champion.digest if champion else None,
            gates={gate: result.verdict for gate, result in gates.items()},
            gate_reasons={gate: result.reasons for gate, result in gates.items()},
            measured_gates=frozenset(gate for gate, result in gates.items() if result.is_measured),
            healthy_sets=self._healthy(),
            active_requests=self._active(),
            window=self._window(view),
            recorded_sets=tuple(name for name, state in recorded if state != LEFT),
            left_sets=frozenset(name for name, state in recorded if state == LEFT),
            spent_usd=self.checks.spent_usd(release) if plan else 0.0,
            evidence_digest=evidence_digest(rows),
            silent=self._silent(),
            already_live=self._is_live(release, route, champion.digest if champion else None),
        )

    def _silent(self) -> dict[str, tuple[str, ...]]:
        """A gateway that does not answer may still have in its routes what it had when it was heard last."""
        alive = {status.gateway for status in self._alive_gateways()}
        found: dict[str, tuple[str, ...]] = {}
        for status in self.ledger.gateways():
            if status.gateway not in alive and status.state == "serving":
                for name in status.routed_sets:
                    found[name] = (*found.get(name, ()), status.gateway)
        return found

    def _alive_gateways(self) -> list[GatewayStatus]:
        limit = self.clock() - timedelta(seconds=GATEWAY_ALIVE_S)
        return [
            status
            for status in self.ledger.gateways()
            if status.seen_at >= limit and status.state == "serving"
        ]

    def _is_confirmed(self, ref: ServiceRef, route: Route | None) -> bool:
        """Every live gateway has this very route; with no live gateway nothing is confirmed.

        By service: a set of another organization that a gateway cannot reach holds up nobody but its owner.
        """
        alive = self._alive_gateways()
        wanted = route.generation if route else 0
        return bool(alive) and all(
            max(status.observed_generation, status.observed.get(str(ref), 0)) >= wanted for status in alive
        )

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

    def _gates(self, rows: Sequence[Evidence]) -> dict[Gate, GateResult]:
        present = {row.gate for row in rows}
        return {
            gate: fold(gate, list(rows), self.required.get(gate, frozenset()))
            for gate in Gate
            if gate in present
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


def evidence_digest(rows: Iterable[Evidence]) -> str:
    """Hash of what was found: verdicts and the numbers they rest on, in any order."""
    texts = sorted(
        row.model_dump_json(include={"gate", "check", "verdict", "summary", "data"}) for row in rows
    )
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
