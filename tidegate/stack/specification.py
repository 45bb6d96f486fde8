"""What a supervised process is, as data: how to start it, when it is ready, how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

from tidegate.domain import InvalidInput

TERMINATE = "SIGTERM"


@dataclass(frozen=True)
class HttpProbe:
    """Ready when a GET answers with a status below `ok_below`."""

    url: str
    ok_below: int = 400


@dataclass(frozen=True)
class TcpProbe:
    """Ready when something listens."""

    host: str
    port: int


@dataclass(frozen=True)
class LogProbe:
    """Ready when this text appears in what this start of the process logged."""

    text: str


@dataclass(frozen=True)
class AliveProbe:
    """Ready when it has run for this long: for processes that have nothing to ask."""

    seconds: float


Probe = HttpProbe | TcpProbe | LogProbe | AliveProbe


@dataclass(frozen=True)
class RestartPolicy:
    """How often and how fast a process that died is started again."""

    first_delay_s: float = 0.5
    factor: float = 2.0
    max_delay_s: float = 30.0
    healthy_after_s: float = 60.0
    """Ready for this long: the next death begins with the first delay again."""
    give_up_after: int = 3
    """Deaths in a row of a process that was never ready: then it is `failed` and a person must look."""


@dataclass(frozen=True)
class ProcessSpec:
    """One process of the stack. `env` is its whole environment and may hold secrets: it is never shown or stored."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log_path: Path
    ready: Probe = AliveProbe(1.0)
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    after: tuple[str, ...] = ()
    kind: Literal["service", "task"] = "service"
    """A task is ready when it has ended with exit code 0; it is not started again after that."""
    ready_timeout_s: float = 60.0
    restart: RestartPolicy = RestartPolicy()
    stop_signal: str = TERMINATE
    stop_timeout_s: float = 10.0
    orphans: Literal["keep", "kill"] = "kill"
    """What becomes of its children when it dies by itself and is started again: `keep` where they serve traffic
    or drive a release, and the new process finds them."""


class ProcessStatus(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    BACKOFF = "backoff"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


SATISFIED = frozenset({ProcessStatus.READY, ProcessStatus.DONE})


def start_order(specs: tuple[ProcessSpec, ...]) -> list[list[str]]:
    """Names in waves: everything in a wave depends only on earlier waves.

    Raises:
        InvalidInput: for a name that stands twice, an unknown dependency or a circle.
    """
    waiting: dict[str, set[str]] = {spec.name: set(spec.after) for spec in specs}
    if len(waiting) != len(specs):
        raise InvalidInput("Two processes of the stack have the same name.", remedy="Give each its own name.")
    unknown = {name for after in waiting.values() for name in after} - set(waiting)
    if unknown:
        raise InvalidInput(
            f"Unknown dependency: {', '.join(sorted(unknown))}.", remedy="Name a declared process."
        )
    waves: list[list[str]] = []
    while waiting:
        wave = sorted(name for name, after in waiting.items() if not after)
        if not wave:
            raise InvalidInput(
                f"These processes wait for each other: {', '.join(sorted(waiting))}.",
                remedy="Take one of them out of the other's list.",
            )
        waves.append(wave)
        waiting = {name: after - set(wave) for name, after in waiting.items() if name not in wave}
    return waves
