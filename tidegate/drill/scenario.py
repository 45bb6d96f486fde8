"""Which drills there are: the fault, when it comes, and what must come of it. Data; nothing here runs anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.domain import NotFound, ReleaseState


class Place(StrEnum):
    """On what kind of installation a drill runs; drills of one kind share a stack."""

    LOCAL = "local"
    """The embedded default: SQLite, sets as processes of this machine."""
    NETWORK = "network"
    """PostgreSQL and an emulated RunPod, both reached through relays that can be slowed and cut."""


class Phase(StrEnum):
    """What is under way when the fault comes."""

    STEADY = "steady"
    CANARY = "canary"
    """A release whose new set carries live traffic beside the old one."""
    START = "start"
    """A release whose set is being made."""
    AFTER = "after"
    """A release has just ended, and the set before it is still warm."""
    BEFORE = "before"
    """Nothing yet: the fault comes first, then a release is asked for."""


class Subject(StrEnum):
    """One of the two services of the installation."""

    HERE = "here"
    """Its sets are processes of this machine."""
    CLOUD = "cloud"
    """Its sets run on the emulated RunPod."""


class Path(StrEnum):
    """Whether clients had a healthy way to an answer while the fault lasted."""

    ALWAYS = "always"
    """Nothing may be lost."""
    BUT_IN_FLIGHT = "except in flight"
    """Only what was in flight on the very process that was killed: nobody can finish its stream."""
    NONE = "none"
    """The only one was hit: requests fail until it is back, and none after that."""


ENDED_WELL = frozenset({ReleaseState.DONE})
ENDED_SAFELY = frozenset({ReleaseState.DONE, ReleaseState.ROLLED_BACK})


@dataclass(frozen=True)
class Drill:
    """One fault and its expected outcome."""

    name: str
    fault: str
    """What is done, as a sentence."""
    expected: str
    """What must come of it, as a sentence."""
    phase: Phase
    path: Path
    promised_s: float
    """From the fault (a lasting one: from its end) until what was hit works again. Judged on a quiet machine only."""
    place: Place = Place.LOCAL
    clients_of: Subject = Subject.HERE
    release_of: Subject = Subject.HERE
    ends: frozenset[ReleaseState] = frozenset()
    """How the release under way may end; empty when there is none."""
    gateways: int = 1
    """With two, clients call the second, and the first is hit."""
    is_short: bool = False
    """Part of the short list that runs with every change."""


DRILLS: tuple[Drill, ...] = (
    Drill(
        "kill-engine-only",
        "kill -9 of the engine of the only set that there is",
        "clients fail until it is started again, and not after that",
        Phase.STEADY,
        Path.NONE,
        promised_s=30,
    ),
    Drill(
        "kill-envoy",
        "kill -9 of the only Envoy",
        "clients fail until it is back, and not after that",
        Phase.STEADY,
        Path.NONE,
        promised_s=5,
        is_short=True,
    ),
    Drill(
        "kill-one-envoy",
        "kill -9 of one Envoy of two",
        "clients of the other Envoy lose nothing; the killed one comes back",
        Phase.STEADY,
        Path.ALWAYS,
        promised_s=5,
        gateways=2,
    ),
    Drill(
        "kill-flow",
        "kill -9 of the flow run that drives a release",
        "another owner with a higher epoch finishes the same release; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=30,
        ends=ENDED_WELL,
        is_short=True,
    ),
    Drill(
        "kill-worker",
        "kill -9 of the Prefect worker during a release",
        "the run goes on without it, the worker is started again; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=45,
        ends=ENDED_WELL,
    ),
    Drill(
        "kill-prefect",
        "kill -9 of the Prefect server during a release",
        "the server is started again, the release ends safely; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=90,
        ends=ENDED_SAFELY,
    ),
    Drill(
        "kill-agent",
        "kill -9 of the gateway agent during a release",
        "Envoy serves on, the agent is started again and takes the newest weights; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=30,
        ends=ENDED_WELL,
        is_short=True,
    ),
    Drill(
        "kill-engine-live",
        "kill -9 of the engine of the live set in the middle of a canary",
        "its traffic goes to the other set; only what was in flight on it is lost; the release ends safely or asks a person",
        Phase.CANARY,
        Path.BUT_IN_FLIGHT,
        promised_s=30,
        ends=ENDED_SAFELY | {ReleaseState.HOLD},
    ),
    Drill(
        "kill-engine-candidate",
        "kill -9 of the engine of the candidate set in the middle of its canary",
        "the release goes back by itself; only what was in flight on it is lost",
        Phase.CANARY,
        Path.BUT_IN_FLIGHT,
        promised_s=10,
        ends=frozenset({ReleaseState.ROLLED_BACK}),
        is_short=True,
    ),
    Drill(
        "kill-engine-previous",
        "kill -9 of the engine of the only set with traffic, after a release whose old set is still warm",
        "the old set stands in; only what was in flight on the killed one is lost",
        Phase.AFTER,
        Path.BUT_IN_FLIGHT,
        promised_s=30,
    ),
    Drill(
        "stale-owner",
        "SIGSTOP of the flow run that drives a release, until another owner took over; then SIGCONT",
        "the old owner writes nothing more (its epoch is refused); the release ends well; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=30,
        ends=ENDED_WELL,
    ),
    Drill(
        "lock-database",
        "another program holds SQLite's write lock during a release, until the gateway cannot report any more",
        "Envoy serves on; the release ends safely once the lock is free; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=30,
        ends=ENDED_SAFELY,
    ),
    Drill(
        "disk-full",
        "no process of the stack but Envoy and engines can make a file longer (RLIMIT_FSIZE), during a release",
        "Envoy serves on; the release ends safely once there is room again; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=60,
        ends=ENDED_SAFELY,
    ),
    Drill(
        "kill-emulator",
        "kill -9 of RunPod's emulator while a release makes a set there, then its start",
        "services elsewhere lose nothing; the release finds its set again by name and ends well",
        Phase.START,
        Path.ALWAYS,
        promised_s=90,
        place=Place.NETWORK,
        release_of=Subject.CLOUD,
        ends=ENDED_WELL,
    ),
    Drill(
        "no-capacity",
        "RunPod is out of stock when a release wants its set, then has some again",
        "the release parks and costs nothing, the live set is untouched; with stock it goes on by itself",
        Phase.BEFORE,
        Path.ALWAYS,
        promised_s=90,
        place=Place.NETWORK,
        clients_of=Subject.CLOUD,
        release_of=Subject.CLOUD,
        ends=ENDED_WELL,
    ),
    Drill(
        "cut-database",
        "every connection to PostgreSQL is cut during a release, until the gateway cannot report any more",
        "Envoy serves on; the release ends safely once the database is back; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=60,
        place=Place.NETWORK,
        ends=ENDED_SAFELY,
    ),
    Drill(
        "cut-agent",
        "only the gateway agent is cut off from the database during a release",
        "no switch counts as done meanwhile; the agent takes the newest weights afterwards; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=30,
        place=Place.NETWORK,
        ends=ENDED_SAFELY,
    ),
    Drill(
        "slow-agent",
        "every packet between gateway agent and database takes 50 ms longer during a release",
        "the release ends well, only later; no request is lost",
        Phase.CANARY,
        Path.ALWAYS,
        promised_s=30,
        place=Place.NETWORK,
        ends=ENDED_WELL,
    ),
    Drill(
        "slow-engine",
        "every packet between gateway and engine takes 200 ms longer",
        "answers are later, none is lost",
        Phase.STEADY,
        Path.ALWAYS,
        promised_s=10,
        place=Place.NETWORK,
        clients_of=Subject.CLOUD,
    ),
    Drill(
        "cut-engine",
        "the network between gateway and engine is cut, and comes back",
        "clients fail until it is back, and not after that",
        Phase.STEADY,
        Path.NONE,
        promised_s=60,
        place=Place.NETWORK,
        clients_of=Subject.CLOUD,
    ),
)


def find_drills(names: Sequence[str], *, is_all: bool = False) -> tuple[Drill, ...]:
    """The named drills in the order of the list; without names the short list, or all.

    Raises: NotFound for a name that there is not.
    """
    known = {drill.name for drill in DRILLS}
    for name in names:
        if name not in known:
            raise NotFound(
                f"There is no drill '{name}'.", remedy="See them with: tidegate drill --list", field="name"
            )
    if names:
        return tuple(drill for drill in DRILLS if drill.name in names)
    return tuple(drill for drill in DRILLS if is_all or drill.is_short)
