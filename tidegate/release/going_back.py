"""The way back: ROLLING_BACK. Traffic first, then the alias, then the new set. Pure."""

from tidegate.domain import Policy, ReleaseState, SetState
from tidegate.release.guards import age_s
from tidegate.release.judging import EVALUATED
from tidegate.release.looking import prove_identity
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, MoveAlias, Observe, PutWeights, Quarantine, Step, Wait
from tidegate.release.weights import serve_without_old, start_again, take_out

State = ReleaseState
PROVEN_HARM = frozenset({"evidence"})
"""Triggers that say something about the file. A set that died or a deadline says nothing about it."""


def rolling_back(view: View, seen: Observation, policy: Policy) -> Step:
    """Never to a set that is not ready now (S3), and nothing is removed while the old set cannot serve (S2)."""
    blue = view.plan.blue_set
    if not seen.route_confirmed and age_s(view, seen) > policy.deadlines.rollback_wait_s:
        return _ask_person(view, "no gateway confirms the rollback")
    if blue is None:
        return _withdraw(view, seen, policy)
    if seen.blue is None or not seen.blue.is_ready:
        return _await_target(view, seen, policy, blue)
    if seen.weight(blue) != 100 or (seen.route is not None and seen.route.mirror is not None):
        rest = dict.fromkeys(seen.route.weights, 0) if seen.route else {}
        return PutWeights(rest | {blue: 100})
    if not seen.route_confirmed:
        return Wait("gateways are confirming the rollback", 0.02)
    if "traffic" not in view.observed:
        return Observe("traffic", {"weights": dict(seen.route.weights) if seen.route else {}})
    if seen.champion_digest != view.plan.blue_digest:
        return MoveAlias(forward=False)
    proof = prove_identity(view, blue)
    if isinstance(proof, str):
        return _ask_person(view, f"the old set is not what it should be: {proof}", unproven=True)
    return proof or _clean_up_green(view, seen, policy)


def _withdraw(view: View, seen: Observation, policy: Policy) -> Step:
    """A first release has nothing to go back to: with live traffic on a ready set a person decides (S1)."""
    serves = seen.weight(view.plan.green_set) > 0 and seen.green.is_ready
    if serves and view.data.get("trigger") != "abort":
        return _ask_person(view, "there is no earlier version to go back to")
    return _clean_up_green(view, seen, policy)


def _ask_person(view: View, why: str, *, unproven: bool = False) -> Step:
    data = {"from": State.ROLLING_BACK.value, "step": -1, "trigger": view.data.get("trigger", "")}
    if unproven:
        data["unproven"] = True
    return Enter(State.HOLD, f"{view.release.reason}; {why}", data)


def _clean_up_green(view: View, seen: Observation, policy: Policy) -> Step:
    green, blue = view.plan.green_set, view.plan.blue_set
    is_there = seen.green.state is not SetState.ABSENT or green in seen.recorded_sets
    if seen.is_routed(green) or (is_there and green not in seen.left_sets):
        return take_out(view, seen, policy, green)
    if blue is not None and (seen.blue is None or seen.blue.digest != view.plan.blue_digest):
        return Wait("the old set must prove which file it serves", 0.2)
    trigger = str(view.data.get("trigger", ""))
    if trigger in PROVEN_HARM and "quarantine" not in view.observed:
        return Quarantine(view.plan.green_digest, view.release.reason)
    if trigger == EVALUATED:
        return Enter(State.EVALUATED, view.release.reason)
    return Enter(State.ROLLED_BACK, view.release.reason, {"trigger": trigger})


def _await_target(view: View, seen: Observation, policy: Policy, blue: str) -> Step:
    """No ready target: whatever is ready serves meanwhile (S1), the target is started, and then a person is asked."""
    step = serve_without_old(view, seen, 0)
    if step is not None:
        return step
    if age_s(view, seen) > policy.deadlines.rollback_wait_s:
        return _ask_person(view, f"the rollback target {blue} is not ready")
    return start_again(view, seen, blue, seen.blue) or Wait("the rollback target is not ready yet")
