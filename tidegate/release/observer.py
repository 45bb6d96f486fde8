"""Reads the world for `decide`: sets, routes, gateways, aliases, evidence. Remembers nothing, decides nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.domain import (
    Evidence,
    Gate,
    GateResult,
    GatewayStatus,
    LiveBatch,
    Release,
    Route,
    SetState,
    SetStatus,
    Transient,
    fold,
)
from tidegate.domain.evidence import evidence_digest
from tidegate.domain.live import ALL
from tidegate.domain.policy import LivePolicy
from tidegate.release.confirmation import alive, is_confirmed, silent_sets
from tidegate.release.live import LiveJudgement, judge_live
from tidegate.release.live.strength import ENOUGH_BEFORE
from tidegate.release.observation import Observation, View
from tidegate.release.ports import LEFT, Checks, Ledger, SetPlatform

SETTLE_S = 1.0
"""A second is looked at when every gateway had time to report it."""
USUAL_S = 900.0
"""So many seconds of the old set's requests say what was usual."""


@dataclass(frozen=True)
class Observer:
    ledger: Ledger
    platform: SetPlatform
    checks: Checks
    required: Mapping[Gate, frozenset[str]]
    clock: Callable[[], datetime]
    policy: LivePolicy

    def observe(self, view: View, epoch: int) -> Observation:
        """Read the world. Nothing here is remembered between calls."""
        release, plan = view.release, view.release.plan
        route = self.ledger.get_route(release.ref)
        champion = self.ledger.get_alias(release.ref, "champion")
        rows = self.ledger.evidence(release.id)
        gates = self._gates(rows)
        recorded = [(spec.name, state) for spec, state in self.ledger.list_sets(release.ref)]
        gateways, now = self.ledger.gateways(), self.clock()
        present = alive(gateways, now)
        return Observation(
            now=now,
            lock_epoch=epoch,
            green=self._status(plan.green_set, route, present) if plan else SetStatus.absent(""),
            blue=self._status(plan.blue_set, route, present) if plan and plan.blue_set else None,
            route=route,
            route_confirmed=is_confirmed(gateways, now, release.ref, route),
            champion_digest=champion.digest if champion else None,
            gates={gate: result.verdict for gate, result in gates.items()},
            gate_reasons={gate: result.reasons for gate, result in gates.items()},
            measured_gates=frozenset(gate for gate, result in gates.items() if result.is_measured),
            healthy_sets=_healthy(present),
            active_requests=_active(present),
            live=self._live(view),
            recorded_sets=tuple(name for name, state in recorded if state != LEFT),
            left_sets=frozenset(name for name, state in recorded if state == LEFT),
            spent_usd=self.checks.spent_usd(release) if plan else 0.0,
            evidence_digest=evidence_digest(rows),
            silent=silent_sets(gateways, now),
            already_live=self._is_live(release, route, champion.digest if champion else None),
        )

    def _status(self, name: str, route: Route | None, present: Sequence[GatewayStatus]) -> SetStatus:
        """What the platform says. While it cannot be asked, and the set has a share of the traffic, the gateways' word
        for it: harm must not have to wait for a vendor. Which file it serves is then not known."""
        try:
            return self.platform.status(name)
        except Transient as error:
            if route is None or route.weights.get(name, 0) == 0:
                raise
            told = next(one for one in route.upstreams if one.set_name == name)
            return SetStatus(
                name=name,
                state=SetState.READY if name in _healthy(present) else SetState.UNKNOWN,
                host=told.host,
                port=told.port,
                tls=told.tls,
                path_prefix=told.path_prefix,
                credential=told.credential,
                message=f"as gateways see it: {error.message}",
            )

    def _gates(self, rows: Sequence[Evidence]) -> dict[Gate, GateResult]:
        present = {row.gate for row in rows}
        return {
            gate: fold(gate, list(rows), self.required.get(gate, frozenset()))
            for gate in Gate
            if gate in present
        }

    def _live(self, view: View) -> LiveJudgement | None:
        """What gateways measured since all of them confirmed the present weights, against the old set meanwhile. Where
        all traffic is on the new one, the old one's requests from when it had all of it are what was usual."""
        marker = view.observed.get("weights")
        if marker is None:
            return None
        plan, until = view.plan, self.clock() - timedelta(seconds=SETTLE_S)
        is_alone = plan.blue_set is None or marker.data["weights"].get(plan.blue_set, 0) == 0
        slices = (ALL, *self.policy.slices)
        before: list[LiveBatch] = []
        if is_alone and plan.blue_set:
            windows = (
                self.ledger.live(plan.blue_set, end - timedelta(seconds=USUAL_S), end, slices=slices)
                for end in (view.moved_at or marker.at, marker.at)
            )
            before = usual_requests(*windows)
        return judge_live(
            self.ledger.live(plan.green_set, marker.at, until, slices=slices),
            self.ledger.live(plan.blue_set, marker.at, until, slices=slices) if plan.blue_set else (),
            self.policy,
            family=len(plan.ladder) + 1,
            before=before if is_alone else None,
        )

    def _is_live(self, release: Release, route: Route | None, champion: str | None) -> bool:
        if champion != release.digest or route is None:
            return False
        live = [
            u.set_name
            for u in route.upstreams
            if route.weights[u.set_name] == 100 and u.digest == release.digest
        ]
        return bool(live) and self.platform.status(live[0]).is_ready and release.plan is None


def usual_requests(alone: Sequence[LiveBatch], recent: Sequence[LiveBatch]) -> list[LiveBatch]:
    """What was usual, for a set that has all traffic: clients' requests of the time when the old one had all of it. In a
    split it had less to do and was faster, which would make an equal set look slow. Of probes the last ones: those of
    the steps before, that were sent as they are now."""
    clients = [batch for batch in alone if not batch.is_probe]
    if sum(batch.requests for batch in clients if batch.slice == ALL) < ENOUGH_BEFORE:
        clients = [batch for batch in recent if not batch.is_probe]
    return clients + [batch for batch in recent if batch.is_probe]


def _healthy(present: Sequence[GatewayStatus]) -> frozenset[str]:
    return (
        frozenset[str].intersection(*(frozenset(one.healthy_sets) for one in present))
        if present
        else frozenset()
    )


def _active(present: Sequence[GatewayStatus]) -> Mapping[str, int]:
    total: dict[str, int] = {}
    for status in present:
        for name, count in status.active_requests.items():
            total[name] = total.get(name, 0) + count
    return total
