"""What the world may do between any two calls: sets, gateways, capacity, people, time. And the configurations."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.model.calls import confirmed, passed_time
from tests.model.state import NEW, OLD, UNROUTED, WORDS, State, is_confirmed, is_over, put
from tidegate.domain import Policy

WAITING = ("hold", "await_approval")
LIVE = ("shifting", "baking", *WAITING)


@dataclass(frozen=True)
class Configuration:
    """One small world: where it starts, the policy, and what may go wrong in it, at most `start.faults` times."""

    name: str
    start: State
    policy: Policy
    faults: frozenset[str] = frozenset()
    """die:SET, vanish:SET, stop:SET, lie:SET, hang, restart, capacity, silence, spend, deadline."""
    people: frozenset[str] = frozenset()
    """abort, approve, rollback."""
    looks: tuple[str, ...] = ("good", "harm")
    has_streams: bool = False
    mortal: tuple[int, ...] = field(default=(NEW, OLD))


def events(world: Configuration, state: State) -> Iterator[tuple[str, State]]:
    yield from _gateways(world, state)
    yield from _sets(world, state)
    if is_over(state):
        return
    yield from _people(world, state)
    if not state.owner:
        yield from _looks(world, state)
    if state.faults:
        yield from _faults(world, state)


def _gateways(world: Configuration, state: State) -> Iterator[tuple[str, State]]:
    if not is_confirmed(state):
        after = confirmed(state)
        yield "the gateway confirms", after if world.has_streams else after._replace(streams="")
    if state.silent:
        yield "the silent gateway is back", state._replace(silent=())
    elif state.faults and "silence" in world.faults and not is_over(state):
        yield "a gateway falls silent", state._replace(silent=state.gateway, faults=state.faults - 1)
    if state.streams:
        yield "streams end", state._replace(streams="")


def _sets(world: Configuration, state: State) -> Iterator[tuple[str, State]]:
    for number, letter in enumerate(state.sets):
        if letter == "s":
            yield f"{WORDS[number]} gets ready", state._replace(sets=put(state.sets, number, "r"))
        if letter == "f" and number in world.mortal and not is_over(state):
            yield f"{WORDS[number]} recovers", state._replace(sets=put(state.sets, number, "r"))
        if letter != "a":
            is_unknown = state.recorded[number] in "d-"
            is_left = state.recorded[number] == "l" and not (
                state.silent and state.silent[number] != UNROUTED
            )
            if is_unknown or is_left:
                swept = state._replace(sets=put(state.sets, number, "a"))
                yield (
                    f"reconcile removes {WORDS[number]}",
                    swept._replace(recorded=put(state.recorded, number, "d")),
                )


def _looks(world: Configuration, state: State) -> Iterator[tuple[str, State]]:
    """Live traffic shows something, once the present weights had their time."""
    if state.state not in LIVE or ("weights", "elapsed") not in state.observed or state.look != "none":
        return
    if state.gateway[NEW] <= 0:
        return
    for look in world.looks:
        yield f"live traffic looks {look}", state._replace(look=look)


def _people(world: Configuration, state: State) -> Iterator[tuple[str, State]]:
    if "abort" in world.people and not state.abort:
        yield "a person stops it", state._replace(abort="abort")
    if "rollback" in world.people and not state.wish and state.state in ("committing", "retiring"):
        yield "a person asks for a rollback", state._replace(wish="rollback")
    if "approve" in world.people and state.state in WAITING and not state.owner:
        if not state.approval:
            yield "a person approves", state._replace(approval="given")
        elif state.approval == "given":
            yield "the evidence changes after the approval", state._replace(approval="void")


def _faults(world: Configuration, state: State) -> Iterator[tuple[str, State]]:
    less = state._replace(faults=state.faults - 1)
    for number in world.mortal:
        letter, word = state.sets[number], WORDS[number]
        for fault, after in (("die", "f"), ("vanish", "a"), ("stop", "x")):
            if letter in "rs" and f"{fault}:{word}" in world.faults:
                verb = {"die": "dies", "vanish": "vanishes", "stop": "is stopped"}[fault]
                yield f"{word} {verb}", less._replace(sets=put(state.sets, number, after))
        if f"lie:{word}" in world.faults and str(number) not in state.lying:
            yield f"{word} serves another file", less._replace(lying=state.lying + str(number))
    yield from _of_the_new_set(world, state, less)
    if "capacity" in world.faults:
        if state.capacity:
            yield "the platform has no capacity", less._replace(capacity=False)
        else:
            yield "there is capacity again", state._replace(capacity=True)
        if (
            state.sets[NEW] == "a"
            and state.recorded[NEW] == "w"
            and state.state in ("parked", "provisioning")
        ):
            yield (
                "a set is made although its call said that there was no room",
                less._replace(sets=put(state.sets, NEW, "s")),
            )
    yield from _of_time_and_money(world, state, less)


def _of_the_new_set(world: Configuration, state: State, less: State) -> Iterator[tuple[str, State]]:
    if "hang" in world.faults and state.sets[NEW] == "s":
        yield "new hangs while it starts", less._replace(sets=put(state.sets, NEW, "p"))
    if "restart" in world.faults and state.sets[NEW] == "r" and not state.restarted:
        yield "new is restarted by its platform", less._replace(restarted=True)


def _of_time_and_money(world: Configuration, state: State, less: State) -> Iterator[tuple[str, State]]:
    if "away" in world.faults and not state.owner and state.age < 3:
        yield "nobody drives it for a day", passed_time(passed_time(passed_time(less)))
    if "spend" in world.faults and state.plan and not state.overspent:
        yield "the cap is reached", less._replace(overspent=True)
    if "deadline" in world.faults and state.plan and state.state != "planned" and not state.overdue:
        yield "the release's deadline passes", less._replace(overdue=True)
