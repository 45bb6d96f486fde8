"""A platform that goes wrong on purpose, in a written order: for contract tests and drills.

Wraps any `Platform`. Each fault strikes certain calls and no others, so that a run can be repeated exactly.
"""

import fnmatch
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

from tidegate.domain import Secret, SetSpec, SetState, SetStatus, TidegateError, Transient
from tidegate.platforms.protocol import Platform

Operation = Literal[
    "verify_credential",
    "create",
    "status",
    "invoke",
    "metrics",
    "logs",
    "stop",
    "start",
    "delete",
    "list_owned",
]
Result = TypeVar("Result")
POLL_S = 0.02
SETTLED = (SetState.READY, SetState.FAILED, SetState.ABSENT, SetState.STOPPED)


class Effect(StrEnum):
    """What goes wrong."""

    REFUSE = "refuse"
    """The call fails before anything happened, with `error`."""
    LOSE_REPLY = "lose_reply"
    """The call takes effect, and its caller is told that it failed, with `error`."""
    REPORT = "report"
    """A status says `state` instead of what is true."""
    CRASH = "crash"
    """The set's processes die just before the call."""


@dataclass(frozen=True)
class Fault:
    """One way to go wrong: skips the first `after` matching calls, then strikes `times` of them (None: for ever)."""

    operation: Operation
    effect: Effect
    times: int | None = 1
    after: int = 0
    set_name: str = "*"
    state: SetState = SetState.UNKNOWN
    error: type[TidegateError] = Transient

    def strikes(self, call: int) -> bool:
        """Whether the matching call of this number (from 0) is struck."""
        return call >= self.after and (self.times is None or call < self.after + self.times)


class FaultyPlatform:
    """A `Platform` in front of another one, which follows its list of faults.

    `crash` kills a set's processes on the inner platform; a `crash` fault without it is an error of the script.
    """

    def __init__(
        self, inner: Platform, faults: Sequence[Fault] = (), crash: Callable[[str], None] | None = None
    ):
        if crash is None and any(fault.effect is Effect.CRASH for fault in faults):
            raise ValueError("a crash fault needs the crash function of the inner platform")
        self.name = inner.name
        self._inner = inner
        self._crash = crash
        self._faults = tuple(faults)
        self._calls = [0] * len(self._faults)
        self._lock = threading.Lock()

    def verify_credential(self, org: str, credential: Secret | None) -> None:
        self._call("verify_credential", "", lambda: self._inner.verify_credential(org, credential))

    def create(self, spec: SetSpec) -> SetStatus:
        return self._call("create", spec.name, lambda: self._inner.create(spec))

    def status(self, name: str) -> SetStatus:
        return self._call("status", name, lambda: self._inner.status(name), _status_as(name))

    def wait_ready(self, name: str, timeout_s: float) -> SetStatus:
        """Polls this platform's own status, lies included."""
        deadline = time.monotonic() + timeout_s
        while True:
            status = self.status(name)
            if status.state in SETTLED or time.monotonic() >= deadline:
                return status
            time.sleep(POLL_S)

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        return self._call("invoke", name, lambda: self._inner.invoke(name, path, body, timeout_s))

    def metrics(self, name: str) -> dict[str, float]:
        return self._call("metrics", name, lambda: self._inner.metrics(name))

    def logs(self, name: str, lines: int = 50) -> str:
        return self._call("logs", name, lambda: self._inner.logs(name, lines))

    def stop(self, name: str) -> None:
        self._call("stop", name, lambda: self._inner.stop(name))

    def start(self, name: str) -> SetStatus:
        return self._call("start", name, lambda: self._inner.start(name))

    def delete(self, name: str) -> None:
        self._call("delete", name, lambda: self._inner.delete(name))

    def list_owned(self) -> list[SetStatus]:
        return self._call("list_owned", "", self._inner.list_owned)

    def price_per_hour_usd(self, spec: SetSpec) -> float:
        return self._inner.price_per_hour_usd(spec)

    def _call(
        self,
        operation: Operation,
        name: str,
        act: Callable[[], Result],
        report: Callable[[Fault], Result] | None = None,
    ) -> Result:
        fault = self._next_fault(operation, name)
        if fault is None:
            return act()
        if fault.effect is Effect.REFUSE:
            raise _error(fault, name)
        if fault.effect is Effect.LOSE_REPLY:
            act()
            raise _error(fault, name)
        if fault.effect is Effect.REPORT and report is not None:
            return report(fault)
        if fault.effect is Effect.CRASH and self._crash is not None:
            self._crash(name)
        return act()

    def _next_fault(self, operation: Operation, name: str) -> Fault | None:
        """Counts the call for every fault that it matches; the first that strikes is taken."""
        struck: Fault | None = None
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.operation != operation or not fnmatch.fnmatchcase(name, fault.set_name):
                    continue
                if struck is None and fault.strikes(self._calls[index]):
                    struck = fault
                self._calls[index] += 1
        return struck


def _status_as(name: str) -> Callable[[Fault], SetStatus]:
    return lambda fault: SetStatus(name=name, state=fault.state, message="Reported by a fault.")


def _error(fault: Fault, name: str) -> TidegateError:
    return fault.error(
        f"{fault.operation} of '{name}' failed by a fault ({fault.effect.value}).",
        remedy="This is a drill: ask again.",
        set=name,
    )
