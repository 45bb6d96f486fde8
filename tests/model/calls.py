"""What one call of an effect does to the small world: the ledger's, the platform's and the gateways' side of it."""

from typing import Any, cast

from tests.model.seeing import NAMES, file_of
from tests.model.state import NEW, UNROUTED, Op, Pairs, State, is_over, put, with_pair

FENCED = frozenset({"enter", "observe", "intend", "evidence", "mark", "route", "alias", "fence", "unlock"})
"""Calls that are refused when they come from an old epoch. A platform cannot refuse: its calls are not here."""
EARLY_GATES = frozenset({"authorization", "structure", "inference"})
WARM_GATES = frozenset({"identity", "probes"})
KEPT_WHILE_ASKING = frozenset({"judging", "hold", "await_approval"})
TIMED = ("weights", "start:", "unrouted:")
"""Marks whose age counts."""


def make(state: State, op: Op) -> tuple[State, tuple[Op, ...] | None]:
    """The world after one call; and, where its answer was another one, the calls that follow instead."""
    match op:
        case ("enter", str(name), data, str(plan)):
            return entered(state, name, cast(Pairs, data), plan), None
        case ("observe", str(name), value):
            return _observed(state, name, value), None
        case ("intend", str(name)):
            return _intended(state, name), None
        case ("evidence", rows):
            return _judged(state, cast(Any, rows)), None
        case ("create" | "start" | "delete", *_):
            return _platform(state, op)
        case ("mark", int(number), str(letter)):
            return state._replace(recorded=put(state.recorded, number, letter)), None
        case ("route", weights):
            return state._replace(weights=cast(tuple[int, ...], weights)), None
        case ("alias", str(alias), str(label)):
            return state._replace(**{alias: label}), None
        case ("quarantine", str(digest)):
            is_new = digest == file_of("v2")
            return (state._replace(quarantined=True) if is_new else state), None
        case ("lock",):
            return state._replace(has_lock=True), None
        case _:
            return state, None


def _intended(state: State, name: str) -> State:
    what, _, which = name.partition(":")
    if what == "create":
        return state._replace(is_intended=True)
    return state._replace(doomed="".join(sorted({*state.doomed, str(NAMES.index(which))})))


def _platform(state: State, op: Op) -> tuple[State, tuple[Op, ...] | None]:
    number = cast(int, op[1])
    if op[0] == "delete":
        return state._replace(sets=put(state.sets, number, "a")), None
    if state.capacity or state.sets[number] not in "fxa":
        return _started(state, number), None
    is_new = op[0] == "create" and len(op) == 3
    return state, cast(tuple[Op, ...], op[2]) if is_new and state.sets[number] == "a" else None


def _started(state: State, number: int) -> State:
    return state._replace(sets=put(state.sets, number, "s")) if state.sets[number] in "fxa" else state


def entered(state: State, name: str, data: Pairs, plan: str) -> State:
    """What the journal told of the last state is over; what a later state may still ask for is kept."""
    is_waiting = name in ("parked", "provisioning")
    parked = state.parked if is_waiting else -1
    if name == "parked" and parked < 0:
        parked = 0
    after = state._replace(
        state=name,
        data=data,
        age=0,
        parked=parked,
        observed=(),
        verdicts=_kept(state, name),
        is_intended=state.is_intended and is_waiting,
        approval="",
        look="none",
        plan=plan or state.plan,
        restarted=state.restarted and name != "warming",
    )
    if is_over(after):
        return after._replace(data=(), overdue=False, overspent=False, abort="", restarted=False, doomed="")
    return after


def _kept(state: State, name: str) -> tuple[tuple[str, str, int], ...]:
    if name in ("validating", "planned") or (name == "await_approval" and not state.verdicts):
        return state.verdicts
    dropped = EARLY_GATES if name in ("provisioning", "parked", "warming") else EARLY_GATES | WARM_GATES
    if name not in KEPT_WHILE_ASKING and name not in ("provisioning", "parked", "warming"):
        return ()
    return tuple(row for row in state.verdicts if row[0] not in dropped)


def _observed(state: State, name: str, value: object) -> State:
    if name.startswith("gate:"):
        return state._replace(
            verdicts=tuple(
                (gate, verdict, min(2, tries + 1) if gate == name[5:] else tries)
                for gate, verdict, tries in state.verdicts
            )
        )
    if name == "set":
        return state
    if name == "identity":
        proven, failed = cast(Any, value)
        before = next((cast(Any, old)[2] for mark, old in state.observed if mark == name), 0)
        return state._replace(observed=with_pair(state.observed, name, (proven, failed, min(3, before + 1))))
    if name == "weights":
        state = state._replace(look="none")
    mark = "fresh" if name.startswith(TIMED) else "elapsed"
    return state._replace(observed=with_pair(state.observed, name, mark))


def _judged(state: State, rows: tuple[tuple[str, str], ...]) -> State:
    """New rows replace the old ones; an approval that was given for the old ones is void. What live traffic showed is
    never asked for again: the step that it decided took it along."""
    rows = tuple(row for row in rows if row[0] != "live")
    tries = {gate: count for gate, _, count in state.verdicts}
    found = dict(rows)
    others = tuple(row for row in state.verdicts if row[0] not in found)
    fresh = tuple((gate, verdict, tries.get(gate, 0)) for gate, verdict in rows)
    approval = "void" if state.approval else ""
    return state._replace(verdicts=tuple(sorted((*others, *fresh))), approval=approval)


def passed_time(state: State) -> State:
    """The next class of age; what was fresh is not any more."""
    return state._replace(
        age=min(3, state.age + 1),
        parked=min(3, state.parked + 1) if state.parked >= 0 else -1,
        observed=tuple((name, "elapsed" if value == "fresh" else value) for name, value in state.observed),
    )


def confirmed(state: State) -> State:
    """The gateway takes the newest weights; streams that it sent to a set that gets no new ones go on there."""
    left = {str(i) for i, weight in enumerate(state.gateway[:-1]) if weight > 0 and state.weights[i] <= 0}
    kept = {one for one in state.streams if state.weights[int(one)] <= 0}
    return state._replace(gateway=state.weights, streams="".join(sorted(left | kept)))


def next_release(state: State) -> State:
    """The wish that waited for the service becomes a release of its own."""
    return state._replace(
        number=state.number + 1,
        state="requested",
        plan="",
        has_lock=False,
        age=0,
        parked=-1,
        observed=(),
        verdicts=(),
        abort="",
        is_intended=False,
    )


__all__ = ["FENCED", "NEW", "UNROUTED", "confirmed", "entered", "make", "next_release", "passed_time"]
