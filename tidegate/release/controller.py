"""Executes one step after another of a release. Thin: every decision is in `machine.decide`."""

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from tidegate.domain import (
    TERMINAL,
    CapacityShortage,
    Fenced,
    Gate,
    GateResult,
    Policy,
    Release,
    ReleaseState,
    Route,
    ServiceConfig,
    SetSpec,
    SetStatus,
    TidegateError,
    TrafficCounts,
    Upstream,
    fold,
)
from tidegate.domain.names import ServiceRef
from tidegate.release import machine
from tidegate.release.machine import Observation, Step, View
from tidegate.release.planning import make_plan
from tidegate.release.ports import Checks, Journal, Registry, Router
from tidegate.release.view import fold_view
from tidegate.release.window import Window

GATEWAY_ALIVE_S = 5.0
HEARTBEAT_S = 2.0
LOCK_WAIT_S = 0.5


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


@dataclass
class Controller:
    """Drives releases of one service. `owner` is written into heartbeats; `sleep` belongs to tests."""

    ledger: Ledger
    platform: SetPlatform
    checks: Checks
    service: ServiceConfig
    owner: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    on_step: Callable[[Release, Step], None] = lambda release, step: None
    _epochs: dict[str, int] = field(default_factory=dict[str, int])

    def take_over(self, release_id: str) -> Release:
        """Become the owner: a new epoch fences every earlier owner off (S6).

        A release that waits for its service keeps epoch 0 and is returned as it is.
        """
        release = self.ledger.get_release(release_id)
        if release.is_over:
            return release
        epoch = self.ledger.acquire_lock(release.ref, release_id)
        if epoch is not None:
            self._epochs[release_id] = epoch
            self.ledger.heartbeat(release_id, self.owner)
        return self.ledger.get_release(release_id)

    def adopt_epoch(self, release_id: str, epoch: int) -> None:
        """Go on with an epoch that this owner gained in an earlier call of the same run."""
        self._epochs[release_id] = epoch

    def epoch_of(self, release_id: str) -> int:
        return self._epochs.get(release_id, 0)

    def drive(
        self, release_id: str, owned: frozenset[ReleaseState], gates: frozenset[Gate] = frozenset(Gate)
    ) -> Release:
        """Take steps while the release is in one of the `owned` states and can go on by itself.

        Stops before a step that would run a gate outside `gates`.

        Raises:
            Fenced: another owner took the service over; stop at once.
            Transient: something could not be reached; the same call may be repeated.
        """
        with self._heartbeat(release_id):
            while True:
                release = self.ledger.get_release(release_id)
                if release.is_over or release.state not in owned:
                    return release
                step = self.next_step(release)
                self.on_step(release, step)
                if isinstance(step, machine.Stop):
                    return release
                if isinstance(step, machine.RunGates) and not gates.issuperset(step.gates):
                    return release
                self.execute(release, step)

    def next_step(self, release: Release) -> Step:
        view = fold_view(release, self.ledger.entries(release.id))
        policy = self.policy_of(view)
        return machine.decide(view, self.observe(view, policy), policy)

    def policy_of(self, view: View) -> Policy:
        """The policy a release was planned with stays its policy, whatever the file says later."""
        planned = view.facts.get(ReleaseState.PLANNED.value)
        stored = planned.data.get("policy") if planned else None
        return Policy.model_validate(stored) if stored else self.service.policy

    # ---- observation

    def observe(self, view: View, policy: Policy) -> Observation:
        """Read the world. Nothing here is remembered between calls."""
        release, plan = view.release, view.release.plan
        epoch = self.ledger.current_epoch(release.ref)
        self._check_fence(release, epoch)
        route = self.ledger.get_route(release.ref)
        champion = self.ledger.get_alias(release.ref, "champion")
        gates = self._gates(release)
        seen = Observation(
            now=self.clock(),
            lock_epoch=self.epoch_of(release.id) and epoch,
            green=self.platform.status(plan.green_set) if plan else SetStatus.absent(""),
            blue=self.platform.status(plan.blue_set) if plan and plan.blue_set else None,
            route=route,
            route_confirmed=self._is_confirmed(route),
            champion_digest=champion.digest if champion else None,
            gates={gate: result.verdict for gate, result in gates.items()},
            gate_reasons={gate: result.reasons for gate, result in gates.items()},
            healthy_sets=self._healthy(),
            active_requests=self._active(),
            window=self._window(view),
            extra_sets=tuple(spec.name for spec, state in self.ledger.list_sets(release.ref) if state != "deleted"),
            already_live=self._is_live(release, route, champion.digest if champion else None),
        )
        return seen

    def _check_fence(self, release: Release, epoch: int) -> None:
        mine = self.epoch_of(release.id)
        if mine and epoch > mine:
            raise Fenced(
                f"Release {release.id} was taken over (epoch {epoch} is newer than {mine}).",
                remedy="Nothing to do: the newer owner finishes it.",
                release=release.id,
            )

    def _alive_gateways(self) -> list[Any]:
        limit = self.clock() - timedelta(seconds=GATEWAY_ALIVE_S)
        return [status for status in self.ledger.gateways() if status.seen_at >= limit]

    def _is_confirmed(self, route: Route | None) -> bool:
        """Every live gateway acknowledged the generation; with no live gateway nothing is confirmed."""
        alive = self._alive_gateways()
        wanted = route.generation if route else 0
        return bool(alive) and all(status.observed_generation >= wanted for status in alive)

    def _healthy(self) -> frozenset[str]:
        alive = self._alive_gateways()
        return frozenset[str].intersection(*(frozenset(s.healthy_sets) for s in alive)) if alive else frozenset()

    def _active(self) -> Mapping[str, int]:
        total: dict[str, int] = {}
        for status in self._alive_gateways():
            for name, count in status.active_requests.items():
                total[name] = total.get(name, 0) + count
        return total

    def _gates(self, release: Release) -> dict[Gate, GateResult]:
        rows = self.ledger.evidence(release.id)
        present = {row.gate for row in rows}
        return {gate: fold(gate, rows, self.checks.required.get(gate, frozenset())) for gate in Gate if gate in present}

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
        live = [u.set_name for u in route.upstreams if route.weights[u.set_name] == 100 and u.digest == release.digest]
        return bool(live) and self.platform.status(live[0]).is_ready and release.plan is None

    # ---- effects

    def execute(self, release: Release, step: Step) -> None:
        """Carry out one step. Every effect is idempotent: a crash after it only means doing it again."""
        epoch = self.epoch_of(release.id)
        match step:
            case machine.Enter(state, reason, data):
                self._enter(release, epoch, state, {"reason": reason, **data})
            case machine.Intend(name):
                self.ledger.append(release.id, epoch, "intent", name)
            case machine.Observe(name, data):
                extra = {"counts": self._count_snapshot(release)} if name == "weights" else {}
                self.ledger.append(release.id, epoch, "observed", name, {**data, **extra})
            case machine.AcquireLock():
                if not self.take_over(release.id).epoch:
                    self.sleep(LOCK_WAIT_S)
            case machine.MakePlan():
                self._plan(release, epoch)
            case machine.RunGates(gates):
                self._run_gates(release, epoch, gates)
            case machine.CreateSet():
                self._create(release, epoch)
            case machine.StartSet(name):
                self.platform.start(name)
            case machine.DeleteSet(name):
                self.platform.delete(name)
                self.ledger.set_state(name, "deleted", epoch=epoch)
            case machine.PutWeights(weights):
                self._put_weights(release, epoch, weights)
            case machine.MoveAlias(forward):
                self._move_alias(release, epoch, forward)
            case machine.Quarantine(digest, reason):
                self.ledger.quarantine(release.request.org, digest, reason=reason, release_id=release.id)
                self.ledger.append(release.id, epoch, "observed", "quarantine", {"digest": digest, "reason": reason})
            case machine.SendProbes(count):
                assert release.plan is not None
                sent = self.checks.send_probes(release, release.plan.green_set, count)
                self.ledger.append(release.id, epoch, "observed", "probes", {"wanted": count, "answered": sent})
            case machine.Wait(_, seconds):
                self.sleep(seconds)
            case machine.Stop():
                return

    def _enter(self, release: Release, epoch: int, state: ReleaseState, data: dict[str, Any]) -> None:
        self.ledger.append(release.id, epoch, "entered", state.value, data)
        if state in TERMINAL and epoch:
            self.ledger.release_lock(release.ref, release.id, epoch)

    def _plan(self, release: Release, epoch: int) -> None:
        plan = make_plan(
            release,
            self.service.policy,
            route=self.ledger.get_route(release.ref),
            champion=self.ledger.get_alias(release.ref, "champion"),
            previous=self.ledger.get_alias(release.ref, "previous"),
            sets=[spec for spec, state in self.ledger.list_sets(release.ref) if state != "deleted"],
        )
        price = self.platform.price_per_hour_usd(self._spec(release, plan.green_set))
        plan = plan.model_copy(update={"estimated_usd": round(price * self.service.policy.budget.release_hours, 6)})
        data = {"reason": "planned", "plan_digest": plan.digest, "policy": self.service.policy.model_dump(mode="json")}
        self.ledger.append(release.id, epoch, "entered", ReleaseState.PLANNED.value, data, plan=plan)

    def _run_gates(self, release: Release, epoch: int, gates: tuple[Gate, ...]) -> None:
        rows = self.checks.run(gates, release)
        assert release.plan is not None
        self.ledger.add_evidence(
            release.id, rows, digest=release.digest, policy_digest=release.plan.policy_digest
        )
        for gate in gates:
            result = fold(gate, rows, self.checks.required.get(gate, frozenset()))
            self.ledger.append(release.id, epoch, "observed", f"gate:{gate.value}", {"verdict": result.verdict.value})

    def _spec(self, release: Release, name: str) -> SetSpec:
        known = self.ledger.get_set(name)
        if known is not None:
            return known[0]
        version = self.ledger.get_version(release.request.org, release.request.model, release.request.version)
        return SetSpec(
            name=name,
            org=release.request.org,
            service=release.request.service,
            release_id=release.id,
            digest=release.digest,
            artifact_path=version.path,
            context_tokens=self.service.context_tokens,
            parallel=self.service.parallel,
            threads=self.service.threads,
            max_memory_bytes=self.service.max_memory_bytes,
        )

    def _create(self, release: Release, epoch: int) -> None:
        """Find by name or create; no capacity parks the release and touches nothing else."""
        assert release.plan is not None
        spec = self._spec(release, release.plan.green_set)
        self.ledger.record_set(spec, platform=self.platform.name, epoch=epoch, state="wanted")
        try:
            status = self.platform.create(spec)
        except CapacityShortage as error:
            self._enter(release, epoch, ReleaseState.PARKED, {"reason": error.message})
            return
        self.ledger.append(release.id, epoch, "observed", "set", {"set": spec.name, "state": status.state.value})

    def _put_weights(self, release: Release, epoch: int, weights: Mapping[str, int]) -> None:
        """Publish with the addresses that the platform reports now."""
        current = self.ledger.get_route(release.ref)
        known = {upstream.set_name: upstream for upstream in current.upstreams} if current else {}
        upstreams = tuple(self._upstream(name, known.get(name)) for name in weights)
        route = Route(
            org=release.request.org,
            service=release.request.service,
            upstreams=upstreams,
            weights=dict(weights),
            newest=release.plan.green_set if release.plan and release.plan.green_set in weights else None,
        )
        self.ledger.put_route(route, epoch=epoch)

    def _upstream(self, name: str, known: Upstream | None) -> Upstream:
        status = self.platform.status(name)
        recorded = self.ledger.get_set(name)
        if status.host and status.port and recorded:
            return Upstream(
                set_name=name,
                host=status.host,
                port=status.port,
                digest=recorded[0].digest,
                release_id=recorded[0].release_id,
            )
        if known is not None:
            return known
        raise TidegateError(f"Set {name} has no address yet.", remedy="It must be ready before it is routed.")

    def _count_snapshot(self, release: Release) -> dict[str, Any]:
        plan = release.plan
        names = [name for name in (plan.green_set, plan.blue_set) if name] if plan else []
        counts = {name: self.ledger.counts(name) for name in names}
        return {name: value.model_dump(mode="json") for name, value in counts.items() if value}

    def _move_alias(self, release: Release, epoch: int, forward: bool) -> None:
        plan, ref = release.plan, release.ref
        assert plan is not None
        request = release.request
        version = self.ledger.get_version(request.org, request.model, request.version)
        blue = self._labelled(ref, plan.blue_version)
        pairs = [("champion", version), ("previous", blue)]
        if not forward:
            pairs = [("champion", blue), ("previous", self._labelled(ref, plan.previous_version))]
        reason = f"release {release.id}" if forward else f"release {release.id} was rolled back: {release.reason}"
        for alias, target in reversed(pairs):
            self.ledger.set_alias(ref, alias, target, actor=request.requested_by, reason=reason, epoch=epoch)

    def _labelled(self, ref: ServiceRef, label: str | None) -> Any:
        if label is None:
            return None
        name, _, version = label.partition(":")
        return self.ledger.get_version(ref.org, name, version)

    @contextmanager
    def _heartbeat(self, release_id: str) -> Generator[None]:
        """Say every two seconds that this owner lives, also while a long check runs."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                self.ledger.heartbeat(release_id, self.owner)

        self.ledger.heartbeat(release_id, self.owner)
        thread = threading.Thread(target=beat, name=f"heartbeat-{release_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

