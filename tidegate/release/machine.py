"""The release state machine: journal + observation -> exactly one step. Pure.

One step is one outside effect or one journal write, so that a crash between any two is only a state.
Timers stop, hold or roll back; they never promote. S1 to S10 are the invariants of docs/architecture.md.
"""

from tidegate.domain import Gate, Policy, ReleaseState, SetState
from tidegate.release import climbing, going_back, waiting
from tidegate.release.approvals import ask
from tidegate.release.guards import (
    age_s,
    back_by_gates,
    begin_rollback,
    gate_step,
    green_lost,
    ready_text,
    shift_to,
)
from tidegate.release.judging import judging
from tidegate.release.looking import is_lying, prove_identity
from tidegate.release.observation import Observation, View
from tidegate.release.step import (
    AcquireLock,
    CreateSet,
    DeleteSet,
    Enter,
    HoldService,
    Intend,
    MakePlan,
    MoveAlias,
    PutWeights,
    Quarantine,
    StartSet,
    Step,
    Stop,
    Wait,
)
from tidegate.release.weights import is_doomed, is_lost, start_again, take_out, weights_with_green_at

State = ReleaseState
PARK_RETRY_S = 15.0

VALIDATION_GATES = (Gate.AUTHORIZATION, Gate.STRUCTURE, Gate.INFERENCE)
WARMING_GATES = (Gate.IDENTITY, Gate.PROBES)
JUDGING_GATES = (Gate.PERFORMANCE, Gate.QUALITY)
ALL_GATES = VALIDATION_GATES + WARMING_GATES + JUDGING_GATES
"""Gates of every release; a plan may have more of them."""


def decide(view: View, seen: Observation, policy: Policy) -> Step:
    """The one next step of a release. Total: every state and observation has an answer."""
    if view.release.is_over:
        return Stop(view.release.reason)
    for stop in (_abort, _overrun):
        step = stop(view, seen, policy)
        if step is not None:
            return step
    return _DECISIONS[view.state](view, seen, policy)


def _abort(view: View, seen: Observation, policy: Policy) -> Step | None:
    """A person's wish to stop. After COMMITTING began the way back is a rollback of its own."""
    if view.abort is None or view.state in (State.ROLLING_BACK, State.COMMITTING, State.RETIRING):
        return None
    if view.data.get("from") == State.ROLLING_BACK.value:
        # It is on its way back already, and waits for a set to go back to.
        return None
    told = view.abort.data
    reason = f"stopped by {told.get('actor', 'unknown')}: {told.get('reason', '')}"
    return _give_up(view, seen, reason, str(told.get("trigger", "abort")))


def _overrun(view: View, seen: Observation, policy: Policy) -> Step | None:
    """Money and time that the plan allows (S8). A way back is never stopped by either."""
    if view.state in _UNBOUNDED or view.release.plan is None or view.plan.kind == "rollback":
        return None
    if view.data.get("from") in (State.ROLLING_BACK.value, State.RETIRING.value):
        return None
    cap = policy.budget.max_release_usd
    if seen.spent_usd > cap:
        return _give_up(view, seen, f"its sets have cost {seen.spent_usd:.2f} USD of {cap:.2f}", "budget")
    planned = view.facts.get(State.PLANNED.value)
    if planned and (seen.now - planned.at).total_seconds() > policy.deadlines.release_s:
        return _give_up(view, seen, f"not committed within {policy.deadlines.release_s:.0f} s", "deadline")
    return None


def _give_up(view: View, seen: Observation, reason: str, trigger: str) -> Step:
    return begin_rollback(reason, trigger) if _has_set(view) else _reject(view, seen, reason)


def _reject(view: View, seen: Observation, reason: str) -> Step:
    """A call that found no room may have made the set all the same, or make it later: it is removed and marked so,
    and reconcile removes what comes after that (S5)."""
    if view.state is State.PARKED and view.plan.green_set in seen.recorded_sets:
        return DeleteSet(view.plan.green_set)
    return Enter(State.REJECTED, reason)


def _has_set(view: View) -> bool:
    """Whether a set of this release may exist: then the way back goes through ROLLING_BACK."""
    if view.state is State.AWAIT_APPROVAL:
        return view.data.get("from") not in (None, State.PLANNED.value)
    return view.state not in _BEFORE_ANY_SET


def _requested(view: View, seen: Observation, policy: Policy) -> Step:
    if view.release.epoch == 0 or view.release.epoch != seen.lock_epoch:
        if age_s(view, seen) > policy.deadlines.park_s:
            return Enter(State.REJECTED, "another release held the service until this one's deadline")
        return AcquireLock()
    if seen.already_live:
        if view.release.request.trigger == "rollback" and "held" not in view.observed:
            return HoldService(f"rolled back (by {view.release.request.requested_by})")
        return Enter(State.DONE, "this digest already serves all traffic of the service")
    return MakePlan()


def _planned(view: View, seen: Observation, policy: Policy) -> Step:
    if view.plan.kind == "rollback":
        return Enter(State.PROVISIONING, "the target served before: no judging")
    if policy.approval.before_start:
        return ask(view, "start", "plan made")
    return Enter(State.VALIDATING, "plan made")


def _validating(view: View, seen: Observation, policy: Policy) -> Step:
    """One gate at a time: a file that fails the structural gate is never loaded."""
    for gate in VALIDATION_GATES:
        step = gate_step(view, seen, (gate,))
        if isinstance(step, str):
            return Enter(State.REJECTED, step, {"gate": gate.value})
        if step is not None:
            return step
    return Enter(State.PROVISIONING, "the artifact may be deployed")


def _provisioning(view: View, seen: Observation, policy: Policy) -> Step:
    name = view.plan.green_set
    if f"create:{name}" not in view.intents:
        return Intend(f"create:{name}")
    if seen.green.state is SetState.FAILED:
        return begin_rollback(f"the new set did not start: {seen.green.message}", "provision")
    if age_s(view, seen) > policy.deadlines.provision_s:
        return begin_rollback(
            f"the new set was not ready within {policy.deadlines.provision_s:.0f} s", "provision"
        )
    if seen.green.state is SetState.STOPPED:
        return StartSet(name)
    if seen.green.state is SetState.ABSENT:
        return CreateSet()
    if seen.green.is_ready:
        return Enter(State.WARMING, ready_text(seen.green), {"restarts": seen.green.restarts})
    return Wait("the new set is loading the model")


def _parked(view: View, seen: Observation, policy: Policy) -> Step:
    since = view.parked_since or view.entered_at
    if (seen.now - since).total_seconds() > policy.deadlines.park_s:
        return _reject(view, seen, "no capacity before the deadline; the live set was not touched")
    if age_s(view, seen) >= PARK_RETRY_S:
        return Enter(State.PROVISIONING, "trying again for capacity")
    return Stop("parked: the platform has no capacity; tried again by reconcile")


def _warming(view: View, seen: Observation, policy: Policy) -> Step:
    lost = green_lost(view, seen)
    if lost is not None:
        return lost
    late = age_s(view, seen) > policy.deadlines.warm_s
    if not seen.is_routed(view.plan.green_set) or seen.is_elsewhere(view.plan.green_set, seen.green):
        if seen.green.is_ready:
            return PutWeights(weights_with_green_at(view, seen, 0))
        # A call of an owner that was fenced off may have started it anew: it has no address yet.
        why = "the new set was not ready in time"
        return begin_rollback(why, "provision") if late else Wait("the new set is not ready at the moment")
    if not seen.route_confirmed or view.plan.green_set not in seen.healthy_sets:
        return (
            begin_rollback("no gateway could reach the new set in time", "provision")
            if late
            else Wait("gateway")
        )
    is_rollback = view.plan.kind == "rollback"
    gates = (Gate.IDENTITY,) if is_rollback else WARMING_GATES
    step = gate_step(view, seen, gates)
    if isinstance(step, str):
        return back_by_gates(seen, gates, step)
    if step is not None:
        return step
    return shift_to(view.plan, 0) if is_rollback else Enter(State.JUDGING, "the set serves the right file")


def _committing(view: View, seen: Observation, policy: Policy) -> Step:
    lost = green_lost(view, seen)
    if lost is not None and seen.champion_digest != view.plan.green_digest:
        return lost
    if seen.champion_digest != view.plan.green_digest:
        return MoveAlias(forward=True)
    return Enter(State.RETIRING, "the alias points at the new version")


def _retiring(view: View, seen: Observation, policy: Policy) -> Step:
    """Weight and alias are asserted again, and the served file is proven, before anything is removed; S2, S4 and
    S9 hold by this order."""
    green = view.plan.green_set
    kept = [name for name in (view.plan.blue_set,) if name and policy.shift.keep_previous > 0]
    if seen.champion_digest != view.plan.green_digest:
        return MoveAlias(forward=True)
    if not seen.green.is_ready:
        return _without_new(view, seen, policy)
    wanted = {green: 100} | {name: 0 for name in kept if seen.is_routed(name)}
    if seen.route is None or dict(seen.route.weights) != wanted or seen.route.mirror is not None:
        return PutWeights(wanted)
    if not seen.route_confirmed:
        late = age_s(view, seen) > policy.shift.step_deadline_s
        return (
            Stop("no gateway confirms; reconcile goes on later")
            if late
            else Wait("gateways confirm final weights")
        )
    proof = prove_identity(view, green)
    if isinstance(proof, str):
        found = "serves another file" if is_lying(view, green) else "is not proven"
        data = {"from": State.RETIRING.value, "step": len(view.plan.ladder)}
        return Enter(State.HOLD, f"nothing is removed while the new set {found}: {proof}", data)
    if proof is not None:
        return proof
    for name in seen.recorded_sets:
        if name not in (green, *kept):
            return take_out(view, seen, policy, name)
    if seen.green.digest != view.plan.green_digest:
        return Wait("the new set must report its digest")
    return _after_a_rollback(view) or Enter(
        State.DONE, f"all traffic is on {view.release.request.model}:{view.release.request.version}"
    )


def _without_new(view: View, seen: Observation, policy: Policy) -> Step:
    """The new set does not run, and nothing is removed (S2). While the old one does, traffic goes back to it (S1)."""
    blue = view.plan.blue_set
    has_old = blue is not None and seen.blue is not None and seen.blue.is_ready
    is_ours = blue is not None and blue not in seen.left_sets and not is_doomed(view, blue)
    if is_lost(seen.green) and has_old and is_ours:
        return begin_rollback(f"the new set was lost ({seen.green.state.value}) after the commit", "set_lost")
    again = start_again(view, seen, view.plan.green_set, seen.green)
    if again is None and age_s(view, seen) > policy.shift.step_deadline_s:
        return Stop("the new set is not ready and nothing is removed; reconcile goes on later")
    return again or Wait("the new set is not ready at the moment; nothing is removed", 0.5)


def _after_a_rollback(view: View) -> Step | None:
    """What was rolled back may not come back by itself: its file is in quarantine, and the service is held."""
    if view.plan.kind != "rollback":
        return None
    request = view.release.request
    reason = f"rolled back: {request.reason or 'no reason given'}"
    if "quarantine" not in view.observed and view.plan.blue_digest:
        return Quarantine(view.plan.blue_digest, reason)
    if "held" not in view.observed:
        return HoldService(f"{reason} (by {request.requested_by})")
    return None


_BEFORE_ANY_SET = frozenset({State.REQUESTED, State.PLANNED, State.VALIDATING, State.PARKED})
_UNBOUNDED = frozenset({State.REQUESTED, State.COMMITTING, State.RETIRING, State.ROLLING_BACK})

_DECISIONS = {
    State.REQUESTED: _requested,
    State.PLANNED: _planned,
    State.AWAIT_APPROVAL: waiting.await_approval,
    State.VALIDATING: _validating,
    State.PROVISIONING: _provisioning,
    State.PARKED: _parked,
    State.WARMING: _warming,
    State.JUDGING: judging,
    State.SHIFTING: climbing.shifting,
    State.BAKING: climbing.baking,
    State.COMMITTING: _committing,
    State.RETIRING: _retiring,
    State.ROLLING_BACK: going_back.rolling_back,
    State.HOLD: waiting.hold,
}
