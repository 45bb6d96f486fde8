"""The machine without one guard at a time: each published failure must be found again.

A mutant patches one function or value of the real code. It starts where its guard matters, after an undisturbed run.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from tests.model.calls import FENCED
from tests.model.configurations import TWO, policy
from tests.model.events import Configuration
from tests.model.explorer import Explorer, Result
from tests.model.seeing import NAMES
from tests.model.state import NEW, OLD, State
from tidegate.domain import Policy, ReleaseState, Verdict
from tidegate.release import climbing, guards, machine, weights
from tidegate.release import step as do
from tidegate.release.planning import make_plan

ROOM = "tidegate.release."
AT_ONCE = policy({"strategy": "all_at_once", "keep_previous": 0})
EVERYBODY = frozenset({"abort", "approve"})


@dataclass(frozen=True)
class Mutant:
    """`failure` as section and number of what was published; `guard` what is taken away."""

    failure: str
    guard: str
    patches: tuple[tuple[str, Any], ...]
    expected: tuple[str, ...]
    """Beginnings of what may be found."""
    at: str = "requested"
    faults: frozenset[str] = frozenset()
    people: frozenset[str] = frozenset()
    policy: Policy = AT_ONCE
    start: State = TWO
    fenced: frozenset[str] = FENCED
    is_about_the_end: bool = False
    wish: str = ""

    def run(self) -> Result:
        """Explore until the first violation. Without one the result has none: the mutant survived."""
        calm = Configuration("calm", self.start, self.policy, has_streams=True)
        start = walked_to(calm, self.at)._replace(faults=1, takeovers=1, wish=self.wish)
        world = Configuration(self.guard, start, self.policy, self.faults, self.people, has_streams=True)
        with self.applied():
            explorer = Explorer(world, self.fenced)
            if start.plan:
                explorer.seeing.plans.update(_PLANS)
            return explorer.run(is_calm_checked=self.is_about_the_end)

    def unchanged(self) -> Result:
        """The same world with every guard in place; one that several mutants share is explored once."""
        world = replace(self, failure="", guard="", patches=(), expected=(), fenced=FENCED)
        for known, result in _EXPLORED:
            if known == world:
                return result
        _EXPLORED.append((world, world.run()))
        return _EXPLORED[-1][1]

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for target, new in self.patches:
                stack.enter_context(patch(target if target.startswith("tidegate.") else ROOM + target, new))
            yield


_PLANS: dict[str, Any] = {}
_EXPLORED: list[tuple[Mutant, Result]] = []


def walked_to(world: Configuration, name: str) -> State:
    """The first state of this name of a release to which nothing happens, and that live traffic likes."""
    explorer, state = Explorer(world), world.start
    for _ in range(400):
        if state.state == name and not state.owner:
            _PLANS.update(explorer.seeing.plans)
            return state
        if state.look == "none" and ("weights", "elapsed") in state.observed and state.gateway[NEW] > 0:
            state = state._replace(look="good")
            continue
        label, after = explorer.calm(state)
        assert after is not None, f"{name} is not reached: {label}"
        state = after
    raise AssertionError(f"{name} is not reached from {world.start.state}")


# ---- the guards, taken away


def _to_old_at_once(view: Any, seen: Any, policy: Any, blue: str) -> do.Step:
    return do.PutWeights(weights.weights_with_green_at(view, seen, 0))


def _clean_up_at_once(view: Any, seen: Any, policy: Any, blue: str) -> do.Step:
    return weights.take_out(view, seen, policy, view.plan.green_set)


def _retire_at_once(view: Any, seen: Any, policy: Any) -> do.Step:
    return weights.take_out(view, seen, policy, NAMES[OLD])


def _delete_at_once(view: Any, seen: Any, policy: Any, name: str) -> do.Step:
    return do.DeleteSet(name)


def _taking_out_with(**changes: Any) -> Callable[..., do.Step]:
    real = weights.take_out
    return lambda view, seen, policy, name: real(view, replace(seen, **changes), policy, name)


def _trusting(*names: str) -> dict[ReleaseState, Any]:
    """These states take every weight for confirmed as soon as it is wanted."""

    def trusting(real: Any) -> Any:
        return lambda view, seen, policy: real(view, replace(seen, route_confirmed=True), policy)

    return {state: trusting(machine._DECISIONS[state]) for state in map(ReleaseState, names)}


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _undecided_passes(view: Any, seen: Any, limits: Any, *, bake: bool = False) -> tuple[Verdict, str]:
    return Verdict.PASS, "no sign of harm"


def _open_gates_pass(view: Any, seen: Any, gates: Any) -> Any:
    told = {gate: seen.gates.get(gate, Verdict.PASS) for gate in gates}
    told = {
        gate: Verdict.PASS if verdict is Verdict.NOT_JUDGED else verdict for gate, verdict in told.items()
    }
    return guards.gate_step(view, replace(seen, gates=told), gates)


def _promoted_by_time(view: Any, seen: Any, policy: Any) -> do.Step:
    step = climbing.shifting(view, seen, policy)
    is_late = isinstance(step, do.Enter) and step.state is ReleaseState.HOLD
    return climbing.next_rung(view, policy, int(view.data["step"]), "time is over") if is_late else step


def _anybody(view: Any, seen: Any, policy: Any) -> str | None:
    return str(view.approval.data["actor"]) if view.approval else None


def _fresh_set(*args: Any, sets: Any, **known: Any) -> Any:
    return make_plan(*args, sets=[], **known)


def _condemned(seen: Any, gates: Any, reason: str) -> do.Step:
    return guards.begin_rollback(reason, "evidence")


def _without_rows(step: do.Step, *_: Any) -> do.Step:
    return step


def _rejected(view: Any, seen: Any, reason: str) -> do.Step:
    return do.Enter(ReleaseState.REJECTED, reason)


MUTANTS = (
    Mutant(
        "1 dstack 4186",
        "the new set has a name of its own",
        (("planning.set_name", lambda *_: NAMES[OLD]),),
        ("plan",),
    ),
    Mutant(
        "2 Flagger 1898",
        "a way back goes to a set that is ready now",
        (("going_back._await_target", _to_old_at_once),),
        ("S3",),
        "baking",
        frozenset({"die:old"}),
        EVERYBODY,
    ),
    Mutant(
        "3 SkyPilot 4312",
        "nothing is retired while the new set is not ready",
        (("machine._without_new", _retire_at_once),),
        ("S4", "S2", "S1"),
        "retiring",
        frozenset({"die:new"}),
    ),
    Mutant(
        "4 copilot-cli 4838",
        "a rollback goes to the warm set",
        (("plan_reading.make_plan", _fresh_set),),
        ("rollback",),
        "done",
        policy=policy({"strategy": "all_at_once"}),
        wish="rollback",
    ),
    Mutant(
        "5 flyctl 3359",
        "the new set stays while the old one cannot serve",
        (("going_back._await_target", _clean_up_at_once),),
        ("S1", "S2", "S4", "decide"),
        "baking",
        frozenset({"die:old"}),
        EVERYBODY,
    ),
    Mutant(
        "6 Ray 66252",
        "weights follow health",
        (("weights.weights_by_health", weights.weights_with_green_at),),
        ("S1", "S3"),
        "judging",
        frozenset({"die:old"}),
    ),
    Mutant(
        "7 Ray 66290",
        "a set loses its traffic before it is stopped",
        (("machine.take_out", _delete_at_once), ("going_back.take_out", _delete_at_once)),
        ("S9", "S2", "S4"),
        "judging",
        people=EVERYBODY,
    ),
    Mutant(
        "8 KubeRay 3166",
        "streams in flight end first",
        (("weights._is_draining", lambda *_: False),),
        ("S9",),
        "shifting",
        people=EVERYBODY,
    ),
    Mutant(
        "10 KServe 5983",
        "only a ready set gets traffic",
        (
            ("tidegate.domain.SetStatus.is_ready", property(lambda self: True)),
            ("judging.green_lost", _nothing),
            ("climbing.green_lost", _nothing),
        ),
        ("S3",),
        "judging",
        frozenset({"die:new"}),
    ),
    Mutant(
        "11 KServe 2130",
        "what was live before is recorded",
        (("effects.Effects._labelled", lambda self, ref, label: self.ledger.get_version("", "", "v0")),),
        ("liveness", "S4"),
        "committing",
        frozenset({"die:new"}),
        policy=policy({"strategy": "all_at_once"}),
        is_about_the_end=True,
    ),
    Mutant(
        "14 Terraform AWS 49020",
        "the served file is proven before anything is removed",
        (("machine.prove_identity", _nothing), ("going_back.prove_identity", _nothing)),
        ("S4",),
        "committing",
    ),
    Mutant(
        "16 SageMaker 3432",
        "a start has a deadline",
        (("machine.age_s", lambda *_: 0.0),),
        ("liveness",),
        "provisioning",
        frozenset({"hang"}),
        is_about_the_end=True,
    ),
    Mutant(
        "18 Flagger 1801",
        "gates go on while a person thinks",
        (("waiting.judge_look", lambda *_, **__: (Verdict.NOT_JUDGED, "nobody looks")),),
        ("S7",),
        "await_approval",
        policy=policy({"strategy": "all_at_once"}, before_commit=True),
    ),
    Mutant(
        "20 Flagger 1035",
        "too little traffic is no pass",
        (("climbing.judge_look", _undecided_passes),),
        ("S7",),
        "shifting",
    ),
    Mutant(
        "21 Flagger 1207",
        "a file that did harm is quarantined",
        (("going_back.PROVEN_HARM", frozenset[str]()),),
        ("S10",),
        "baking",
    ),
    Mutant(
        "found here: a file condemned unasked",
        "what could not be asked does not condemn a file",
        (("machine.back_by_gates", _condemned), ("judging.back_by_gates", _condemned)),
        ("S10",),
        "provisioning",
    ),
    Mutant(
        "28 Kayenta: nobody sees why",
        "what live traffic decides leaves its rows",
        (("climbing.resting_on_look", _without_rows), ("waiting.resting_on_look", _without_rows)),
        ("S7",),
        "shifting",
    ),
    Mutant(
        "22 Argo 4479",
        "a gate without a verdict has not passed",
        (("judging.gate_step", _open_gates_pass),),
        ("S7",),
        "judging",
    ),
    Mutant(
        "23 Argo 3850",
        "no timer promotes",
        (("machine._DECISIONS", machine._DECISIONS | {ReleaseState.SHIFTING: _promoted_by_time}),),
        ("S7",),
        "shifting",
    ),
    Mutant(
        "25 Argo 2168",
        "a stop is obeyed in every state",
        (("machine._abort", _nothing),),
        ("abort",),
        "shifting",
        people=EVERYBODY,
    ),
    Mutant(
        "26 Argo 4534",
        "the router is asked before a set is removed",
        (("machine._DECISIONS", machine._DECISIONS | _trusting("retiring", "rolling_back")),),
        ("S9", "S2"),
        "judging",
        people=EVERYBODY,
    ),
    Mutant(
        "31 RunPod worker-vllm 29",
        "money and time have a cap",
        (("machine._overrun", _nothing),),
        ("S8",),
        "provisioning",
        frozenset({"spend"}),
    ),
    Mutant(
        "32 Kargo 6562",
        "an approval is bound to what it was given for",
        (("waiting.approver_of", _anybody),),
        ("S7",),
        "await_approval",
        people=EVERYBODY,
        policy=policy({"strategy": "all_at_once"}, before_commit=True),
    ),
    Mutant(
        "section 6: old weights after the end",
        "the ledger refuses an old epoch's weights",
        (),
        ("S6",),
        "judging",
        people=EVERYBODY,
        fenced=FENCED - {"route"},
    ),
    Mutant(
        "section 6: old alias after the end",
        "the ledger refuses an old epoch's alias",
        (),
        ("S6",),
        "committing",
        fenced=FENCED - {"alias"},
    ),
    Mutant(
        "section 6: a set killed while it serves",
        "a tombstone comes before a removal",
        (("weights.Intend", lambda name: do.DeleteSet(name.removeprefix(weights.DELETE))),),
        ("S2",),
        "judging",
        frozenset({"die:old"}),
        frozenset({"abort"}),
    ),
    Mutant(
        "section 6: a paid orphan",
        "what shortage left behind is removed",
        (("machine._reject", _rejected),),
        ("S5",),
        "provisioning",
        frozenset({"capacity"}),
        EVERYBODY,
    ),
    Mutant(
        "15 AWS DLC 6411",
        "waiting for capacity has one deadline",
        (("view._parked_since", _nothing),),
        ("liveness",),
        "provisioning",
        frozenset({"capacity"}),
        is_about_the_end=True,
    ),
    Mutant(
        "26 Argo 3617",
        "a silent gateway may still send to a set",
        (
            ("machine.take_out", _taking_out_with(silent={})),
            ("going_back.take_out", _taking_out_with(silent={})),
        ),
        ("S2",),
        "baking",
        frozenset({"silence"}),
        EVERYBODY,
    ),
)
