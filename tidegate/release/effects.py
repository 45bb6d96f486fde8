"""Carries out the steps that `decide` chose. Every effect is idempotent and fenced by the epoch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidegate.domain import (
    TERMINAL,
    CapacityShortage,
    Evidence,
    Fenced,
    Gate,
    Mirror,
    ModelVersion,
    NeedsOperator,
    Release,
    ReleaseState,
    Route,
    ServiceConfig,
    SetState,
    Transient,
    Upstream,
    fold,
)
from tidegate.domain.names import ServiceRef
from tidegate.release import step as do
from tidegate.release.plan_reading import read_plan, spec_of
from tidegate.release.ports import LEFT, Checks, Ledger, SetPlatform
from tidegate.release.step import Step
from tidegate.release.weights import stand_in_of


@dataclass(frozen=True)
class Effects:
    ledger: Ledger
    platform: SetPlatform
    checks: Checks
    service: ServiceConfig
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def make(self, release: Release, epoch: int, step: Step) -> None:
        """Carry out one step. Every effect is idempotent: a crash after it only means doing it again."""
        match step:
            case do.Enter() | do.Intend() | do.Observe():
                self._write(release, epoch, step)
            case do.MakePlan():
                self._plan(release, epoch)
            case do.RunGates(gates):
                self._run_gates(release, epoch, gates)
            case do.CreateSet() | do.StartSet() | do.DeleteSet() | do.LeaveSet():
                self._change_set(release, epoch, step)
            case do.PutWeights(weights, mirror):
                self._put_weights(release, epoch, weights, mirror)
            case do.Rehearse(name, weights):
                self._rehearse(release, epoch, name, weights)
            case do.ProveIdentity(sets):
                found = self.checks.prove_identity(release, sets)
                self.ledger.append(release.id, epoch, "observed", "identity", found)
            case do.MoveAlias() | do.Quarantine() | do.HoldService():
                self._record(release, epoch, step)
            case do.SendProbes(count):
                self._send_probes(release, epoch, count)
            case do.AcquireLock() | do.Wait() | do.Stop():
                raise AssertionError(f"{step} is the controller's, not an effect")

    def _write(self, release: Release, epoch: int, step: do.Enter | do.Intend | do.Observe) -> None:
        match step:
            case do.Enter(state, reason, data, rows):
                if rows:
                    self._store(release, epoch, rows)
                self._enter(release, epoch, state, {"reason": reason, **data})
            case do.Intend(name):
                self.ledger.append(release.id, epoch, "intent", name)
            case do.Observe(name, data):
                extra = self._publication(release) if "weights" in data else {}
                self.ledger.append(release.id, epoch, "observed", name, {**data, **extra})

    def _publication(self, release: Release) -> dict[str, Any]:
        """When the weights that every gateway just confirmed were written: what a switch took is told by this."""
        route = self.ledger.get_route(release.ref)
        if route is None or route.published_at is None:
            return {}
        return {"published_at": route.published_at.isoformat(), "generation": route.generation}

    def _record(
        self, release: Release, epoch: int, step: do.MoveAlias | do.Quarantine | do.HoldService
    ) -> None:
        match step:
            case do.MoveAlias(forward):
                self._move_alias(release, epoch, forward)
            case do.Quarantine(digest, reason):
                self.ledger.quarantine(
                    release.request.org, digest, reason=reason, release_id=release.id, epoch=epoch
                )
                self.ledger.append(
                    release.id, epoch, "observed", "quarantine", {"digest": digest, "reason": reason}
                )
            case do.HoldService(reason):
                actor = release.request.requested_by
                self.ledger.hold_service(
                    release.ref, reason=reason, actor=actor, release_id=release.id, epoch=epoch
                )
                self.ledger.append(release.id, epoch, "observed", "held", {"reason": reason})

    def _change_set(
        self, release: Release, epoch: int, step: do.CreateSet | do.StartSet | do.DeleteSet | do.LeaveSet
    ) -> None:
        match step:
            case do.CreateSet():
                self._create(release, epoch)
            case do.StartSet(name):
                self._start(release, epoch, name)
            case do.LeaveSet(name):
                self.ledger.set_state(name, LEFT, epoch=epoch)
            case do.DeleteSet(name):
                self._check_fence(release, epoch)
                self.platform.delete(name)
                self.ledger.set_state(name, "deleted", epoch=epoch)

    def _start(self, release: Release, epoch: int, name: str) -> None:
        """Started, or made anew from its recorded spec when the platform lost it."""
        self._check_fence(release, epoch)
        status = self.platform.status(name)
        known = self.ledger.get_set(name)
        try:
            if status.state is SetState.ABSENT and known is not None:
                status = self.platform.create(known[0])
            else:
                status = self.platform.start(name)
            found = status.state.value
        except CapacityShortage as error:
            found = error.message
        self.ledger.append(release.id, epoch, "observed", f"start:{name}", {"found": found})

    def _rehearse(self, release: Release, epoch: int, name: str, weights: Mapping[str, int]) -> None:
        """The switch of a rehearsal, while streams of our own run through it."""
        met = self.checks.switch_under_streams(
            release, lambda: self._put_weights(release, epoch, weights, None)
        )
        self.ledger.append(release.id, epoch, "observed", name, {"weights": dict(weights), **met})

    def _check_fence(self, release: Release, epoch: int) -> None:
        """A platform cannot be fenced: look once more right before something is destroyed."""
        if self.ledger.current_epoch(release.ref) != epoch:
            raise Fenced(f"Release {release.id} was taken over.", remedy="The newer owner finishes it.")

    def _send_probes(self, release: Release, epoch: int, count: int) -> None:
        assert release.plan is not None
        blue = release.plan.blue_set
        sets = (
            (release.plan.green_set, blue) if blue and self._may_answer(blue) else (release.plan.green_set,)
        )
        answered = self.checks.send_probes(release, sets, count)
        self.ledger.append(release.id, epoch, "observed", "probes", {"wanted": count, "answered": answered})

    def _may_answer(self, name: str) -> bool:
        try:
            return self.platform.status(name).is_ready
        except Transient:
            return True

    def _enter(self, release: Release, epoch: int, state: ReleaseState, data: dict[str, Any]) -> None:
        self.ledger.append(release.id, epoch, "entered", state.value, data)
        if state in TERMINAL and epoch:
            self.ledger.release_lock(release.ref, release.id, epoch)

    def _plan(self, release: Release, epoch: int) -> None:
        """Where a plan was told beforehand, exactly that one is carried out, or none."""
        plan = read_plan(self.ledger, self.platform, self.service, release, self.clock())
        told = release.request.plan_digest
        if told and (other := plan.differs_from(told)):
            reason = f"the plan is not the one that was told: {plan.tell(other)}"
            self._enter(release, epoch, ReleaseState.REJECTED, {"reason": reason, "differs": list(other)})
            return
        data = {
            "reason": "planned",
            "plan_digest": plan.digest,
            "policy": self.service.policy.model_dump(mode="json"),
        }
        self.ledger.append(release.id, epoch, "entered", ReleaseState.PLANNED.value, data, plan=plan)

    def _run_gates(self, release: Release, epoch: int, gates: tuple[Gate, ...]) -> None:
        rows = self.checks.run(gates, release)
        self._store(release, epoch, rows)
        for gate in gates:
            required = self.checks.required.get(gate, frozenset()) | self.service.policy.declared_checks(gate)
            result = fold(gate, rows, required)
            self.ledger.append(
                release.id, epoch, "observed", f"gate:{gate.value}", {"verdict": result.verdict.value}
            )

    def _store(self, release: Release, epoch: int, rows: Sequence[Evidence]) -> None:
        assert release.plan is not None
        self.ledger.add_evidence(
            release.id,
            rows,
            digest=release.digest,
            policy_digest=release.plan.policy_digest,
            epoch=epoch,
        )

    def _create(self, release: Release, epoch: int) -> None:
        """Find by name or create; no capacity parks the release and touches nothing else."""
        assert release.plan is not None
        spec = spec_of(self.ledger, self.service, release, release.plan.green_set)
        self.ledger.record_set(spec, platform=self.platform.name, epoch=epoch, state="wanted")
        try:
            status = self.platform.create(spec)
        except CapacityShortage as error:
            self._enter(release, epoch, ReleaseState.PARKED, {"reason": error.message})
            return
        self.ledger.append(
            release.id, epoch, "observed", "set", {"set": spec.name, "state": status.state.value}
        )

    def _put_weights(
        self, release: Release, epoch: int, weights: Mapping[str, int], mirror: Mirror | None
    ) -> None:
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
            mirror=mirror,
            sticky=self.service.policy.shift.sticky,
            stand_in=stand_in_of(release.plan, upstreams, weights, self._is_quarantined(release.request.org)),
        )
        self.ledger.put_route(route, epoch=epoch)

    def _is_quarantined(self, org: str) -> Callable[[str], bool]:
        return lambda digest: self.ledger.quarantine_reason(org, digest) is not None

    def _upstream(self, name: str, known: Upstream | None) -> Upstream:
        try:
            status = self.platform.status(name)
        except Transient:
            if known is None:
                raise
            # It has a route already: moving its share must not wait for a vendor that cannot be asked.
            return known
        recorded = self.ledger.get_set(name)
        if status.host and status.port and recorded:
            return Upstream(
                set_name=name,
                host=status.host,
                port=status.port,
                digest=recorded[0].digest,
                release_id=recorded[0].release_id,
                tls=status.tls,
                path_prefix=status.path_prefix,
                credential=status.credential,
            )
        if known is not None:
            return known
        raise NeedsOperator(f"Set {name} has no address yet.", remedy="It must be ready before it is routed.")

    def _move_alias(self, release: Release, epoch: int, forward: bool) -> None:
        plan, ref = release.plan, release.ref
        assert plan is not None
        request = release.request
        version = self.ledger.get_version(request.org, request.model, request.version)
        blue = self._labelled(ref, plan.blue_version)
        # What a rollback leaves is quarantined: nobody shall be sent back to it.
        pairs = [("champion", version), ("previous", None if plan.kind == "rollback" else blue)]
        if not forward:
            pairs = [("champion", blue), ("previous", self._labelled(ref, plan.previous_version))]
        reason = (
            f"release {release.id}" if forward else f"release {release.id} was rolled back: {release.reason}"
        )
        for alias, target in reversed(pairs):
            self.ledger.set_alias(ref, alias, target, actor=request.requested_by, reason=reason, epoch=epoch)

    def _labelled(self, ref: ServiceRef, label: str | None) -> ModelVersion | None:
        if label is None:
            return None
        name, _, version = label.partition(":")
        return self.ledger.get_version(ref.org, name, version)
