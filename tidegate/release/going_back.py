"""The way back: ROLLING_BACK and HOLD. Traffic first, then the alias, then the new set. Pure."""

from tidegate.domain import Policy, ReleaseState, SetState
from tidegate.release.guards import age_s, begin_rollback, commit_or_ask, green_lost, shift_to, take_out
from tidegate.release.observation import Observation, View
from tidegate.release.step import (
    Enter,
    MoveAlias,
    Observe,
    PutWeights,
    Quarantine,
    StartSet,
    Step,
    Stop,
    Wait,
)

State = ReleaseState


def rolling_back(view: View, seen: Observation, policy: Policy) -> Step:
    """Traffic first, then alias, then the new set. Never to a set that is not ready now (S3)."""
    blue = view.plan.blue_set
    if not seen.route_confirmed and age_s(view, seen) > policy.deadlines.rollback_wait_s:
        return _ask_person(view, "no gateway confirms the rollback")
    if blue is None:
        return _withdraw(view, seen, policy)
    if seen.weight(blue) != 100:
        if seen.blue is None or not seen.blue.is_ready:
            return _await_target(view, seen, policy)
        rest = dict.fromkeys(seen.route.weights, 0) if seen.route else {}
        return PutWeights(rest | {blue: 100})
    if not seen.route_confirmed:
        return Wait("gateways are confirming the rollback", 0.02)
    if "traffic" not in view.observed:
        return Observe("traffic", {"weights": dict(seen.route.weights) if seen.route else {}})
    if seen.champion_digest != view.plan.blue_digest:
        return MoveAlias(forward=False)
    return _clean_up_green(view, seen, policy)


def _withdraw(view: View, seen: Observation, policy: Policy) -> Step:
    """A first release has nothing to go back to: with live traffic on a ready set a person decides (S1)."""
    serves = seen.weight(view.plan.green_set) > 0 and seen.green.is_ready
    if serves and view.data.get("trigger") != "abort":
        return _ask_person(view, "there is no earlier version to go back to")
    return _clean_up_green(view, seen, policy)


def _ask_person(view: View, why: str) -> Step:
    data = {"from": State.ROLLING_BACK.value, "step": -1, "trigger": view.data.get("trigger", "")}
    return Enter(State.HOLD, f"{view.release.reason}; {why}", data)


def _clean_up_green(view: View, seen: Observation, policy: Policy) -> Step:
    green, blue = view.plan.green_set, view.plan.blue_set
    if seen.is_routed(green) or seen.green.state is not SetState.ABSENT or green in seen.recorded_sets:
        return take_out(view, seen, policy, green)
    if blue is not None and (seen.blue is None or seen.blue.digest != view.plan.blue_digest):
        return Wait("the old set must prove which file it serves", 0.2)
    if view.data.get("trigger") == "evidence" and "quarantine" not in view.observed:
        return Quarantine(view.plan.green_digest, view.release.reason)
    return Enter(State.ROLLED_BACK, view.release.reason, {"trigger": view.data.get("trigger", "")})


def _await_target(view: View, seen: Observation, policy: Policy) -> Step:
    """No ready rollback target: start it, wait for it, and after the deadline ask a person."""
    blue = view.plan.blue_set
    assert blue is not None
    if age_s(view, seen) > policy.deadlines.rollback_wait_s:
        return _ask_person(view, f"the rollback target {blue} is not ready")
    if seen.blue is not None and seen.blue.state in (SetState.STOPPED, SetState.FAILED):
        return StartSet(blue)
    return Wait("the rollback target is not ready yet")


def hold(view: View, seen: Observation, policy: Policy) -> Step:
    """A person decides. Traffic stays where it is unless the new set is lost."""
    origin = State(view.data.get("from", State.JUDGING.value))
    if origin is State.ROLLING_BACK:
        has_target = view.plan.blue_set is not None and seen.blue is not None and seen.blue.is_ready
        may_go_on = has_target or (view.plan.blue_set is None and seen.weight(view.plan.green_set) == 0)
        if may_go_on and seen.route_confirmed:
            return begin_rollback(view.release.reason, str(view.data.get("trigger", "")))
        return Stop(view.release.reason)
    lost = green_lost(view, seen)
    if lost is not None:
        return lost
    if view.approval is None:
        return Stop(view.release.reason)
    following = int(view.data.get("step", -1)) + 1
    why = f"approved by {view.approval.data.get('actor', 'unknown')}"
    if following < len(view.plan.ladder):
        return shift_to(view.plan, following, why)
    return Enter(State.BAKING, why) if origin is State.SHIFTING else commit_or_ask(policy, why)
