"""The real `Effects`, made once for each step against a recorder: what comes out is the list of calls that an owner
makes one after the other, and between any two of which it may die or be fenced off."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.model.seeing import NAMES, REF, Seeing, file_of, route, spec, status, version
from tests.model.state import UNROUTED, WORDS, Op, Pairs, State
from tidegate.domain import (
    CapacityShortage,
    Evidence,
    Gate,
    LiveBatch,
    ModelVersion,
    NeedsOperator,
    Plan,
    Release,
    Route,
    ServiceRef,
    SetSpec,
    SetStatus,
    Verdict,
)
from tidegate.release import step as do
from tidegate.release.effects import Effects
from tidegate.release.ports import LEFT
from tidegate.release.step import Step

Program = tuple[str, tuple[Op, ...]]
"""What happens, in words, and the calls."""
DECIDED_ON = ("from", "step", "question", "lost", "trigger", "unproven")
RECORDED = {"wanted": "w", "deleted": "d", LEFT: "l"}
EPOCH = 1


class Recorder:
    """Ledger, platform and checks in one: reads are answered from the state, writes are noted."""

    name = "model"

    def __init__(self, seeing: Seeing, state: State, verdict: Verdict, *, has_capacity: bool) -> None:
        self.required = {gate: frozenset({"c"}) for gate in Gate}
        self.ops: list[Op] = []
        self._seeing, self._state, self._verdict, self._has_capacity = seeing, state, verdict, has_capacity

    # ---- reads

    def get_route(self, ref: ServiceRef) -> Route | None:
        return route(self._state.weights)

    def get_alias(self, ref: ServiceRef, alias: str) -> ModelVersion | None:
        label = self._state.champion if alias == "champion" else self._state.previous
        return version(label) if label else None

    def get_version(self, org: str, name: str, label: str) -> ModelVersion:
        return version(label)

    def get_set(self, name: str) -> tuple[SetSpec, str] | None:
        number = NAMES.index(name)
        return None if self._state.recorded[number] == "-" else (spec(number), "any")

    def list_sets(self, ref: ServiceRef) -> list[tuple[SetSpec, str]]:
        return [
            (spec(number), LEFT if letter == "l" else "ready")
            for number, letter in enumerate(self._state.recorded)
            if letter in "wl"
        ]

    def live(
        self, name: str, since: datetime, until: datetime | None = None, *, slices: object = ()
    ) -> list[LiveBatch]:
        return []

    def quarantine_reason(self, org: str, digest: str) -> None:
        return None

    def counts(self, name: str) -> None:
        return None

    def status(self, name: str) -> SetStatus:
        return status(self._state, NAMES.index(name))

    def price_per_hour_usd(self, wanted: SetSpec) -> float:
        return 0.0

    def current_epoch(self, ref: ServiceRef) -> int:
        self.ops.append(("fence",))
        return EPOCH

    # ---- writes

    def append(
        self,
        release_id: str,
        epoch: int,
        kind: str,
        name: str,
        data: Mapping[str, Any] | None = None,
        *,
        plan: Plan | None = None,
    ) -> None:
        told = dict(data or {})
        if kind == "entered":
            kept: Pairs = tuple(sorted((key, told[key]) for key in DECIDED_ON if key in told))
            self.ops.append(("enter", name, kept, self._remember(plan)))
        elif name == "identity":
            self.ops.append(("observe", name, (tuple(told["proven"]), tuple(told["failed"]))))
        elif kind == "intent":
            self.ops.append(("intend", name))
        else:
            self.ops.append(("observe", name, "fresh"))

    def _remember(self, plan: Plan | None) -> str:
        if plan is None:
            return ""
        blue = WORDS[NAMES.index(plan.blue_set)] if plan.blue_set else "nothing"
        name = f"{plan.kind} to {WORDS[NAMES.index(plan.green_set)]} from {blue}"
        self._seeing.plans[name] = plan
        return name

    def release_lock(self, ref: ServiceRef, release_id: str, epoch: int) -> None:
        self.ops.append(("unlock",))

    def add_evidence(self, release_id: str, rows: Sequence[Evidence], **_: Any) -> None:
        self.ops.append(("evidence", tuple((row.gate.value, row.verdict.value) for row in rows)))

    def record_set(self, wanted: SetSpec, *, platform: str, epoch: int, state: str) -> None:
        self.ops.append(("mark", NAMES.index(wanted.name), RECORDED[state]))

    def set_state(self, name: str, state: str, *, epoch: int) -> None:
        self.ops.append(("mark", NAMES.index(name), RECORDED[state]))

    def put_route(self, wanted: Route, *, epoch: int) -> None:
        weights = tuple(wanted.weights.get(name, UNROUTED) for name in NAMES)
        self.ops.append(("route", (*weights, 1 if wanted.mirror else 0)))

    def set_alias(self, ref: ServiceRef, alias: str, to: ModelVersion | None, **_: Any) -> None:
        self.ops.append(("alias", alias, to.version if to else ""))

    def quarantine(self, org: str, digest: str, **_: Any) -> None:
        self.ops.append(("quarantine", digest))

    def hold_service(self, ref: ServiceRef, **_: Any) -> None:
        self.ops.append(("hold",))

    def create(self, wanted: SetSpec) -> SetStatus:
        number = NAMES.index(wanted.name)
        self.ops.append(("create", number))
        if not self._has_capacity and self._state.sets[number] == "a":
            raise CapacityShortage("no room")
        return status(self._state, number)

    def start(self, name: str) -> SetStatus:
        self.ops.append(("start", NAMES.index(name)))
        return self.status(name)

    def delete(self, name: str) -> None:
        self.ops.append(("delete", NAMES.index(name)))

    # ---- checks

    def run(self, gates: Sequence[Gate], release: Release) -> list[Evidence]:
        """The first gate gets the verdict that is tried, the others pass."""
        return [
            Evidence(gate=gate, check="c", verdict=Verdict.PASS if i else self._verdict, summary="so")
            for i, gate in enumerate(gates)
        ]

    def send_probes(self, release: Release, sets: Sequence[str], count: int) -> int:
        return count

    def prove_identity(self, release: Release, sets: Sequence[str]) -> dict[str, Any]:
        asked = [name for name in sets if self._state.sets[NAMES.index(name)] == "r"]
        failed = {name: "another file" for name in asked if str(NAMES.index(name)) in self._state.lying}
        return {"proven": [name for name in asked if name not in failed], "failed": failed}

    def switch_under_streams(self, release: Release, switch: Callable[[], None]) -> dict[str, Any]:
        switch()
        return {"streams": 4}


def programs(seeing: Seeing, state: State, step: Step) -> tuple[Program, ...]:
    """Every list of calls that carrying out this step can become."""
    match step:
        case do.AcquireLock():
            return (("takes the service with a new epoch", (("lock",),)),)
        case do.RunGates(gates):
            names = ", ".join(gate.value for gate in gates)
            return tuple(
                (f"runs {names}: {verdict.value}", _calls(seeing, state, step, verdict))
                for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.NOT_JUDGED)
            )
        case do.CreateSet():
            calls = _calls(seeing, state, step)
            short = _calls(seeing, state, step, has_capacity=False)
            at = next(i for i, op in enumerate(calls) if op[0] == "create")
            op = (*calls[at], short[at + 1 :])
            return (("creates the new set", (*calls[:at], op, *calls[at + 1 :])),)
        case _:
            return ((told(step), _calls(seeing, state, step)),)


def _calls(
    seeing: Seeing,
    state: State,
    step: Step,
    verdict: Verdict = Verdict.PASS,
    *,
    has_capacity: bool = True,
) -> tuple[Op, ...]:
    recorder: Any = Recorder(seeing, state, verdict, has_capacity=has_capacity)
    try:
        Effects(recorder, recorder, recorder, seeing.service).make(seeing.release(state), EPOCH, step)
    except NeedsOperator:
        return ()
    return tuple(recorder.ops)


def told(step: Step) -> str:
    """A step in words."""
    match step:
        case do.Enter(to, _, data):
            extra = f" at step {data['step']}" if to.value == "shifting" else ""
            return f"enters {to.value}{extra}"
        case do.PutWeights(weights, mirror):
            return f"publishes {words_of(weights)}{' and copies' if mirror else ''}"
        case do.Rehearse(name, weights):
            return f"rehearses {name} with {words_of(weights)}"
        case do.StartSet(name) | do.DeleteSet(name) | do.LeaveSet(name):
            return f"{type(step).__name__} {WORDS[NAMES.index(name)]}"
        case do.Observe(name) | do.Intend(name):
            for real, word in zip(NAMES, WORDS, strict=True):
                name = name.replace(real, word)
            return f"notes {name}"
        case do.MoveAlias(forward):
            return f"moves the alias {'on' if forward else 'back'}"
        case _:
            return type(step).__name__


def words_of(weights: Mapping[str, int]) -> str:
    return "{" + ", ".join(f"{WORDS[NAMES.index(name)]} {weight}" for name, weight in weights.items()) + "}"


__all__ = ["REF", "Program", "Recorder", "file_of", "programs", "told"]
