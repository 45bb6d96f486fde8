"""One state of the small world: journal, ledger, sets, gateways and processes as plain values that can be hashed."""

from typing import NamedTuple

NEW, OLD, OLDER = 0, 1, 2
WORDS = ("new", "old", "older", "again", "oldest")
"""Sets by number: of the release, the live one, the one before it, and what a rollback has to make anew."""
FILES = ("2" * 64, "1" * 64, "0" * 64, "1" * 64, "9" * 64)
VERSIONS = ("v2", "v1", "v0")
UNROUTED = -1

Pairs = tuple[tuple[str, object], ...]
Weights = tuple[int, ...]
"""Percent by number of the set, -1 where it is not routed; the last one is 1 while copies go to the new set."""
Op = tuple[object, ...]
"""One call of the real effects, for example ("route", weights) or ("append", "observed", "weights", ())."""


class State(NamedTuple):
    """What `decide` looks at comes first, down to `restarted`: together with what gateways told it is the key under
    which its answer is kept."""

    number: int = 0
    """Releases that ended before this one."""
    state: str = "requested"
    data: Pairs = ()
    age: int = 0
    """How long ago it entered its state, as a class of `seeing.AGES`."""
    parked: int = -1
    """The same since it was first parked; -1 when it never was."""
    observed: Pairs = ()
    verdicts: tuple[tuple[str, str, int], ...] = ()
    is_intended: bool = False
    doomed: str = ""
    """Sets, by number, whose removal was announced."""
    abort: str = ""
    approval: str = ""
    overdue: bool = False
    overspent: bool = False
    look: str = "none"
    plan: str = ""
    has_lock: bool = False
    champion: str = VERSIONS[OLD]
    previous: str = VERSIONS[OLDER]
    quarantined: bool = False
    recorded: str = "-w---"
    """By set: `w` wanted, `d` deleted, `l` left to reconcile, `-` unknown."""
    weights: Weights = (-1, 100, -1, -1, -1, 0)
    sets: str = "araaa"
    """By set: `r` ready, `s` starting, `p` starting for ever, `f` failed, `x` stopped, `a` absent."""
    lying: str = ""
    """Sets that serve another file, by number."""
    restarted: bool = False
    gateway: Weights = (-1, 100, -1, -1, -1, 0)
    """What the gateway that answers has."""
    silent: Weights = ()
    """What a gateway had when it fell silent; empty while none is."""
    streams: str = ""
    """Sets, by number, on which requests are in flight although they get no new ones."""
    capacity: bool = True
    wish: str = ""
    """What somebody asked for while this release had the service."""
    owner: tuple[Op, ...] = ()
    """Calls that the owner's present effect has still to make."""
    stale: tuple[tuple[Op, ...], ...] = ()
    """The same of owners that were fenced off and do not know it."""
    faults: int = 0
    takeovers: int = 0


KEY = State._fields.index("gateway")


def put(text: str, number: int, letter: str) -> str:
    return text[:number] + letter + text[number + 1 :]


def without(pairs: Pairs, name: str) -> Pairs:
    return tuple(pair for pair in pairs if pair[0] != name)


def with_pair(pairs: Pairs, name: str, value: object) -> Pairs:
    return tuple(sorted((*without(pairs, name), (name, value)), key=lambda pair: pair[0]))


def is_confirmed(state: State) -> bool:
    return state.gateway == state.weights


def is_over(state: State) -> bool:
    return state.state in ("done", "rolled_back", "rejected", "evaluated")


def ready(state: State, number: int) -> bool:
    return state.sets[number] == "r"


def describe(state: State) -> str:
    """The state in words, for a trace."""
    words = {"r": "ready", "s": "starting", "f": "failed", "x": "stopped", "a": "absent", "p": "hanging"}
    sets = ", ".join(f"{WORDS[i]} {words[c]}" for i, c in enumerate(state.sets) if state.recorded[i] != "-")
    told = "" if is_confirmed(state) else f"; the gateway still has {weights_text(state.gateway)}"
    silent = f"; a silent gateway has {weights_text(state.silent)}" if state.silent else ""
    return f"[{state.state}] {sets}; wanted {weights_text(state.weights)}{told}{silent}; champion {state.champion}"


def weights_text(weights: Weights) -> str:
    parts = [f"{WORDS[i]} {w}" for i, w in enumerate(weights[:-1]) if w != UNROUTED]
    return ("{" + ", ".join(parts) + "}" if parts else "nothing") + (" and copies" if weights[-1] else "")
