"""JUDGING: what is found out about the new set before live traffic reaches it, copies of it included. Pure."""

from tidegate.domain import Gate, Mirror, Policy, ReleaseState, Verdict
from tidegate.release.approvals import ask, wants_increase
from tidegate.release.guards import (
    ask_policy,
    back_by_gates,
    begin_rollback,
    gate_step,
    green_lost,
    reasons_of,
    shift_to,
    was_tried,
    without_old,
)
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, PutWeights, Step, Wait
from tidegate.release.weights import weights_with_green_at

State = ReleaseState
ORDER = (Gate.PERFORMANCE, Gate.QUALITY, Gate.REPLAY, Gate.SHADOW)
"""Cheapest answer first; copies of live requests last, when everything else is known."""
EVALUATED = "evaluated"
"""Trigger of the way back of a release that was only to be looked at."""


def judging(view: View, seen: Observation, policy: Policy) -> Step:
    step = green_lost(view, seen) or without_old(view, seen, 0, -1)
    if step is not None:
        return step
    gates = tuple(gate for gate in ORDER if gate.value in view.plan.gates)
    seen, settled = ask_policy(view, seen, policy, gates)
    undecided = [gate for gate in gates if seen.gates.get(gate) is Verdict.NOT_JUDGED]
    failed = [gate for gate in gates if seen.gates.get(gate) is Verdict.FAIL]
    if undecided and not failed and was_tried(view, undecided):
        return Enter(
            State.HOLD,
            f"not judged: {reasons_of(seen, undecided)}",
            {"from": State.JUDGING.value, "step": -1},
        )
    step = gate_step(view, seen, tuple(gate for gate in gates if gate is not Gate.SHADOW))
    if step is None and Gate.SHADOW in gates:
        step = _shadow(view, seen, policy)
    if isinstance(step, str):
        # Nothing was proven against a version that was only not judged: it goes, but not into quarantine.
        return back_by_gates(seen, tuple(gate for gate in gates if gate not in settled), step)
    if step is not None:
        return step
    let_through = [gate for gate, result in settled.items() if result.verdict is Verdict.PASS]
    why = "".join(f"; {gate.value} was not judged and the policy says pass" for gate in let_through)
    return after_judging(view, policy, f"gates passed{why}")


def after_judging(view: View, policy: Policy, why: str) -> Enter:
    """Judged without live traffic: on to the first step of the ladder, or, where none was wanted, away again."""
    if not view.plan.ladder:
        return begin_rollback(f"{why}; looked at only, as planned", EVALUATED)
    if wants_increase(view, policy, 0):
        return ask(view, "increase", why)
    return shift_to(view.plan, 0, why)


def _shadow(view: View, seen: Observation, policy: Policy) -> Step | str | None:
    """Copies on, confirmed, judged, and off again before anything else happens."""
    mirror = Mirror(set_name=view.plan.green_set, percent=policy.shift.shadow_percent)
    weights = weights_with_green_at(view, seen, 0)
    is_open = seen.gates.get(Gate.SHADOW) not in (Verdict.PASS, Verdict.FAIL)
    wanted = mirror if is_open and not was_tried(view, [Gate.SHADOW]) else None
    if seen.route is None or seen.route.mirror != wanted:
        return PutWeights(weights, wanted)
    if not seen.route_confirmed:
        return Wait("gateways are confirming the copies", 0.02)
    return gate_step(view, seen, (Gate.SHADOW,))
