"""SHIFTING and BAKING: live traffic moves up as far as evidence goes. Pure."""

from tidegate.domain import Gate, Policy, ReleaseState, Verdict
from tidegate.release.approvals import ask, wants_increase
from tidegate.release.guards import (
    age_s,
    back_by_gates,
    begin_rollback,
    gate_step,
    green_lost,
    shift_to,
    without_old,
)
from tidegate.release.looked import resting_on_look
from tidegate.release.looking import (
    go_on_looking,
    hold_for_identity,
    is_lying,
    judge_look,
    limits_of,
    prove_identity,
)
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, Rehearse, Step, Wait
from tidegate.release.weights import bring_to_weight, serve_without_old, start_again, weights_with_green_at

State = ReleaseState
REHEARSED = ("rehearsal:old", "rehearsal:new")


def shifting(view: View, seen: Observation, policy: Policy) -> Step:
    index = int(view.data["step"])
    step = green_lost(view, seen) or without_old(view, seen, view.plan.ladder[index], index)
    if step is not None:
        return step
    step = bring_to_weight(view, seen, view.plan.ladder[index])
    if step is not None:
        late = age_s(view, seen) > policy.shift.step_deadline_s
        return (
            begin_rollback("the gateways did not confirm the weights in time", "provision") if late else step
        )
    if view.plan.kind == "rollback":
        return Enter(State.COMMITTING, "every gateway confirmed the rollback")
    step = _prove(view, index)
    if step is not None:
        return step
    limits = limits_of(policy, index)
    verdict, why = judge_look(view, seen, limits)
    if verdict is Verdict.FAIL:
        step = begin_rollback(why, "evidence")
    elif verdict is Verdict.PASS:
        step = next_rung(view, policy, index, why)
    elif age_s(view, seen) > policy.shift.step_deadline_s:
        step = Enter(State.HOLD, f"not judged: {why}", {"from": State.SHIFTING.value, "step": index})
    else:
        return go_on_looking(view, seen, policy, limits, why)
    return resting_on_look(step, view, seen, verdict, why)


def next_rung(view: View, policy: Policy, index: int, why: str) -> Enter:
    """One step up, after a person's word where one is wanted; at the top it bakes."""
    following = index + 1
    if following >= len(view.plan.ladder):
        return Enter(State.BAKING, why)
    if wants_increase(view, policy, following):
        return ask(view, "increase", why, step=index)
    return shift_to(view.plan, following, why)


def baking(view: View, seen: Observation, policy: Policy) -> Step:
    step = green_lost(view, seen) or _rehearse(view, seen, policy) or bring_to_weight(view, seen, 100)
    if step is not None:
        return step
    step = _prove(view, len(view.plan.ladder))
    if step is not None:
        return step
    verdict, why = judge_look(view, seen, policy.shift, bake=True)
    if verdict is Verdict.FAIL:
        step = begin_rollback(why, "evidence")
    elif verdict is Verdict.PASS:
        step = _commit(view, seen, policy, why)
    elif age_s(view, seen) > policy.shift.bake_s + policy.shift.step_deadline_s:
        data = {"from": State.BAKING.value, "step": len(view.plan.ladder)}
        step = Enter(State.HOLD, f"not judged: {why}", data)
    else:
        return go_on_looking(view, seen, policy, policy.shift, why)
    return resting_on_look(step, view, seen, verdict, why)


def _commit(view: View, seen: Observation, policy: Policy, why: str) -> Step:
    """Judged good at 100 percent: what remains is the rehearsal's verdict and a person's word, where wanted."""
    if Gate.REHEARSAL.value in view.plan.gates:
        step = gate_step(view, seen, (Gate.REHEARSAL,))
        if isinstance(step, str):
            return back_by_gates(seen, (Gate.REHEARSAL,), step)
        if step is not None:
            return step
    return commit_or_ask(view, policy, why)


def commit_or_ask(view: View, policy: Policy, why: str) -> Enter:
    if policy.approval.before_commit:
        return ask(view, "commit", why)
    return Enter(State.COMMITTING, why)


def _rehearse(view: View, seen: Observation, policy: Policy) -> Step | None:
    """To the old set and to the new one again, each under streams of our own. Only when the old one is ready now."""
    if Gate.REHEARSAL.value not in view.plan.gates or "weights" not in view.observed:
        return None
    for name, percent in zip(REHEARSED, (0, 100), strict=True):
        if name not in view.observed:
            if seen.blue is None or not seen.blue.is_ready:
                return _old_is_missing(view, seen, policy)
            return Rehearse(name, weights_with_green_at(view, seen, percent))
    return None


def _old_is_missing(view: View, seen: Observation, policy: Policy) -> Step:
    """It may have died in the middle of the rehearsal, with all traffic on it (S1)."""
    step = serve_without_old(view, seen, 0)
    if step is not None:
        return step
    if age_s(view, seen) > policy.shift.bake_s + policy.shift.step_deadline_s:
        data = {"from": State.BAKING.value, "step": len(view.plan.ladder)}
        return Enter(State.HOLD, "not rehearsed: the old set is not ready", data)
    assert view.plan.blue_set is not None, "a first release is not rehearsed"
    again = start_again(view, seen, view.plan.blue_set, seen.blue)
    return again or Wait("the old set is not ready for the rehearsal")


def _prove(view: View, index: int) -> Step | None:
    """Which file every worker of both sets serves, once at each step of the ladder."""
    proof = prove_identity(view, view.plan.green_set, view.plan.blue_set)
    if not isinstance(proof, str):
        return proof
    if is_lying(view, view.plan.green_set):
        return begin_rollback(f"the new set serves another file: {proof}", "evidence")
    return hold_for_identity(view, proof, index)
