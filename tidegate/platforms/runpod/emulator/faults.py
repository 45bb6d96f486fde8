"""Every way in which the emulator can be told to misbehave, and when. Deciding is pure; the board holds facts.

A fault has a knob and a value, and may be limited to a scope (an endpoint, a pool, an organization, a path),
to a number of uses, and to a span of time. A timeline is a list of faults that begin later.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain import InvalidInput

EVERYWHERE = "*"


@dataclass(frozen=True)
class Knob:
    """What can be set, of which type, and what it does."""

    name: str
    kind: type
    does: str
    plane: str


KNOBS: dict[str, Knob] = {
    knob.name: knob
    for knob in (
        Knob(
            "create_reply_lost", bool, "commit the create, then cut the connection (scope: path)", "control"
        ),
        Knob("update_reply_lost", bool, "commit the PATCH, then cut the connection (scope: path)", "control"),
        Knob(
            "delete_reply_lost", bool, "commit the DELETE, then cut the connection (scope: path)", "control"
        ),
        Knob("control_429", float, "refuse with 429 and this Retry-After in seconds", "control"),
        Knob("control_5xx", int, "answer with this status before anything happens", "control"),
        Knob("control_latency_s", float, "wait this long before each reply", "control"),
        Knob("control_401", bool, "reject every key", "control"),
        Knob(
            "capacity_400",
            bool,
            "refuse creates for want of capacity (scope: pool, GPU type, cloud)",
            "control",
        ),
        Knob("stock_out", bool, "no free machine (scope: pool, GPU type, data centre, cloud)", "control"),
        Knob("list_lag_s", float, "lists do not show resources younger than this", "control"),
        Knob("graphql_gone", bool, "GraphQL answers 410", "control"),
        Knob("balance_usd", float, "the balance of the account (scope: organization)", "control"),
        Knob("billing_delay_s", float, "billing does not know the last seconds", "control"),
        Knob("clock_skew_s", float, "times told are off by this much", "control"),
        Knob("log_stream_cut", int, "cut a log stream after this many events", "control"),
        Knob("data_429", float, "refuse with 429 and this Retry-After in seconds", "data"),
        Knob("data_5xx", int, "answer with this status before anything happens", "data"),
        Knob("data_latency_s", float, "wait this long before each reply", "data"),
        Knob("edge_limit_s", float, "answer 524 after this long on runsync, openai and LB", "data"),
        Knob(
            "new_endpoint_404_s", float, "a new endpoint is unknown to the data plane for this long", "data"
        ),
        Knob("health_lag_s", float, "health tells counters of this long ago", "data"),
        Knob("webhook_lost", bool, "webhooks are not delivered", "data"),
        Knob("cut_stream_after", int, "cut a load-balanced reply after this many chunks", "data"),
        Knob("image_pull_s", float, "pulling an image takes this long", "workers"),
        Knob("image_pull_fails", bool, "pulling an image fails", "workers"),
        Knob("init_delay_s", float, "the container starts this long after the pull", "workers"),
        Knob("throttled", bool, "workers wait for capacity for ever", "workers"),
        Knob("crash_at_start", int, "the container exits at once with this code", "workers"),
        Knob("pod_exits", int, "a running pod's command ends with this code (scope: pod, name)", "workers"),
        Knob(
            "host_lost",
            bool,
            "a pod's machine is gone: it ends as ERROR and cannot be started there again (scope: pod, name)",
            "workers",
        ),
        Knob("kill_mid_stream", int, "kill the worker's group after this many chunks of a reply", "workers"),
        Knob("kill_mid_job", bool, "kill the worker's group right after it took a job", "workers"),
        Knob("take_status", int, "job-take answers with this status", "workers"),
        Knob("done_status", int, "job-done answers with this status and forgets the result", "workers"),
        Knob("drop_pings", bool, "heartbeats are not counted", "workers"),
        Knob("unhealthy", bool, "health checks of load-balanced workers fail", "workers"),
    )
}


class FaultRequest(BaseModel):
    """A fault as told by HTTP, CLI or a timeline: `at` and `for` are seconds from now."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    knob: str
    value: bool | int | float | str = True
    scope: str = EVERYWHERE
    at_s: float = Field(default=0.0, ge=0, alias="at")
    for_s: float | None = Field(default=None, gt=0, alias="for")
    count: int | None = Field(default=None, ge=1)


@dataclass(frozen=True)
class Fault:
    """One fault between two moments."""

    number: int
    knob: str
    value: Any
    scope: str
    starts_at: float
    ends_at: float | None
    uses_left: int | None

    def is_on(self, now: float) -> bool:
        has_begun = self.starts_at <= now
        return has_begun and (self.ends_at is None or now < self.ends_at) and self.uses_left != 0


def checked_value(name: str, value: Any) -> Any:
    """The value in the knob's own type.

    Raises:
        InvalidInput: for an unknown knob, or a value of the wrong kind.
    """
    knob = KNOBS.get(name)
    if knob is None:
        raise InvalidInput(f"No fault knob is called '{name}'.", remedy=f"Known: {', '.join(sorted(KNOBS))}.")
    if knob.kind is bool and isinstance(value, str) and value.lower() in {"true", "false", "1", "0"}:
        return value.lower() in {"true", "1"}
    if knob.kind is bool and not isinstance(value, bool):
        raise InvalidInput(
            f"Fault knob '{name}' takes true or false, not '{value}'.", remedy="Give true or false."
        )
    if knob.kind is not bool and isinstance(value, bool):
        raise InvalidInput(f"Fault knob '{name}' takes a number, not '{value}'.", remedy="Give a number.")
    try:
        return knob.kind(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"Fault knob '{name}' takes {knob.kind.__name__}, not '{value}'.",
            remedy="Give a value of that kind.",
        ) from error


def select(faults: Iterable[Fault], knob: str, scopes: Sequence[str], now: float) -> Fault | None:
    """The fault that counts: the newest of the narrowest scope, in the order in which scopes are given."""
    on = [fault for fault in faults if fault.knob == knob and fault.is_on(now)]
    for scope in (*scopes, EVERYWHERE):
        matching = [fault for fault in on if fault.scope == scope]
        if matching:
            return max(matching, key=lambda fault: fault.number)
    return None


class FaultBoard:
    """The faults that are set. Reading a counted fault uses it up."""

    def __init__(self, read_clock: Callable[[], float] = time.time):
        self._read_clock = read_clock
        self._faults: dict[int, Fault] = {}
        self._numbers = itertools.count(1)

    def add(self, request: FaultRequest) -> Fault:
        now = self._read_clock()
        fault = Fault(
            number=next(self._numbers),
            knob=request.knob,
            value=checked_value(request.knob, request.value),
            scope=request.scope,
            starts_at=now + request.at_s,
            ends_at=None if request.for_s is None else now + request.at_s + request.for_s,
            uses_left=request.count,
        )
        self._faults[fault.number] = fault
        return fault

    def clear(self, knob: str | None = None) -> int:
        """Forget the faults of a knob, or all of them; says how many."""
        gone = [number for number, fault in self._faults.items() if knob in (None, fault.knob)]
        for number in gone:
            del self._faults[number]
        return len(gone)

    def read(self, knob: str, *scopes: str) -> Any:
        """The value that is in force, or None; a counted fault loses one use."""
        if not self._faults:
            return None
        fault = select(self._faults.values(), knob, scopes, self._read_clock())
        if fault is None:
            return None
        if fault.uses_left is not None:
            self._faults[fault.number] = replace(fault, uses_left=fault.uses_left - 1)
        return fault.value

    def active(self) -> list[Fault]:
        """Faults that are on or will be."""
        now = self._read_clock()
        return [
            fault
            for fault in self._faults.values()
            if fault.uses_left != 0 and (fault.ends_at is None or now < fault.ends_at)
        ]
