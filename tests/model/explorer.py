"""Breadth first through every state that the real `decide` and the faults of a configuration can reach."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.model import properties
from tests.model.calls import FENCED, confirmed, make, next_release, passed_time
from tests.model.doing import Program, programs, told
from tests.model.events import Configuration, events
from tests.model.seeing import Seeing
from tests.model.state import Op, State, describe, is_over
from tidegate.release import machine
from tidegate.release import step as do

Move = tuple[str, State]
MAX_CALM = 400
"""Steps after which a release that still goes on by itself is called a livelock."""


@dataclass(frozen=True)
class Decision:
    """The answer of `decide` for one key: in words, what it may become, and the property that it breaks."""

    text: str
    kind: str
    programs: tuple[Program, ...] = ()
    broken: str = ""


@dataclass(frozen=True)
class Violation:
    broken: str
    trace: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"  {number:3}. {line}" for number, line in enumerate(self.trace, 1)]
        return "\n".join([self.broken, *lines])


@dataclass
class Result:
    name: str
    states: int = 0
    transitions: int = 0
    decisions: int = 0
    depth: int = 0
    calm: int = 0
    violation: Violation | None = None


class Broken(Exception):
    def __init__(self, broken: str, label: str) -> None:
        super().__init__(broken)
        self.broken, self.label = broken, label


@dataclass
class Explorer:
    """`fenced` are the calls that the ledger refuses from an old epoch; a mutant may have fewer."""

    configuration: Configuration
    fenced: frozenset[str] = FENCED
    parents: dict[State, tuple[State, str] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.seeing = Seeing(self.configuration.policy)
        self._decisions: dict[tuple[object, ...], Decision] = {}
        self._programs: dict[object, tuple[Program, ...]] = {}

    # ---- the search

    def run(self, *, is_calm_checked: bool = True) -> Result:
        """Explore everything, or up to the first violation, which has the shortest trace."""
        start = self.configuration.start
        result = Result(self.configuration.name)
        self.parents = {start: None}
        depths, queue = {start: 0}, deque([start])
        while queue:
            state = queue.popleft()
            try:
                for label, after in self.moves(state):
                    result.transitions += 1
                    if after not in depths:
                        depths[after] = depths[state] + 1
                        self.parents[after] = (state, label)
                        queue.append(after)
            except Broken as found:
                result.violation = self._violation(state, found)
                break
        result.states, result.depth = len(depths), max(depths.values())
        if result.violation is None and is_calm_checked:
            self._check_calm(result, list(depths))
        result.decisions = len(self._decisions)
        return result

    def _violation(self, state: State, found: Broken) -> Violation:
        return Violation(found.broken, (*self.trace(state), f"{found.label}: {found.broken}"))

    def trace(self, state: State) -> list[str]:
        """How the state was reached, in words."""
        lines: list[str] = []
        at: State | None = state
        while at is not None and (parent := self.parents[at]) is not None:
            lines.append(f"{parent[1]}  {describe(at)}")
            at = parent[0]
        return [f"start  {describe(self.configuration.start)}", *reversed(lines)]

    # ---- one state

    def moves(self, state: State) -> Iterator[Move]:
        """Everything that may happen next."""
        if state.owner:
            yield self._call(state, "owner", state.owner, is_stale=False)
            yield "the owner dies between two calls", state._replace(owner=())
            if state.takeovers:
                yield "another owner takes over", self._overtaken(state, state.owner)
        elif is_over(state):
            if state.wish and not state.number:
                yield f"{state.wish} begins", next_release(state)
        else:
            yield from self._steps(state)
        for number, pending in enumerate(state.stale):
            rest = state._replace(stale=state.stale[:number] + state.stale[number + 1 :])
            label, after = self._call(rest, "a stale owner", pending, is_stale=True)
            yield label, after
        yield from events(self.configuration, state)

    def _steps(self, state: State) -> Iterator[Move]:
        decision = self.decide(state)
        if decision.broken:
            raise Broken(decision.broken, decision.text)
        if decision.kind != "act" or not decision.programs[0][1]:
            # While it acts no time passes that matters, unless nobody drives it: that is a fault of its own.
            later = passed_time(state)
            if later != state:
                yield f"time passes; it {decision.text}", later
        for text, ops in decision.programs:
            if not ops:
                continue
            yield self._call(state, f"owner {text}", ops, is_stale=False)
            if state.takeovers and (ops[0][0] not in self.fenced):
                yield (
                    f"another owner takes over from one that is about to act ({text})",
                    self._overtaken(state, ops),
                )

    def _overtaken(self, state: State, ops: tuple[Op, ...]) -> State:
        """The old owner goes on with its calls, and is stopped by the first that is refused."""
        after = state._replace(owner=(), takeovers=state.takeovers - 1)
        return after if ops[0][0] in self.fenced else self._with_stale(after, ops)

    def _with_stale(self, state: State, ops: tuple[Op, ...]) -> State:
        return state._replace(stale=tuple(sorted((*state.stale, ops), key=repr)))

    def _call(self, state: State, who: str, ops: tuple[Op, ...], *, is_stale: bool) -> Move:
        op, rest = ops[0], ops[1:]
        label = f"{who}: {op[0]}" if is_stale or who == "owner" else who
        broken = properties.of_call(state, op, is_stale=is_stale, fenced=FENCED)
        if broken:
            raise Broken(broken, label)
        after, instead = make(state, op)
        pending = rest if instead is None else instead
        if is_stale:
            goes_on = pending and pending[0][0] not in self.fenced
            return label, self._with_stale(after, pending) if goes_on else after
        if is_over(after):
            # What follows is only the lock, which a release that is over does not keep anybody from.
            pending = ()
        return label, after._replace(owner=pending)

    def decide(self, state: State) -> Decision:
        """The real `decide`, asked once for each key."""
        key = self.seeing.key(state)
        known = self._decisions.get(key)
        if known is None:
            known = self._decisions[key] = self._decide(state)
        return known

    def _decide(self, state: State) -> Decision:
        view, seen = self.seeing.view(state), self.seeing.observation(state)
        try:
            step = machine.decide(view, seen, self.seeing.policy)
        except AssertionError as error:
            return Decision("decide", "act", broken=f"decide refuses: {error}")
        broken = properties.of_step(state, view, seen, step)
        if isinstance(step, do.Wait | do.Stop):
            kind = "wait" if isinstance(step, do.Wait) else "stop"
            return Decision(f"{kind}s: {step.reason}", kind, broken=broken)
        made = self._programs_of(state, step)
        return Decision(told(step), "act", made, broken or self._plan_broken(step))

    def _programs_of(self, state: State, step: do.Step) -> tuple[Program, ...]:
        """The same step in a world that answers the same becomes the same calls, whatever its reason."""
        told_by = tuple(
            (name, repr(value) if name in ("data", "weights", "rows") else value)
            for name, value in vars(step).items()
            if name != "reason"
        )
        world = (state.sets, state.weights, state.lying, state.recorded, state.champion, state.previous)
        key = (type(step), told_by, world, state.plan, state.number, state.has_lock)
        known = self._programs.get(key)
        if known is None:
            known = self._programs[key] = programs(self.seeing, state, step)
        return known

    def _plan_broken(self, step: do.Step) -> str:
        if not isinstance(step, do.MakePlan):
            return ""
        return next((text for plan in self.seeing.plans.values() if (text := properties.of_plan(plan))), "")

    # ---- liveness

    def _check_calm(self, result: Result, states: list[State]) -> None:
        """From every state, with faults stopped, the release ends, or waits for a person who has no deadline."""
        known: set[State] = set()
        for state in states:
            path: list[tuple[str, State]] = []
            on_path: set[State] = set()
            at: State | None = state
            while at is not None and at not in known:
                if at in on_path and _needs_world(at):
                    break
                if at in on_path or len(path) > MAX_CALM:
                    broken = f"liveness: goes round for ever in {at.state}"
                    lines = [f"calm: {label}  {describe(one)}" for label, one in path]
                    result.violation = Violation(broken, (*self.trace(state), *lines))
                    return
                on_path.add(at)
                label, at = self.calm(at)
                if at is None and label:
                    lines = [f"calm: {text}  {describe(one)}" for text, one in path]
                    result.violation = Violation(label, (*self.trace(state), *lines))
                    return
                if at is not None:
                    path.append((label, at))
            known |= on_path
        result.calm = len(known)

    def calm(self, state: State) -> tuple[str, State | None]:
        """The one next state without faults; None at the end, with a text when that is no good end."""
        if state.owner:
            return self._call(state, "owner", state.owner, is_stale=False)
        if state.stale:
            rest = state._replace(stale=state.stale[1:])
            return self._call(rest, "a stale owner", state.stale[0], is_stale=True)
        if state.gateway != state.weights:
            return "the gateway confirms", self._settled(confirmed(state))
        if state.streams:
            return "streams end", state._replace(streams="")
        if "s" in state.sets:
            return "sets get ready", state._replace(sets=state.sets.replace("s", "r"))
        if is_over(state):
            return "", None
        decision = self.decide(state)
        if decision.kind == "act" and decision.programs[0][1]:
            return self._call(state, f"owner {decision.text}", decision.programs[0][1], is_stale=False)
        later = passed_time(state)
        if later != state:
            return f"time passes; it {decision.text}", later
        return (_rests_badly(state, decision), None)

    def _settled(self, state: State) -> State:
        return state if self.configuration.has_streams else state._replace(streams="")


def _needs_world(state: State) -> bool:
    """Nothing serves and there is no room to start anything: it is tried again and again, as it should be."""
    is_held = state.state == "hold" and dict(state.data).get("from") == "rolling_back"
    return not state.capacity and (is_held or state.state in ("retiring", "rolling_back"))


def _rests_badly(state: State, decision: Decision) -> str:
    """Where a release may stay for ever: with a question that only a person or the world can answer."""
    is_question = state.state == "hold" and dict(state.data).get("from") in ("rolling_back", "retiring")
    needs_world = state.state == "retiring"
    if is_question or needs_world:
        return ""
    return f"liveness: stays in {state.state} for ever; it {decision.text or decision.kind}"
