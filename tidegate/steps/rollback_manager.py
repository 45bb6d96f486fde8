"""The way back of a service: look, check, go. It asks the one machine; it has no second way to move traffic.

A rollback is the stop of the release under way, or a release of an older digest. Both are journalled, fenced by the
epoch, and go on wherever their process dies.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.correlation import bind
from tidegate.domain import (
    Fenced,
    Release,
    ReleaseRequest,
    ReleaseState,
    Secret,
    ServiceRef,
    idempotency_key,
)
from tidegate.domain.release import ROLLBACK
from tidegate.steps.pipeline import StepOutcome, resume
from tidegate.steps.ports import Ports
from tidegate.steps.proof import Asker, identify, rollback_wish
from tidegate.steps.rollback import OWNER_POLL_S, is_owner_alive, stop_release
from tidegate.steps.rollback_safety import SafetyReport, check_safety
from tidegate.steps.rollback_target import AFTER_THE_POINT_OF_RECORD, Target, find_target
from tidegate.steps.rollback_times import TIMES, Phases, phases_of
from tidegate.steps.snapshot import Snapshot, take_snapshot
from tidegate.steps.traffic_watch import TrafficWatch

log = logging.getLogger("tidegate.release")
MANUAL = "manual"
TOKENS = "rollback by token"
OWNER_GRACE_S = 1.0
"""A living owner sees a stop within a tenth of a second, unless it is in a long check: then it is fenced off."""
ASKING = frozenset({ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL, ReleaseState.PARKED})


@dataclass(frozen=True)
class RollbackOutcome:
    """`way`: see `Target`. `release` carried it out; None where nothing had to be done."""

    org: str
    service: str
    way: str
    target: str
    target_digest: str | None
    trigger: str
    release: str | None
    state: str
    reason: str
    is_back: bool
    """All traffic, the alias and what the sets report are the target's, as read back."""
    phases: Phases | None
    before: Snapshot | None
    after: Snapshot

    def as_data(self) -> dict[str, Any]:
        rest = asdict(self)
        for name in ("phases", "before", "after"):
            rest.pop(name)
        return rest | {
            "seconds": self.phases.seconds() if self.phases else {},
            "before": self.before.as_data() if self.before else None,
            "after": self.after.as_data(),
        }


@dataclass(frozen=True)
class Begun:
    """A wish that was recorded: what it is about, and the release that carries it out."""

    target: Target
    release: Release | None
    trigger: str
    before: Snapshot | None = None


class RollbackManager:
    """Rollbacks of the services of one installation. `sleep` belongs to tests."""

    def __init__(self, ports: Ports, *, sleep: Callable[[float], None] = time.sleep):
        self._ports = ports
        self._sleep = sleep

    def snapshot_current_state(self, ref: ServiceRef) -> Snapshot:
        """Weights, sets and what they report, aliases, gateways, the release under way and where its journal is."""
        return take_snapshot(self._ports, ref)

    def verify_rollback_safety(
        self, ref: ServiceRef, to: str | None = None, leaving: str | None = None
    ) -> SafetyReport:
        """What it would do now, and each precondition with its verdict. Changes nothing."""
        return check_safety(self._ports, ref, to, leaving)

    def execute_rollback(
        self,
        ref: ServiceRef,
        *,
        actor: str,
        reason: str,
        trigger: str = MANUAL,
        to: str | None = None,
        leaving: str | None = None,
        token: str | None = None,
        proof: Secret | None = None,
        asker: Asker | None = None,
        timeout_s: float = 300.0,
    ) -> RollbackOutcome:
        """Go back, verified, and tell how long each part took.

        `token` makes it the same rollback however often it is asked for; without one, a wish that comes while a
        rollback runs joins it, and one that comes just after it changes nothing. `proof` is a signed request.

        Raises: NotFound, Refused, as `begin`; Transient when something cannot be reached: ask again.
        """
        begun = self.begin(
            ref,
            actor=actor,
            reason=reason,
            trigger=trigger,
            to=to,
            leaving=leaving,
            token=token,
            proof=proof,
            asker=asker,
        )
        return self.carry_out(ref, begun, timeout_s)

    def begin(
        self,
        ref: ServiceRef,
        *,
        actor: str,
        reason: str,
        trigger: str = MANUAL,
        to: str | None = None,
        leaving: str | None = None,
        token: str | None = None,
        proof: Secret | None = None,
        asker: Asker | None = None,
    ) -> Begun:
        """Find out who asks, record the wish, hold the service, and say which release carries it out. `asker` is who
        was identified in another way: a monitor by its own secret, or this installation itself.

        Raises: NotFound when there is nothing to go back to, Refused when that is quarantined (S10), or when
        whoever asks may not.
        """
        ports = self._ports
        ports.service(ref)
        known = self._known(ref, token)
        if known is not None:
            return known
        active = ports.ledger.active_release(ref)
        if active is not None and active.request.trigger == "rollback" and to in (None, active.digest):
            return Begun(find_target(ports, ref, to), active, trigger)
        if asker is None:
            asker = identify(ports, rollback_wish(ports, ref, to or ""), actor, proof, active)
        before = take_snapshot(ports, ref)
        target = find_target(ports, ref, to, leaving)
        begun = Begun(target, self._record(ref, target, asker, reason, trigger), trigger, before)
        if token is not None and begun.release is not None:
            data = {
                "release": begun.release.id,
                "digest": target.digest,
                "way": target.way,
                "trigger": trigger,
            }
            ports.ledger.record_result(TOKENS, _token_key(ref, token), data)
        return begun

    def carry_out(self, ref: ServiceRef, begun: Begun, timeout_s: float = 300.0) -> RollbackOutcome:
        """Drive it to its end, or follow the owner that does. One that dies on the way is replaced by this process."""
        release, traffic = begun.release, None
        if release is not None and begun.target.way != "none":
            watch = TrafficWatch(self._ports, ref, lambda: self._set_of(begun))
            watch.start()
            try:
                release = self._drive(ref, release, timeout_s)
            finally:
                traffic = watch.finish()
        return self._outcome(ref, begun, release, traffic.isoformat() if traffic else None)

    def is_known(self, ref: ServiceRef, token: str) -> bool:
        """A rollback was asked for with this token before."""
        return self._known(ref, token) is not None

    def _known(self, ref: ServiceRef, token: str | None) -> Begun | None:
        """The rollback that this token asked for before, whether it is over or not."""
        kept = self._ports.ledger.result(TOKENS, _token_key(ref, token)) if token is not None else None
        if not kept:
            return None
        release = self._ports.ledger.get_release(kept["release"])
        way = "none" if release.is_over else "join"
        label = self._label(ref, kept["digest"])
        target = Target(way, kept["digest"], label, "asked for before with the same token", release=release)
        return Begun(target, release, kept["trigger"])

    def _label(self, ref: ServiceRef, digest: str | None) -> str:
        version = self._ports.ledger.version_by_digest(ref.org, digest) if digest else None
        return version.label if version else (digest or "none")[:12]

    def _record(
        self, ref: ServiceRef, target: Target, asker: Asker, reason: str, trigger: str
    ) -> Release | None:
        """The hold first: a crash after it leaves a service that nothing is released to, never one that gets the same
        version again by itself."""
        ports, release = self._ports, target.release
        if target.way in ("none", "join"):
            return release
        ports.ledger.hold_service(
            ref,
            reason=f"rolled back: {reason or 'no reason given'}",
            actor=asker.identity,
            release_id=release.id if release else None,
        )
        if target.way in ("stop", "stop_and_release"):
            assert release is not None, "something is stopped"
            if target.way == "stop" and asker.proof is not None:
                ports.ledger.spend(asker.proof, release.id)
            # A person may leave a service without any version; a monitor asks a person first.
            word = "abort" if trigger == MANUAL else trigger
            release = stop_release(ports, release.id, asker.identity, reason, word)
            if target.way == "stop":
                return release
        return self._request(ref, target, asker, reason)

    def _request(self, ref: ServiceRef, target: Target, asker: Asker, reason: str) -> Release:
        assert target.digest is not None
        version = self._ports.ledger.version_by_digest(ref.org, target.digest)
        assert version is not None, "a target is a registered version"
        request = ReleaseRequest(
            org=ref.org,
            service=ref.service,
            model=version.name,
            version=version.version,
            requested_by=asker.identity,
            trigger="rollback",
            reason=reason,
        )
        key = idempotency_key(ref, target.digest, request.trigger)
        release = self._ports.ledger.request_release(request, target.digest, key=key, proof=asker.proof)
        with bind(org=ref.org, service=ref.service, release_id=release.id):
            log.warning("rollback %s of %s was asked for", release.id, ref)
        return release

    def _drive(self, ref: ServiceRef, release: Release, timeout_s: float) -> Release:
        deadline = time.monotonic() + timeout_s
        patience = time.monotonic() + OWNER_GRACE_S
        while not release.is_over and time.monotonic() < deadline:
            holder = self._ports.ledger.active_release(ref)
            if holder is not None and holder.id != release.id:
                self._end_holder(holder, release, is_patient=time.monotonic() < patience)
            elif not self._is_driven(release, is_patient=time.monotonic() < patience):
                self._take_over(release)
                release = self._ports.ledger.get_release(release.id)
                if release.state in ASKING:
                    break
                continue
            self._sleep(OWNER_POLL_S)
            release = self._ports.ledger.get_release(release.id)
        return release

    def _end_holder(self, holder: Release, rollback: Release, *, is_patient: bool) -> None:
        """The release that has the service must end first; one without an owner is ended by this process. One that
        took the service while this wish was being recorded is stopped, as it would have been a moment later."""
        is_way_back = holder.request.trigger == ROLLBACK or holder.state in AFTER_THE_POINT_OF_RECORD
        if not is_way_back and all(one.kind != "abort" for one in self._ports.ledger.entries(holder.id)):
            asker = rollback.request.requested_by
            stop_release(self._ports, holder.id, asker, f"rollback {rollback.id} goes first", MANUAL)
        if not self._is_driven(holder, is_patient=is_patient):
            self._take_over(holder)

    def _is_driven(self, release: Release, *, is_patient: bool) -> bool:
        """A living owner is left alone while it is on the way back, or may still see the stop."""
        if not is_owner_alive(self._ports, release):
            return False
        is_back = release.state in (ReleaseState.ROLLING_BACK, ReleaseState.COMMITTING, ReleaseState.RETIRING)
        return is_patient or is_back or release.request.trigger == "rollback"

    def _take_over(self, release: Release) -> None:
        try:
            resume(self._ports, release.id)
        except Fenced:
            # Somebody else took it over in the same moment, and finishes it.
            return

    def _set_of(self, begun: Begun) -> str | None:
        """The set that shall get the traffic, once the plan says so."""
        if begun.release is None:
            return None
        plan = self._ports.ledger.get_release(begun.release.id).plan
        if plan is None:
            return None
        return plan.green_set if plan.kind == "rollback" else plan.blue_set

    def _outcome(
        self, ref: ServiceRef, begun: Begun, release: Release | None, traffic: str | None
    ) -> RollbackOutcome:
        ledger = self._ports.ledger
        if release is not None and release.is_over and traffic is not None:
            ledger.append(release.id, 0, "note", TIMES, {"traffic": traffic})
        after = take_snapshot(self._ports, ref)
        entries = ledger.entries(release.id) if release else []
        digest = begun.target.digest
        return RollbackOutcome(
            org=ref.org,
            service=ref.service,
            way=begun.target.way,
            target=begun.target.label,
            target_digest=digest,
            trigger=begun.trigger,
            release=release.id if release else None,
            state=release.state.value if release else "nothing to do",
            reason=release.reason if release else begun.target.why,
            is_back=after.serves_only(digest) if digest else not any(after.weights.values()),
            phases=phases_of(release, entries) if release else None,
            before=begun.before,
            after=after,
        )


def _token_key(ref: ServiceRef, token: str) -> str:
    """Of fixed length, and never the token itself: it may be worth something to its sender."""
    return f"{ref}/{hashlib.sha256(token.encode()).hexdigest()}"


def request_rollback(
    ports: Ports, ref: ServiceRef, actor: str, reason: str, proof: Secret | None = None
) -> Release:
    """Record the wish and say which release carries it out. Raises: NotFound, Refused."""
    begun = RollbackManager(ports).begin(ref, actor=actor, reason=reason, proof=proof)
    return _release_of(ports, ref, begun)


def bring_back(
    ports: Ports,
    ref: ServiceRef,
    actor: str,
    reason: str,
    proof: Secret | None = None,
    *,
    trigger: str = MANUAL,
    to: str | None = None,
    token: str | None = None,
) -> StepOutcome:
    """The rollback as a step of a flow: where the release stands that carried it out."""
    manager = RollbackManager(ports)
    begun = manager.begin(ref, actor=actor, reason=reason, trigger=trigger, to=to, token=token, proof=proof)
    manager.carry_out(ref, begun)
    release = ports.ledger.get_release(_release_of(ports, ref, begun).id)
    return StepOutcome(release.id, ref.org, ref.service, release.epoch, release.state, release.reason)


def _release_of(ports: Ports, ref: ServiceRef, begun: Begun) -> Release:
    if begun.release is not None:
        return begun.release
    return ports.ledger.list_releases(ref=ref, limit=1)[0]
