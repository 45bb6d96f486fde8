"""AWAIT_APPROVAL and HOLD: a person decides, while gates, money and time go on, and traffic follows health. Pure."""

from tidegate.domain import Policy, ReleaseState, Verdict
from tidegate.release.approvals import approver_of, question_of
from tidegate.release.climbing import commit_or_ask, next_rung
from tidegate.release.guards import age_s, begin_rollback, green_lost, shift_to
from tidegate.release.judging import after_judging
from tidegate.release.looked import resting_on_look
from tidegate.release.looking import judge_look, limits_of
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, PutWeights, Step, Stop, Wait
from tidegate.release.weights import (
    bring_to_weight,
    is_lost,
    serve_without_old,
    start_again,
    weight_of,
    weights_with_green_at,
)

State = ReleaseState


def await_approval(view: View, seen: Observation, policy: Policy) -> Step:
    """Harm and the deadline bring the old set back; only a person goes on."""
    question = question_of(view)
    approver = approver_of(view, seen, policy)
    if question == "start":
        return _await_start(view, seen, policy, approver)
    step = _keep_watch(view, seen, policy, is_answered=approver is not None)
    if isinstance(step, Wait) and age_s(view, seen) > policy.approval.wait_s:
        return begin_rollback(f"approved, and not possible in time: {step.reason}", "deadline")
    if step is not None:
        return step
    if approver is not None:
        why = f"approved by {approver}"
        if question == "commit":
            return Enter(State.COMMITTING, why)
        return shift_to(view.plan, int(view.data.get("step", -1)) + 1, why)
    if age_s(view, seen) > policy.approval.wait_s:
        return begin_rollback(f"nobody approved it within {policy.approval.wait_s:.0f} s", "approval")
    return Stop(f"a named person must approve: {question}")


def _await_start(view: View, seen: Observation, policy: Policy, approver: str | None) -> Step:
    if approver is not None:
        return Enter(State.VALIDATING, f"approved by {approver}")
    if age_s(view, seen) > policy.approval.wait_s:
        return Enter(State.REJECTED, f"nobody approved it within {policy.approval.wait_s:.0f} s")
    return Stop("a named person must approve: start")


def hold(view: View, seen: Observation, policy: Policy) -> Step:
    """Something could not be judged or needs a decision. Without one by the deadline the old set has its traffic."""
    origin = State(view.data.get("from", State.JUDGING.value))
    if origin is State.ROLLING_BACK:
        return _hold_of_rollback(view, seen, policy)
    approver = approver_of(view, seen, policy)
    step = _keep_watch(view, seen, policy, is_answered=approver is not None)
    is_late = age_s(view, seen) > policy.deadlines.hold_s and origin is not State.RETIRING
    if isinstance(step, Wait) and is_late:
        return begin_rollback(f"not possible in time: {step.reason}", "deadline")
    if step is not None:
        return step
    if view.data.get("lost"):
        is_back = seen.blue is not None and seen.blue.is_ready and seen.route_confirmed
        if is_back and seen.weight(view.plan.green_set) == weight_of(view):
            return Enter(origin, "the old set is back", {"step": view.data.get("step", -1)})
        if approver is None and age_s(view, seen) <= policy.deadlines.rollback_wait_s:
            return Wait("the old set is starting", 0.2)
        if origin is State.JUDGING:
            # Gates that never ran cannot be answered by a person (S7): only the old set, or a stop, leads on.
            approver = None
    if approver is None:
        if is_late:
            return begin_rollback(f"nobody decided within {policy.deadlines.hold_s:.0f} s", "deadline")
        return Stop(view.release.reason)
    return _go_on(view, policy, origin, f"approved by {approver}")


def _go_on(view: View, policy: Policy, origin: ReleaseState, why: str) -> Step:
    match origin:
        case State.SHIFTING:
            return next_rung(view, policy, int(view.data.get("step", -1)), why)
        case State.BAKING:
            return commit_or_ask(view, policy, why)
        case State.RETIRING:
            return Enter(State.RETIRING, why)
        case _:
            return after_judging(view, policy, why)


def _hold_of_rollback(view: View, seen: Observation, policy: Policy) -> Step:
    """The way back is open again as soon as its target is ready; until then whatever is ready serves (S1). A target
    that could not prove its file is asked again when a person says so: by itself that would go round for ever."""
    blue = view.plan.blue_set
    has_target = blue is not None and seen.blue is not None and seen.blue.is_ready
    may_go_on = has_target or (blue is None and seen.weight(view.plan.green_set) == 0)
    is_open = not view.data.get("unproven") or approver_of(view, seen, policy) is not None
    if may_go_on and is_open and seen.route_confirmed:
        return begin_rollback(view.release.reason, str(view.data.get("trigger", "")))
    if has_target and is_lost(seen.green) and seen.weight(view.plan.green_set) > 0:
        # Not proven, and better than one that is gone (S1).
        return PutWeights(weights_with_green_at(view, seen, 0))
    step = serve_without_old(view, seen, 0)
    if step is None and blue is not None:
        step = start_again(view, seen, blue, seen.blue)
    return step or Stop(view.release.reason)


def _keep_watch(view: View, seen: Observation, policy: Policy, *, is_answered: bool) -> Step | None:
    """What goes on while somebody thinks: loss, harm and health. A plain wait is left out unless there is an answer."""
    percent = weight_of(view)
    step = green_lost(view, seen)
    if step is not None:
        return step
    if is_lost(seen.blue) and percent < 100:
        assert view.plan.blue_set is not None, "only a set of the plan has a state"
        return serve_without_old(view, seen, percent) or start_again(
            view, seen, view.plan.blue_set, seen.blue
        )
    step = bring_to_weight(view, seen, percent)
    if step is not None:
        return step if is_answered or not isinstance(step, Wait) else None
    if percent > 0:
        limits = limits_of(policy, max(0, int(view.data.get("step", 0))))
        verdict, why = judge_look(view, seen, limits, bake=percent == 100)
        if verdict is Verdict.FAIL:
            return resting_on_look(begin_rollback(why, "evidence"), view, seen, verdict, why)
    return None
