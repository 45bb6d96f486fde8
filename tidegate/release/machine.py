"""The release state machine: journal + observation -> exactly one step. Pure.

One step is one outside effect or one journal write, so that a crash between any two is only a state.
Timers stop, hold or roll back; they never promote. S1 to S10 are the invariants of docs/architecture.md.
"""

from tidegate.domain import Gate, Policy, ReleaseState, SetState, Verdict
from tidegate.release.going_back import hold, rolling_back
from tidegate.release.guards import (
    age_s,
    approver_of,
    ask_policy,
    awaits_commit,
    begin_rollback,
    bring_to_weight,
    commit_or_ask,
    gate_step,
    go_on_looking,
    green_lost,
    look_s,
    ready_text,
    reasons_of,
    shift_to,
    take_out,
    was_tried,
    weights_with_green_at,
)
from tidegate.release.observation import Observation, View
from tidegate.release.step import (
    AcquireLock,
    CreateSet,
    Enter,
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
from tidegate.release.window import judge_window

State = ReleaseState
PARK_RETRY_S = 15.0

VALIDATION_GATES = (Gate.AUTHORIZATION, Gate.STRUCTURE, Gate.INFERENCE)
WARMING_GATES = (Gate.IDENTITY, Gate.PROBES)
JUDGING_GATES = (Gate.PERFORMANCE, Gate.QUALITY)
ALL_GATES = VALIDATION_GATES + WARMING_GATES + JUDGING_GATES


def decide(view: View, seen: Observation, policy: Policy) -> Step:
    """The one next step of a release. Total: every state and observation has an answer."""
    if view.release.is_over:
        return Stop(view.release.reason)
    if view.abort is not None and view.state is not State.ROLLING_BACK:
        step = _abort(view, seen)
        if step is not None:
            return step
    return _DECISIONS[view.state](view, seen, policy)


def _abort(view: View, seen: Observation) -> Step | None:
    """A person's wish to stop. After COMMITTING began the way back is a rollback of its own."""
    assert view.abort is not None
    reason = f"stopped by {view.abort.data.get('actor', 'unknown')}: {view.abort.data.get('reason', '')}"
    if view.state in _BEFORE_ANY_SET and not awaits_commit(view):
        return Enter(State.REJECTED, reason)
    if view.state in (State.COMMITTING, State.RETIRING):
        return None
    return begin_rollback(reason, "abort")


def _requested(view: View, seen: Observation, policy: Policy) -> Step:
    if view.release.epoch == 0 or view.release.epoch != seen.lock_epoch:
        if age_s(view, seen) > policy.deadlines.park_s:
            return Enter(State.REJECTED, "another release held the service until this one's deadline")
        return AcquireLock()
    if seen.already_live:
        return Enter(State.DONE, "this digest already serves all traffic of the service")
    return MakePlan()


def _planned(view: View, seen: Observation, policy: Policy) -> Step:
    if view.plan.kind == "rollback":
        return Enter(State.PROVISIONING, "the target served before: no judging")
    return Enter(State.VALIDATING, "plan made")


def _await_approval(view: View, seen: Observation, policy: Policy) -> Step:
    if awaits_commit(view):
        return _await_commit(view, seen, policy)
    if view.approval is not None:
        return Enter(State.VALIDATING, f"approved by {view.approval.data.get('actor', 'unknown')}")
    return Stop("a named person must approve")


def _await_commit(view: View, seen: Observation, policy: Policy) -> Step:
    """All traffic is on the new set and the old one is warm. Harm and the deadline bring the old one back; only a
    person goes on."""
    lost = green_lost(view, seen)
    if lost is not None:
        return lost
    approver = approver_of(view, policy)
    step = bring_to_weight(view, seen, 100)
    if step is not None and (approver is not None or not isinstance(step, Wait)):
        return step
    if step is None:
        verdict, why = judge_window(seen.window, policy.shift, look_s=look_s(view, seen), bake=True)
        if verdict is Verdict.FAIL:
            return begin_rollback(why, "evidence")
        if approver is not None:
            return Enter(State.COMMITTING, f"approved by {approver}")
    if age_s(view, seen) > policy.approval.wait_s:
        return begin_rollback(f"nobody approved it within {policy.approval.wait_s:.0f} s", "approval")
    return Stop("a named person must approve before it is committed")


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
    if age_s(view, seen) > policy.deadlines.park_s:
        return Enter(State.REJECTED, "no capacity before the deadline; the live set was not touched")
    if age_s(view, seen) >= PARK_RETRY_S:
        return Enter(State.PROVISIONING, "trying again for capacity")
    return Stop("parked: the platform has no capacity; tried again by reconcile")


def _warming(view: View, seen: Observation, policy: Policy) -> Step:
    lost = green_lost(view, seen)
    if lost is not None:
        return lost
    weights = weights_with_green_at(view, seen, 0)
    if not seen.is_routed(view.plan.green_set):
        return PutWeights(weights)
    late = age_s(view, seen) > policy.deadlines.warm_s
    if not seen.route_confirmed or view.plan.green_set not in seen.healthy_sets:
        return (
            begin_rollback("no gateway could reach the new set in time", "provision")
            if late
            else Wait("gateway")
        )
    is_rollback = view.plan.kind == "rollback"
    step = gate_step(view, seen, (Gate.IDENTITY,) if is_rollback else WARMING_GATES)
    if isinstance(step, str):
        return begin_rollback(step, "evidence")
    if step is not None:
        return step
    return shift_to(view.plan, 0) if is_rollback else Enter(State.JUDGING, "the set serves the right file")


def _judging(view: View, seen: Observation, policy: Policy) -> Step:
    lost = green_lost(view, seen)
    if lost is not None:
        return lost
    seen, settled = ask_policy(view, seen, policy, JUDGING_GATES)
    undecided = [gate for gate in JUDGING_GATES if seen.gates.get(gate) is Verdict.NOT_JUDGED]
    failed = [gate for gate in JUDGING_GATES if seen.gates.get(gate) is Verdict.FAIL]
    if undecided and not failed and was_tried(view, undecided):
        return Enter(
            State.HOLD,
            f"not judged: {reasons_of(seen, undecided)}",
            {"from": State.JUDGING.value, "step": -1},
        )
    step = gate_step(view, seen, JUDGING_GATES)
    if isinstance(step, str):
        # Nothing was proven against a version that was only not judged: it goes, but not into quarantine.
        is_proven = any(gate not in settled for gate in failed)
        return begin_rollback(step, "evidence" if is_proven or not failed else "not_judged")
    let_through = [gate for gate, result in settled.items() if result.verdict is Verdict.PASS]
    why = "".join(f"; {gate.value} was not judged and the policy says pass" for gate in let_through)
    return step or shift_to(view.plan, 0, f"gates passed{why}")


def _shifting(view: View, seen: Observation, policy: Policy) -> Step:
    index = int(view.data["step"])
    lost = green_lost(view, seen)
    if lost is not None:
        return lost
    step = bring_to_weight(view, seen, view.plan.ladder[index])
    if step is not None:
        late = age_s(view, seen) > policy.shift.step_deadline_s
        return (
            begin_rollback("the gateways did not confirm the weights in time", "provision") if late else step
        )
    if view.plan.kind == "rollback":
        return Enter(State.COMMITTING, "every gateway confirmed the rollback")
    verdict, why = judge_window(seen.window, policy.shift, look_s=look_s(view, seen))
    if verdict is Verdict.FAIL:
        return begin_rollback(why, "evidence")
    if verdict is Verdict.PASS:
        if index + 1 < len(view.plan.ladder):
            return shift_to(view.plan, index + 1, why)
        return Enter(State.BAKING, why)
    if age_s(view, seen) > policy.shift.step_deadline_s:
        return Enter(State.HOLD, f"not judged: {why}", {"from": State.SHIFTING.value, "step": index})
    return go_on_looking(view, seen, policy, policy.shift.look_s, why)


def _baking(view: View, seen: Observation, policy: Policy) -> Step:
    lost = green_lost(view, seen)
    if lost is not None:
        return lost
    step = bring_to_weight(view, seen, 100)
    if step is not None:
        return step
    verdict, why = judge_window(seen.window, policy.shift, look_s=look_s(view, seen), bake=True)
    if verdict is Verdict.FAIL:
        return begin_rollback(why, "evidence")
    if verdict is Verdict.PASS:
        return commit_or_ask(policy, why)
    if age_s(view, seen) > policy.shift.bake_s + policy.shift.step_deadline_s:
        return Enter(
            State.HOLD, f"not judged: {why}", {"from": State.BAKING.value, "step": len(view.plan.ladder)}
        )
    return go_on_looking(view, seen, policy, policy.shift.bake_s, why)


def _committing(view: View, seen: Observation, policy: Policy) -> Step:
    lost = green_lost(view, seen)
    if lost is not None and seen.champion_digest != view.plan.green_digest:
        return lost
    if seen.champion_digest != view.plan.green_digest:
        return MoveAlias(forward=True)
    return Enter(State.RETIRING, "the alias points at the new version")


def _retiring(view: View, seen: Observation, policy: Policy) -> Step:
    """Weight and alias are asserted again before anything is removed; S2, S4 and S9 hold by this order."""
    green = view.plan.green_set
    kept = [name for name in (view.plan.blue_set,) if name and policy.shift.keep_previous > 0]
    if seen.champion_digest != view.plan.green_digest:
        return MoveAlias(forward=True)
    if not seen.green.is_ready:
        return Wait("the new set is not ready at the moment; nothing is removed", 0.5)
    wanted = {green: 100} | {name: 0 for name in kept if seen.is_routed(name)}
    if seen.route is None or dict(seen.route.weights) != wanted:
        return PutWeights(wanted)
    if not seen.route_confirmed:
        late = age_s(view, seen) > policy.shift.step_deadline_s
        return (
            Stop("no gateway confirms; reconcile goes on later")
            if late
            else Wait("gateways confirm final weights")
        )
    for name in seen.recorded_sets:
        if name in (green, *kept):
            continue
        return take_out(view, seen, policy, name)
    if seen.green.digest != view.plan.green_digest:
        return Wait("the new set must report its digest")
    if view.plan.kind == "rollback" and "quarantine" not in view.observed and view.plan.blue_digest:
        return Quarantine(
            view.plan.blue_digest, f"rolled back: {view.release.request.reason or 'no reason given'}"
        )
    return Enter(State.DONE, f"all traffic is on {view.release.request.model}:{view.release.request.version}")


_BEFORE_ANY_SET = frozenset(
    {State.REQUESTED, State.PLANNED, State.AWAIT_APPROVAL, State.VALIDATING, State.PARKED}
)

_DECISIONS = {
    State.REQUESTED: _requested,
    State.PLANNED: _planned,
    State.AWAIT_APPROVAL: _await_approval,
    State.VALIDATING: _validating,
    State.PROVISIONING: _provisioning,
    State.PARKED: _parked,
    State.WARMING: _warming,
    State.JUDGING: _judging,
    State.SHIFTING: _shifting,
    State.BAKING: _baking,
    State.COMMITTING: _committing,
    State.RETIRING: _retiring,
    State.ROLLING_BACK: rolling_back,
    State.HOLD: hold,
}
