"""S1 to S10 as questions to every decision, to every call that is made, and to every place where a release rests."""

from collections.abc import Callable

from tests.model.seeing import NAMES
from tests.model.state import UNROUTED, WORDS, Op, State, is_confirmed, is_over
from tidegate.domain import Gate, Plan, Verdict
from tidegate.release import Observation, Step, View
from tidegate.release import step as do

ON_THE_WAY = frozenset(
    {
        "planned", "validating", "provisioning", "parked", "warming", "judging", "shifting", "baking", "hold",
        "await_approval",
    }
)  # fmt: skip
UPWARD = ("provisioning", "warming", "judging", "shifting", "baking", "committing")
BEFORE = {
    "provisioning": (Gate.AUTHORIZATION, Gate.STRUCTURE, Gate.INFERENCE),
    "judging": (Gate.IDENTITY, Gate.PROBES),
}


def of_step(state: State, view: View, seen: Observation, step: Step) -> str:
    """The first property that this decision breaks, with its name; empty when it breaks none."""
    for check in _CHECKS:
        found = check(state, view, seen, step)
        if found:
            return found
    return ""


def of_call(state: State, op: Op, *, is_stale: bool, fenced: frozenset[str]) -> str:
    """Asked right before a call is made."""
    if is_stale and op[0] in fenced:
        return f"S6: the ledger took {op[0]} from an owner that was fenced off"
    if op[0] == "evidence" and state.approval == "given" and state.look != "harm":
        return "S7: rows come that make an answer void although nothing happened"
    if op[0] == "delete":
        number = int(str(op[1]))
        if state.gateway[number] != UNROUTED:
            return f"S2: {WORDS[number]} is deleted while a gateway sends {state.gateway[number]} % to it"
        if state.silent and state.silent[number] != UNROUTED:
            return f"S2: {WORDS[number]} is deleted while a silent gateway may still send to it"
        if state.weights[number] != UNROUTED:
            return f"S2: {WORDS[number]} is deleted while it is routed"
    return ""


def _back(view: View) -> bool:
    return view.data.get("from") in ("rolling_back", "retiring")


def _s1_traffic_follows_health(state: State, view: View, seen: Observation, step: Step) -> str:
    """At rest no share lies on a lost set while another one of the plan is ready."""
    if not isinstance(step, do.Wait | do.Stop) or not state.plan or is_over(state):
        return ""
    if not is_confirmed(state) or state.state in ("provisioning", "parked", "planned", "validating"):
        return ""
    statuses = [one for one in (seen.green, seen.blue) if one is not None]
    lost = [
        one.name for one in statuses if one.state.value in ("failed", "absent") and seen.weight(one.name) > 0
    ]
    ready = [one.name for one in statuses if one.is_ready and not _is_given_up(view, seen, one.name)]
    is_bad = view.release.request.trigger == "rollback" and view.plan.blue_set in ready
    if lost and ready and not is_bad:
        return f"S1: rests in {state.state} with traffic on {_word(lost[0])}, which is lost, while {_word(ready[0])} is ready"
    return ""


def _is_given_up(view: View, seen: Observation, name: str) -> bool:
    """Its removal was announced, so an owner that was fenced off, or reconcile, may remove it at any moment."""
    return f"delete:{name}" in view.intents or name in seen.left_sets


def _s1_traffic_is_not_taken_away(state: State, view: View, seen: Observation, step: Step) -> str:
    if not isinstance(step, do.PutWeights | do.Rehearse) or any(step.weights.values()) or seen.route is None:
        return ""
    serving = [name for name, weight in seen.route.weights.items() if weight > 0 and _is_ready(state, name)]
    if serving and not (view.plan.blue_set is None and view.abort is not None):
        return f"S1: takes all traffic from {_word(serving[0])}, which is ready"
    return ""


def _s2_last_ready(state: State, view: View, seen: Observation, step: Step) -> str:
    if not isinstance(step, do.DeleteSet) or not _is_ready(state, step.name):
        return ""
    others = [name for name in NAMES if name != step.name and _is_ready(state, name)]
    if not others and any(weight > 0 for weight in state.weights[:-1]):
        return f"S2: deletes {_word(step.name)}, the last ready set"
    return ""


def _s3_only_ready_sets(state: State, view: View, seen: Observation, step: Step) -> str:
    if not isinstance(step, do.PutWeights | do.Rehearse):
        return ""
    for name, weight in step.weights.items():
        if weight > max(0, seen.weight(name)) and not _is_ready(state, name):
            return f"S3: puts {weight} % on {_word(name)}, which is not ready now"
    return ""


def _s4_end(state: State, view: View, seen: Observation, step: Step) -> str:
    """DONE and ROLLED_BACK mean that alias, weights and the served file agree."""
    if not isinstance(step, do.Enter):
        return ""
    plan = view.release.plan
    if step.state.value == "done" and plan is not None:
        return _all_on(state, view, seen, plan.green_set, plan.green_digest, "DONE")
    if step.state.value in ("rolled_back", "evaluated") and plan is not None and plan.blue_set is not None:
        return _all_on(state, view, seen, plan.blue_set, str(plan.blue_digest), "ROLLED_BACK")
    return ""


def _all_on(state: State, view: View, seen: Observation, name: str, file: str, end: str) -> str:
    wrong = {
        "the alias is elsewhere": seen.champion_digest != file,
        f"{_word(name)} has {seen.weight(name)} %": seen.weight(name) != 100,
        "no gateway confirmed it": not is_confirmed(state),
        f"{_word(name)} is not ready": not _is_ready(state, name),
        f"{_word(name)} was not proven to serve its file": not _is_proven(view, name),
        f"{_word(name)} serves another file": str(NAMES.index(name)) in state.lying
        and not _is_proven(view, name),
    }
    found = [text for text, holds in wrong.items() if holds]
    return f"S4: {end} although {found[0]}" if found else ""


def _is_proven(view: View, name: str) -> bool:
    seen = view.observed.get("identity")
    return seen is not None and name in seen.data["proven"]


def _s4_alias_follows(state: State, view: View, seen: Observation, step: Step) -> str:
    if not isinstance(step, do.MoveAlias):
        return ""
    name = view.plan.green_set if step.forward else view.plan.blue_set
    if name is None or seen.weight(name) != 100 or not is_confirmed(state):
        return f"S4: moves the alias to {_word(name or 'nothing')}, which has {seen.weight(name)} % of the traffic"
    return ""


def _s4_identity_before_clean_up(state: State, view: View, seen: Observation, step: Step) -> str:
    """Nothing is removed before the set that stays was proven to serve what the journal says."""
    if not isinstance(step, do.DeleteSet | do.LeaveSet) or state.state == "parked":
        return ""
    stays = view.plan.green_set if state.state == "retiring" else view.plan.blue_set
    if stays is not None and step.name != stays and not _is_proven(view, stays):
        return f"S4: removes {_word(step.name)} before {_word(stays)} was proven"
    return ""


def _s5_owned(state: State, view: View, seen: Observation, step: Step) -> str:
    """A release that is over leaves no set that only it knew."""
    if not isinstance(step, do.Enter) or step.state.value not in ("rejected", "rolled_back", "evaluated"):
        return ""
    plan = view.release.plan
    if plan is None:
        return ""
    number = NAMES.index(plan.green_set)
    if state.recorded[number] == "w" and number not in (1, 2):
        return f"S5: ends as {step.state.value} and leaves {_word(plan.green_set)} behind"
    return ""


def _s7_evidence(state: State, view: View, seen: Observation, step: Step) -> str:
    """Upwards only with rows that pass, counts that show it, or a person's valid word."""
    if not isinstance(step, do.Enter) or not _is_upward(state, view, step):
        return ""
    source = state.state
    if source in ("await_approval", "hold"):
        is_back = (
            source == "hold" and bool(view.data.get("lost")) and step.state.value == view.data.get("from")
        )
        if state.approval == "given" or (is_back and seen.blue is not None and seen.blue.is_ready):
            return ""
        return f"S7: goes on from {source} without a valid answer"
    if source in ("shifting", "baking"):
        return _s7_look(state, view)
    wanted = {
        "validating": BEFORE["provisioning"],
        "warming": (Gate.IDENTITY,) if view.plan.kind == "rollback" else BEFORE["judging"],
        "judging": tuple(
            Gate(gate) for gate in view.plan.gates if gate in ("performance", "quality", "shadow")
        ),
    }.get(source, ())
    missing = [gate.value for gate in wanted if seen.gates.get(gate) is not Verdict.PASS]
    return f"S7: enters {step.state.value} without a pass of {missing[0]}" if missing else ""


def _is_upward(state: State, view: View, step: do.Enter) -> bool:
    to = step.state.value
    if to == "await_approval":
        return state.state in ("shifting", "baking", "judging")
    if to == "shifting" and state.state == "shifting":
        return True
    return to in UPWARD and to != state.state and state.state not in ("parked", "planned")


def _s7_look(state: State, view: View) -> str:
    if view.plan.kind == "rollback":
        return "" if is_confirmed(state) else "S7: goes on before the gateways confirmed"
    is_long_enough = view.observed.get("weights") is not None and ("weights", "elapsed") in state.observed
    if state.look != "good" or not is_long_enough or not is_confirmed(state):
        return f"S7: goes on from {state.state} although live traffic was judged {state.look}"
    if state.state == "baking" and "rehearsal" in view.plan.gates:
        verdict = next((one for gate, one, _ in state.verdicts if gate == "rehearsal"), "none")
        return "" if verdict == "pass" else f"S7: commits with a rehearsal judged {verdict}"
    return ""


def _s7_rows(state: State, view: View, seen: Observation, step: Step) -> str:
    """What live traffic decides leaves the rows that it rests on, whichever way it went."""
    if not isinstance(step, do.Enter) or view.release.plan is None or view.plan.kind == "rollback":
        return ""
    to, source = step.state.value, state.state
    is_asked = all(_is_proven(view, name) for name in (view.plan.green_set, view.plan.blue_set) if name)
    is_by_look = (
        is_asked and source in ("shifting", "baking") and step.reason.startswith(("good", "not judged: "))
    )
    is_harm = to == "rolling_back" and step.reason == "harm"
    wanted = "fail" if is_harm else "pass" if step.reason.startswith("good") else "not_judged"
    if (is_by_look or is_harm) and wanted not in {row.verdict.value for row in step.rows}:
        return f"S7: enters {to} on a look of which no row is kept"
    return ""


def _s10_only_by_a_fail(state: State, view: View, seen: Observation, step: Step) -> str:
    """What could not be asked or decided says nothing about a file."""
    if not isinstance(step, do.Enter) or step.state.value != "rolling_back":
        return ""
    if step.data.get("trigger") != "evidence" or view.data.get("trigger") == "evidence":
        return ""
    lies = view.observed.get("identity")
    is_shown = Verdict.FAIL in seen.gates.values() or state.look == "harm" or (lies and lies.data["failed"])
    return (
        ""
        if is_shown
        else f"S10: from {state.state} a file goes to quarantine that nothing was shown against"
    )


def _gates_run_while_waiting(state: State, view: View, seen: Observation, step: Step) -> str:
    if (
        state.state not in ("hold", "await_approval")
        or not isinstance(step, do.Stop | do.Wait)
        or _back(view)
    ):
        return ""
    has_old = seen.blue is None or seen.blue.is_ready
    if state.look == "harm" and has_old and is_confirmed(state) and seen.weight(view.plan.green_set) > 0:
        return f"S7: waits in {state.state} while live traffic shows harm"
    return ""


def _stops_when_told(state: State, view: View, seen: Observation, step: Step) -> str:
    """A person's stop, the cap (S8) and the deadline turn every release around that is on its way."""
    if state.state not in ON_THE_WAY or _back(view) or not state.plan:
        return ""
    is_release = view.plan.kind == "release"
    told = {
        "abort: a stop": bool(state.abort),
        "S8: the cap": state.overspent and is_release,
        "S8: the deadline": state.overdue and is_release,
    }
    why = next((text for text, holds in told.items() if holds), "")
    turned = isinstance(step, do.Enter) and step.state.value in ("rolling_back", "rejected")
    if why and not turned and not isinstance(step, do.DeleteSet | do.LeaveSet):
        return f"{why} does not turn the release around in {state.state}"
    return ""


def _s9_capacity_after_weight(state: State, view: View, seen: Observation, step: Step) -> str:
    if not isinstance(step, do.DeleteSet):
        return ""
    number = NAMES.index(step.name)
    if state.weights[number] != UNROUTED:
        return f"S9: deletes {_word(step.name)} in the step that takes it out of the route"
    if state.state == "parked":
        return ""
    if not is_confirmed(state):
        return f"S9: deletes {_word(step.name)} before the gateways confirmed its removal"
    if str(number) in state.streams and (f"unrouted:{step.name}", "elapsed") not in state.observed:
        return f"S9: deletes {_word(step.name)} while streams are in flight on it"
    return ""


def _s10_quarantine(state: State, view: View, seen: Observation, step: Step) -> str:
    if not isinstance(step, do.Enter):
        return ""
    end, kind = step.state.value, view.release.request.trigger
    by_harm = end == "rolled_back" and view.data.get("trigger") == "evidence" and view.plan.kind == "release"
    by_person = end == "done" and kind == "rollback" and view.release.plan is not None
    if (by_harm or by_person) and not state.quarantined:
        return f"S10: ends as {end} and the bad file is not in quarantine"
    return ""


def _a_rollback_is_a_weight(state: State, view: View, seen: Observation, step: Step) -> str:
    """No set is made anew while the one to go back to runs."""
    if isinstance(step, do.CreateSet) and view.plan.kind == "rollback" and state.sets[1] == "r":
        return "rollback: makes a new set although the old one is ready" if state.recorded[1] == "w" else ""
    return ""


def _word(name: str) -> str:
    return WORDS[NAMES.index(name)] if name in NAMES else name


def _is_ready(state: State, name: str) -> bool:
    return name in NAMES and state.sets[NAMES.index(name)] == "r"


def of_plan(plan: Plan) -> str:
    """A release never replaces the set that serves."""
    return "plan: the new set is the one that serves" if plan.green_set == plan.blue_set else ""


_CHECKS: tuple[Callable[[State, View, Observation, Step], str], ...] = (
    _s1_traffic_follows_health,
    _s1_traffic_is_not_taken_away,
    _s2_last_ready,
    _s3_only_ready_sets,
    _s4_end,
    _s4_alias_follows,
    _s4_identity_before_clean_up,
    _s5_owned,
    _s7_evidence,
    _s7_rows,
    _gates_run_while_waiting,
    _stops_when_told,
    _s9_capacity_after_weight,
    _s10_quarantine,
    _s10_only_by_a_fail,
    _a_rollback_is_a_weight,
)
