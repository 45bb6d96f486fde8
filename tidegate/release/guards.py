"""Pieces of the decision that several states share. Pure."""

from dataclasses import replace

from tidegate.domain import Gate, GateResult, Plan, Policy, ReleaseState, SetState, SetStatus, Verdict, settle
from tidegate.release.observation import Observation, View
from tidegate.release.step import Enter, RunGates, Step
from tidegate.release.weights import is_lost, serve_without_old

State = ReleaseState
MAX_GATE_ATTEMPTS = 2
NOT_JUDGED = "not_judged"
"""Trigger of the way back of a release of which too little is known."""


def gate_step(view: View, seen: Observation, gates: tuple[Gate, ...]) -> Step | str | None:
    """Run what has no verdict, return a text when a gate forbids going on, None when all passed (S7)."""
    for gate in gates:
        if seen.gates.get(gate) is Verdict.FAIL:
            return f"{gate.value} gate: {reasons_of(seen, [gate])}"
    open_gates = tuple(gate for gate in gates if seen.gates.get(gate) is not Verdict.PASS)
    if not open_gates:
        return None
    exhausted = [gate for gate in open_gates if view.gate_attempts.get(gate.value, 0) >= MAX_GATE_ATTEMPTS]
    if exhausted:
        return f"{exhausted[0].value} gate could not be judged: {reasons_of(seen, exhausted[:1])}"
    return RunGates(open_gates)


def was_tried(view: View, gates: list[Gate]) -> bool:
    """Measured as often as is allowed: what is still undecided is a question for a person."""
    return all(view.gate_attempts.get(gate.value, 0) >= MAX_GATE_ATTEMPTS for gate in gates)


def ask_policy(
    view: View, seen: Observation, policy: Policy, gates: tuple[Gate, ...]
) -> tuple[Observation, dict[Gate, GateResult]]:
    """What is seen, with the policy's word about gates that were measured as often as is allowed and still not
    judged; and those gates by themselves."""
    settled: dict[Gate, GateResult] = {}
    for gate in gates:
        if seen.gates.get(gate) is Verdict.NOT_JUDGED and was_tried(view, [gate]):
            found = GateResult(
                gate=gate,
                verdict=Verdict.NOT_JUDGED,
                reasons=seen.gate_reasons.get(gate, ()),
                is_measured=gate in seen.measured_gates,
            )
            settled[gate] = settle(found, policy.when_not_judged(gate))
    verdicts = {gate: result.verdict for gate, result in settled.items()}
    reasons = {gate: result.reasons for gate, result in settled.items()}
    told = replace(seen, gates={**seen.gates, **verdicts}, gate_reasons={**seen.gate_reasons, **reasons})
    return told, settled


def reasons_of(seen: Observation, gates: list[Gate]) -> str:
    texts = [text.rstrip(".") for gate in gates for text in seen.gate_reasons.get(gate, ())]
    return "; ".join(texts) or "no evidence"


def green_lost(view: View, seen: Observation) -> Step | None:
    """The new set died, was removed, or had to be restarted since it was proven: harm at once."""
    green = seen.green
    known = view.facts.get(State.WARMING.value)
    restarts_before = int(known.data.get("restarts", 0)) if known else 0
    if green.state in (SetState.FAILED, SetState.ABSENT, SetState.STOPPED, SetState.STOPPING):
        return begin_rollback(
            f"the new set was lost ({green.state.value}): {green.message or 'no message'}", "set_lost"
        )
    if green.restarts > restarts_before:
        return begin_rollback("the new set died and was restarted by its platform", "set_lost")
    if green.state in (SetState.READY, SetState.DEGRADED) and green.digest not in (
        None,
        view.plan.green_digest,
    ):
        return begin_rollback(f"the new set reports another file: {green.digest}", "evidence")
    return None


def without_old(view: View, seen: Observation, percent: int, step: int) -> Step | None:
    """The old set is gone while it should serve: its share goes to the new one, and nothing is judged or moved on
    until it is back, or a person decides."""
    if percent == 100 or not is_lost(seen.blue):
        return None
    data = {"from": view.state.value, "step": step, "lost": True}
    why = f"the old set {view.plan.blue_set} was lost; the new one serves its share"
    return serve_without_old(view, seen, percent) or Enter(State.HOLD, why, data)


def shift_to(plan: Plan, index: int, why: str = "gates passed") -> Enter:
    if plan.blue_set is None:
        index = len(plan.ladder) - 1
    weight = plan.ladder[index]
    return Enter(State.SHIFTING, f"{why}; {weight} % of live traffic", {"step": index, "weight": weight})


def begin_rollback(reason: str, trigger: str) -> Enter:
    return Enter(State.ROLLING_BACK, reason, {"trigger": trigger})


def back_by_gates(seen: Observation, gates: tuple[Gate, ...], reason: str) -> Enter:
    """The way back after gates that did not pass. Only a verdict of FAIL says something about the file: a gate that
    could not be asked keeps it off traffic, and not out of the next release."""
    is_proven = any(seen.gates.get(gate) is Verdict.FAIL for gate in gates)
    return begin_rollback(reason, "evidence" if is_proven else NOT_JUDGED)


def ready_text(green: SetStatus) -> str:
    return f"ready after {green.load_seconds:.1f} s" if green.load_seconds is not None else "ready"


def age_s(view: View, seen: Observation) -> float:
    return (seen.now - view.entered_at).total_seconds()
