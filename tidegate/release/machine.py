"""The release state machine: journal + observation -> exactly one step. Pure.

One step is one outside effect or one journal write, so that a crash between any two is only a state.
Timers stop, hold or roll back; they never promote. S1 to S10 are the invariants of docs/architecture.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.domain import Gate, JournalEntry, Plan, Policy, Release, ReleaseState, Route, SetState, SetStatus, Verdict
from tidegate.release.window import Window, judge_window

State = ReleaseState
MAX_GATE_ATTEMPTS = 2
PARK_RETRY_S = 15.0
PROBE_PAUSE_S = 2.0

VALIDATION_GATES = (Gate.AUTHORIZATION, Gate.STRUCTURE, Gate.INFERENCE)
WARMING_GATES = (Gate.IDENTITY, Gate.PROBES)
JUDGING_GATES = (Gate.PERFORMANCE, Gate.QUALITY)
ALL_GATES = VALIDATION_GATES + WARMING_GATES + JUDGING_GATES


@dataclass(frozen=True)
class View:
    """What the journal says: the release, the entries since it entered its state, and gate attempts."""

    release: Release
    entered_at: datetime
    data: Mapping[str, Any]
    observed: Mapping[str, JournalEntry]
    facts: Mapping[str, JournalEntry]
    intents: frozenset[str]
    gate_attempts: Mapping[str, int]
    abort: JournalEntry | None
    approval: JournalEntry | None
    probe_rounds: int = 0

    @property
    def state(self) -> ReleaseState:
        return self.release.state

    @property
    def plan(self) -> Plan:
        assert self.release.plan is not None, "states after REQUESTED always have a plan"
        return self.release.plan


@dataclass(frozen=True)
class Observation:
    """What the world says right now. Everything in it was read, nothing is remembered."""

    now: datetime
    lock_epoch: int
    green: SetStatus
    blue: SetStatus | None
    route: Route | None
    route_confirmed: bool
    champion_digest: str | None
    gates: Mapping[Gate, Verdict] = field(default_factory=dict[Gate, Verdict])
    gate_reasons: Mapping[Gate, tuple[str, ...]] = field(default_factory=dict[Gate, tuple[str, ...]])
    healthy_sets: frozenset[str] = frozenset()
    active_requests: Mapping[str, int] = field(default_factory=dict[str, int])
    window: Window | None = None
    extra_sets: tuple[str, ...] = ()
    already_live: bool = False

    def weight(self, set_name: str | None) -> int:
        return self.route.weights.get(set_name, 0) if self.route and set_name else 0

    def is_routed(self, set_name: str) -> bool:
        return self.route is not None and set_name in self.route.weights


@dataclass(frozen=True)
class AcquireLock:
    """Take the service with a new epoch."""


@dataclass(frozen=True)
class MakePlan:
    """Compute the plan and enter PLANNED with it."""


@dataclass(frozen=True)
class Enter:
    """Journal write: the release is in another state."""

    state: ReleaseState
    reason: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Intend:
    """Journal write: an effect on the platform is about to be made."""

    name: str


@dataclass(frozen=True)
class Observe:
    """Journal write: something was read back."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class RunGates:
    """Run the checks of these gates and store their evidence rows."""

    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class CreateSet:
    """Create (or find by name) the new set."""


@dataclass(frozen=True)
class StartSet:
    """Start a set that exists but does not run."""

    name: str


@dataclass(frozen=True)
class DeleteSet:
    name: str


@dataclass(frozen=True)
class PutWeights:
    """Publish exactly these sets and weights as a new generation."""

    weights: Mapping[str, int]


@dataclass(frozen=True)
class MoveAlias:
    """Point `champion` at green (`forward`) or back at blue."""

    forward: bool


@dataclass(frozen=True)
class Quarantine:
    digest: str
    reason: str


@dataclass(frozen=True)
class SendProbes:
    """Send this many probe requests to the new set through the gateways: live traffic is too thin to judge."""

    count: int


@dataclass(frozen=True)
class Wait:
    """Nothing to do but look again."""

    reason: str
    seconds: float = 0.1


@dataclass(frozen=True)
class Stop:
    """Nothing more to do in this process: terminal, or a person or a timer must come first."""

    reason: str


Step = (
    AcquireLock | MakePlan | Enter | Intend | Observe | RunGates | CreateSet | StartSet | DeleteSet
    | PutWeights | MoveAlias | Quarantine | SendProbes | Wait | Stop
)  # fmt: skip


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
    if view.state in _BEFORE_ANY_SET:
        return Enter(State.REJECTED, reason)
    if view.state in (State.COMMITTING, State.RETIRING):
        return None
    return _roll_back(reason, "abort")


def _requested(view: View, seen: Observation, policy: Policy) -> Step:
    if view.release.epoch == 0 or view.release.epoch != seen.lock_epoch:
        if _age_s(view, seen) > policy.deadlines.park_s:
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
    if view.approval is not None:
        return Enter(State.VALIDATING, f"approved by {view.approval.data.get('actor', 'unknown')}")
    return Stop("a named person must approve")


def _validating(view: View, seen: Observation, policy: Policy) -> Step:
    """One gate at a time: a file that fails the structural gate is never loaded."""
    for gate in VALIDATION_GATES:
        step = _gate_step(view, seen, (gate,))
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
        return _roll_back(f"the new set did not start: {seen.green.message}", "provision")
    if _age_s(view, seen) > policy.deadlines.provision_s:
        return _roll_back(f"the new set was not ready within {policy.deadlines.provision_s:.0f} s", "provision")
    if seen.green.state is SetState.STOPPED:
        return StartSet(name)
    if seen.green.state is SetState.ABSENT:
        return CreateSet()
    if seen.green.is_ready:
        return Enter(State.WARMING, _ready_text(seen.green), {"restarts": seen.green.restarts})
    return Wait("the new set is loading the model")


def _parked(view: View, seen: Observation, policy: Policy) -> Step:
    if _age_s(view, seen) > policy.deadlines.park_s:
        return Enter(State.REJECTED, "no capacity before the deadline; the live set was not touched")
    if _age_s(view, seen) >= PARK_RETRY_S:
        return Enter(State.PROVISIONING, "trying again for capacity")
    return Stop("parked: the platform has no capacity; tried again by reconcile")


def _warming(view: View, seen: Observation, policy: Policy) -> Step:
    lost = _green_lost(view, seen)
    if lost is not None:
        return lost
    weights = _with_green_at(view, seen, 0)
    if not seen.is_routed(view.plan.green_set):
        return PutWeights(weights)
    late = _age_s(view, seen) > policy.deadlines.warm_s
    if not seen.route_confirmed or view.plan.green_set not in seen.healthy_sets:
        return _roll_back("no gateway could reach the new set in time", "provision") if late else Wait("gateway")
    is_rollback = view.plan.kind == "rollback"
    step = _gate_step(view, seen, (Gate.IDENTITY,) if is_rollback else WARMING_GATES)
    if isinstance(step, str):
        return _roll_back(step, "evidence")
    if step is not None:
        return step
    return _shift_to(view.plan, 0) if is_rollback else Enter(State.JUDGING, "the set serves the right file")


def _judging(view: View, seen: Observation, policy: Policy) -> Step:
    lost = _green_lost(view, seen)
    if lost is not None:
        return lost
    undecided = [gate for gate in JUDGING_GATES if seen.gates.get(gate) is Verdict.NOT_JUDGED]
    failed = [gate for gate in JUDGING_GATES if seen.gates.get(gate) is Verdict.FAIL]
    if undecided and not failed and _tried(view, undecided):
        return Enter(State.HOLD, f"not judged: {_reasons(seen, undecided)}", {"from": State.JUDGING.value, "step": -1})
    step = _gate_step(view, seen, JUDGING_GATES)
    if isinstance(step, str):
        return _roll_back(step, "evidence")
    return step or _shift_to(view.plan, 0)


def _shifting(view: View, seen: Observation, policy: Policy) -> Step:
    index = int(view.data["step"])
    lost = _green_lost(view, seen)
    if lost is not None:
        return lost
    step = _assert_weight(view, seen, view.plan.ladder[index])
    if step is not None:
        late = _age_s(view, seen) > policy.shift.step_deadline_s
        return _roll_back("the gateways did not confirm the weights in time", "provision") if late else step
    if view.plan.kind == "rollback":
        return Enter(State.COMMITTING, "every gateway confirmed the rollback")
    verdict, why = judge_window(seen.window, policy.shift, look_s=_look_s(view, seen))
    if verdict is Verdict.FAIL:
        return _roll_back(why, "evidence")
    if verdict is Verdict.PASS:
        if index + 1 < len(view.plan.ladder):
            return _shift_to(view.plan, index + 1, why)
        return Enter(State.BAKING, why)
    if _age_s(view, seen) > policy.shift.step_deadline_s:
        return Enter(State.HOLD, f"not judged: {why}", {"from": State.SHIFTING.value, "step": index})
    return _look_on(view, seen, policy, policy.shift.look_s, why)


def _baking(view: View, seen: Observation, policy: Policy) -> Step:
    lost = _green_lost(view, seen)
    if lost is not None:
        return lost
    step = _assert_weight(view, seen, 100)
    if step is not None:
        return step
    verdict, why = judge_window(seen.window, policy.shift, look_s=_look_s(view, seen), bake=True)
    if verdict is Verdict.FAIL:
        return _roll_back(why, "evidence")
    if verdict is Verdict.PASS:
        return Enter(State.COMMITTING, why)
    if _age_s(view, seen) > policy.shift.bake_s + policy.shift.step_deadline_s:
        return Enter(State.HOLD, f"not judged: {why}", {"from": State.BAKING.value, "step": len(view.plan.ladder)})
    return _look_on(view, seen, policy, policy.shift.bake_s, why)


def _committing(view: View, seen: Observation, policy: Policy) -> Step:
    lost = _green_lost(view, seen)
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
        return Wait("gateways are confirming the final weights")
    for name in seen.extra_sets:
        if name in (green, *kept):
            continue
        return _remove(view, seen, policy, name)
    if seen.green.digest != view.plan.green_digest:
        return Wait("the new set must report its digest")
    if view.plan.kind == "rollback" and "quarantine" not in view.observed and view.plan.blue_digest:
        return Quarantine(view.plan.blue_digest, f"rolled back: {view.release.request.reason or 'no reason given'}")
    return Enter(State.DONE, f"all traffic is on {view.release.request.model}:{view.release.request.version}")


def _rolling_back(view: View, seen: Observation, policy: Policy) -> Step:
    """Traffic first, then alias, then the new set. Never to a set that is not ready now (S3)."""
    green, blue = view.plan.green_set, view.plan.blue_set
    if blue is None:
        return _withdraw(view, seen, policy)
    if seen.weight(blue) != 100:
        if seen.blue is None or not seen.blue.is_ready:
            return _await_target(view, seen, policy)
        rest = {name: 0 for name in seen.route.weights} if seen.route else {}
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
        return Enter(State.HOLD, f"{view.release.reason}; there is no earlier version to go back to",
                     {"from": State.ROLLING_BACK.value, "step": -1})  # fmt: skip
    return _clean_up_green(view, seen, policy)


def _clean_up_green(view: View, seen: Observation, policy: Policy) -> Step:
    green, blue = view.plan.green_set, view.plan.blue_set
    if seen.is_routed(green) or seen.green.state is not SetState.ABSENT:
        return _remove(view, seen, policy, green)
    if blue is not None and (seen.blue is None or seen.blue.digest != view.plan.blue_digest):
        return Wait("the old set must prove which file it serves", 0.2)
    if view.data.get("trigger") == "evidence" and "quarantine" not in view.observed:
        return Quarantine(view.plan.green_digest, view.release.reason)
    return Enter(State.ROLLED_BACK, view.release.reason, {"trigger": view.data.get("trigger", "")})


def _await_target(view: View, seen: Observation, policy: Policy) -> Step:
    """No ready rollback target: start it, wait for it, and after the deadline ask a person."""
    blue = view.plan.blue_set
    assert blue is not None
    if _age_s(view, seen) > policy.deadlines.rollback_wait_s:
        return Enter(State.HOLD, f"{view.release.reason}; the rollback target {blue} is not ready",
                     {"from": State.ROLLING_BACK.value, "step": -1})  # fmt: skip
    if seen.blue is not None and seen.blue.state in (SetState.STOPPED, SetState.FAILED):
        return StartSet(blue)
    return Wait("the rollback target is not ready yet")


def _hold(view: View, seen: Observation, policy: Policy) -> Step:
    """A person decides. Traffic stays where it is unless the new set is lost."""
    origin = State(view.data.get("from", State.JUDGING.value))
    if origin is State.ROLLING_BACK:
        if seen.blue is not None and seen.blue.is_ready:
            return _roll_back(view.release.reason, "abort")
        return Stop(view.release.reason)
    lost = _green_lost(view, seen)
    if lost is not None:
        return lost
    if view.approval is None:
        return Stop(view.release.reason)
    following = int(view.data.get("step", -1)) + 1
    why = f"approved by {view.approval.data.get('actor', 'unknown')}"
    if following < len(view.plan.ladder):
        return _shift_to(view.plan, following, why)
    return Enter(State.BAKING if origin is State.SHIFTING else State.COMMITTING, why)


# ---- pieces that several states share


def _gate_step(view: View, seen: Observation, gates: tuple[Gate, ...]) -> Step | str | None:
    """Run what has no verdict, return a text when a gate forbids going on, None when all passed (S7)."""
    for gate in gates:
        if seen.gates.get(gate) is Verdict.FAIL:
            return f"{gate.value} gate: {_reasons(seen, [gate])}"
    open_gates = tuple(gate for gate in gates if seen.gates.get(gate) is not Verdict.PASS)
    if not open_gates:
        return None
    exhausted = [gate for gate in open_gates if view.gate_attempts.get(gate.value, 0) >= MAX_GATE_ATTEMPTS]
    if exhausted:
        return f"{exhausted[0].value} gate could not be judged: {_reasons(seen, exhausted[:1])}"
    return RunGates(open_gates)


def _tried(view: View, gates: list[Gate]) -> bool:
    return all(view.gate_attempts.get(gate.value, 0) >= 1 for gate in gates)


def _reasons(seen: Observation, gates: list[Gate]) -> str:
    texts = [text for gate in gates for text in seen.gate_reasons.get(gate, ())]
    return "; ".join(texts) or "no evidence"


def _green_lost(view: View, seen: Observation) -> Step | None:
    """The new set died, was removed, or had to be restarted since it was proven: harm at once."""
    green = seen.green
    known = view.facts.get(State.WARMING.value)
    restarts_before = int(known.data.get("restarts", 0)) if known else 0
    if green.state in (SetState.FAILED, SetState.ABSENT, SetState.STOPPED, SetState.STOPPING):
        return _roll_back(f"the new set was lost ({green.state.value}): {green.message or 'no message'}", "set_lost")
    if green.restarts > restarts_before:
        return _roll_back("the new set died and was restarted by its platform", "set_lost")
    if green.state in (SetState.READY, SetState.DEGRADED) and green.digest not in (None, view.plan.green_digest):
        return _roll_back(f"the new set reports another file: {green.digest}", "evidence")
    return None


def _assert_weight(view: View, seen: Observation, percent: int) -> Step | None:
    """Bring live traffic to `percent` on green, and note the counts once every gateway confirmed it."""
    wanted = _with_green_at(view, seen, percent)
    if seen.route is None or dict(seen.route.weights) != wanted:
        if percent < 100 and (seen.blue is None or not seen.blue.is_ready):
            return Wait("the old set is not ready at the moment; weights stay")
        return PutWeights(wanted)
    if not seen.route_confirmed:
        return Wait("gateways are confirming the weights", 0.02)
    if "weights" not in view.observed:
        return Observe("weights", {"weights": wanted})
    return None


def _look_on(view: View, seen: Observation, policy: Policy, needed_s: float, why: str) -> Step:
    """The look was long enough and still too few requests came: probe, if the policy allows it."""
    had = seen.window.new.requests if seen.window else 0
    missing = policy.shift.min_requests - had
    is_due = _look_s(view, seen) >= needed_s + PROBE_PAUSE_S * view.probe_rounds
    if seen.window is not None and missing > 0 and is_due and policy.shift.thin_traffic == "probe":
        return SendProbes(missing)
    return Wait(why)


def _with_green_at(view: View, seen: Observation, percent: int) -> dict[str, int]:
    """Weights with `percent` on green, the rest on blue; a first release has only 0 or 100."""
    green, blue = view.plan.green_set, view.plan.blue_set
    if blue is None:
        return {green: 100 if percent > 0 else 0}
    others = {name: 0 for name in seen.route.weights if name not in (green, blue)} if seen.route else {}
    return others | {green: percent, blue: 100 - percent}


def _remove(view: View, seen: Observation, policy: Policy, name: str) -> Step:
    """Out of the route, confirmed, drained, then deleted: capacity never falls with its weight (S9)."""
    if seen.is_routed(name):
        rest = {other: weight for other, weight in (seen.route.weights if seen.route else {}).items() if other != name}
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


def _shift_to(plan: Plan, index: int, why: str = "gates passed") -> Enter:
    if plan.blue_set is None:
        index = len(plan.ladder) - 1
    weight = plan.ladder[index]
    return Enter(State.SHIFTING, f"{why}; {weight} % of live traffic", {"step": index, "weight": weight})


def _roll_back(reason: str, trigger: str) -> Enter:
    return Enter(State.ROLLING_BACK, reason, {"trigger": trigger})


def _ready_text(green: SetStatus) -> str:
    return f"ready after {green.load_seconds:.1f} s" if green.load_seconds is not None else "ready"


def _age_s(view: View, seen: Observation) -> float:
    return (seen.now - view.entered_at).total_seconds()


def _look_s(view: View, seen: Observation) -> float:
    return (seen.now - view.observed["weights"].at).total_seconds()


_BEFORE_ANY_SET = frozenset({State.REQUESTED, State.PLANNED, State.AWAIT_APPROVAL, State.VALIDATING, State.PARKED})

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
    State.ROLLING_BACK: _rolling_back,
    State.HOLD: _hold,
}
