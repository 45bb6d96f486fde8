"""Pieces of the decision that several states share. Pure."""

from dataclasses import replace

from tidegate.domain import Gate, GateResult, Plan, Policy, ReleaseState, SetState, SetStatus, Verdict, settle
from tidegate.release.observation import Observation, View
from tidegate.release.step import DeleteSet, Enter, Observe, PutWeights, RunGates, SendProbes, Step, Wait

State = ReleaseState
MAX_GATE_ATTEMPTS = 2
PROBE_PAUSE_S = 2.0


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


def bring_to_weight(view: View, seen: Observation, percent: int) -> Step | None:
    """Bring live traffic to `percent` on green, and note the counts once every gateway confirmed it."""
    wanted = weights_with_green_at(view, seen, percent)
    if seen.route is None or dict(seen.route.weights) != wanted:
        if percent < 100 and (seen.blue is None or not seen.blue.is_ready):
            return Wait("the old set is not ready at the moment; weights stay")
        return PutWeights(wanted)
    if not seen.route_confirmed:
        return Wait("gateways are confirming the weights", 0.02)
    if "weights" not in view.observed:
        return Observe("weights", {"weights": wanted})
    return None


def go_on_looking(view: View, seen: Observation, policy: Policy, needed_s: float, why: str) -> Step:
    """The look was long enough and still too few requests came: probe, if the policy allows it."""
    had = seen.window.new.requests if seen.window else 0
    missing = policy.shift.min_requests - had
    is_due = look_s(view, seen) >= needed_s + PROBE_PAUSE_S * view.probe_rounds
    if seen.window is not None and missing > 0 and is_due and policy.shift.thin_traffic == "probe":
        return SendProbes(missing)
    return Wait(why)


def weights_with_green_at(view: View, seen: Observation, percent: int) -> dict[str, int]:
    """Weights with `percent` on green, the rest on blue; a first release has only 0 or 100."""
    green, blue = view.plan.green_set, view.plan.blue_set
    if blue is None:
        return {green: 100 if percent > 0 else 0}
    others = {name: 0 for name in seen.route.weights if name not in (green, blue)} if seen.route else {}
    return others | {green: percent, blue: 100 - percent}


def take_out(view: View, seen: Observation, policy: Policy, name: str) -> Step:
    """Out of the route, confirmed, drained, then deleted: capacity never falls with its weight (S9)."""
    if seen.is_routed(name):
        rest = {
            other: weight
            for other, weight in (seen.route.weights if seen.route else {}).items()
            if other != name
        }
        if seen.weight(name) > 0 and any(rest.values()):
            raise AssertionError(f"S2: {name} still carries {seen.weight(name)} % of the traffic")
        return PutWeights(rest)
    if not seen.route_confirmed:
        return Wait("gateways are confirming the removal")
    marker = view.observed.get(f"unrouted:{name}")
    if marker is None:
        return Observe(f"unrouted:{name}")
    waited_s = (seen.now - marker.at).total_seconds()
    if seen.active_requests.get(name, 0) > 0 and waited_s < policy.shift.drain_s:
        return Wait(f"{seen.active_requests[name]} requests are still in flight on {name}")
    return DeleteSet(name)


def shift_to(plan: Plan, index: int, why: str = "gates passed") -> Enter:
    if plan.blue_set is None:
        index = len(plan.ladder) - 1
    weight = plan.ladder[index]
    return Enter(State.SHIFTING, f"{why}; {weight} % of live traffic", {"step": index, "weight": weight})


def commit_or_ask(policy: Policy, why: str) -> Enter:
    """Judged good at 100 percent: what remains is a person's word, where the policy wants one."""
    if policy.approval.before_commit:
        return Enter(State.AWAIT_APPROVAL, f"{why}; a person must approve it", {"from": State.BAKING.value})
    return Enter(State.COMMITTING, why)


def awaits_commit(view: View) -> bool:
    """It waits for an approval with live traffic on its set, not before anything was made."""
    return view.state is State.AWAIT_APPROVAL and view.data.get("from") == State.BAKING.value


def approver_of(view: View, policy: Policy) -> str | None:
    """Who approved: somebody whom the policy names (or anybody, where it names nobody), and exactly this plan."""
    given = view.approval
    if given is None or given.data.get("plan_digest") != view.plan.digest:
        return None
    actor = str(given.data.get("actor", ""))
    is_named = not policy.approval.approvers or actor in policy.approval.approvers
    return actor if actor and is_named else None


def begin_rollback(reason: str, trigger: str) -> Enter:
    return Enter(State.ROLLING_BACK, reason, {"trigger": trigger})


def ready_text(green: SetStatus) -> str:
    return f"ready after {green.load_seconds:.1f} s" if green.load_seconds is not None else "ready"


def age_s(view: View, seen: Observation) -> float:
    return (seen.now - view.entered_at).total_seconds()


def look_s(view: View, seen: Observation) -> float:
    return (seen.now - view.observed["weights"].at).total_seconds()
