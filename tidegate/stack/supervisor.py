"""Keeps the processes of one home running. All it knows is in their specifications and in `stack.json`.

It may be killed at any moment: what it started goes on, and the next one takes it over or ends it.
"""

import fcntl
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from tidegate.domain import NeedsOperator
from tidegate.log_files import bound_logs
from tidegate.stack.member import Member, is_satisfied
from tidegate.stack.processes import end_processes, group_members, identify, is_alive, marked_processes
from tidegate.stack.record import LOCK_FILE, Identity, ProcessRecord, StackRecord, read_record, write_record
from tidegate.stack.specification import ProcessSpec, ProcessStatus, start_order

STARTING_TICK_S = 0.1
IDLE_TICK_S = 1.0
STOPPING_TICK_S = 0.05
ROTATE_EVERY_S = 5.0
LEFTOVER_GRACE_S = 5.0


@dataclass(frozen=True)
class Blueprint:
    """What one home runs: processes, tasks that end what processes leave behind, and what others are told."""

    home: Path
    specs: tuple[ProcessSpec, ...]
    teardown: tuple[ProcessSpec, ...] = ()
    urls: Mapping[str, str] = field(default_factory=dict[str, str])
    ports: Mapping[str, int] = field(default_factory=dict[str, int])


@contextmanager
def only_one(home: Path) -> Generator[None]:
    """Hold the home's lock for the life of this supervisor; the kernel lets go of it whenever we die.

    Raises:
        NeedsOperator: when another supervisor of this home lives.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NeedsOperator(
                f"The stack of {home} is up already.",
                remedy="See: tidegate status. To end it: tidegate down.",
            ) from error
        yield
    finally:
        os.close(descriptor)


class Supervisor:
    """Start in order of dependencies, start again what dies, stop in reverse order."""

    def __init__(self, blueprint: Blueprint, report: Callable[[str], None]):
        self._blueprint = blueprint
        self._report = report
        self._members = {spec.name: Member(spec, report) for spec in blueprint.specs}
        self._waves = start_order(blueprint.specs)
        self._stop_asked = False
        self._was_ready = False
        self._written: StackRecord | None = None
        self._rotated_at = 0.0
        self._identity = identify(os.getpid()) or Identity(os.getpid(), "")
        self._started_at = time.time()

    def run(self) -> None:
        """Keep the stack until SIGTERM or SIGINT; then end everything, in order. The caller holds `only_one`."""
        with _wakeups(self._ask_stop) as wait:
            self._take_over()
            while not self._stop_asked:
                self._advance()
                wait(IDLE_TICK_S if self._is_calm() else STARTING_TICK_S)
            self._stop(wait)

    def _ask_stop(self) -> None:
        self._stop_asked = True

    def _advance(self) -> None:
        now = time.monotonic()
        for member in self._members.values():
            satisfied = {name for name, other in self._members.items() if is_satisfied(other)}
            member.advance(now, satisfied)
        if now - self._rotated_at > ROTATE_EVERY_S:
            self._rotated_at = now
            for folder in {spec.log_path.parent for spec in self._blueprint.specs}:
                bound_logs(folder)
        self._write(self._state())

    def _state(self) -> str:
        statuses = {member.status for member in self._members.values()}
        if all(is_satisfied(member) for member in self._members.values()):
            if not self._was_ready:
                self._report(f"ready after {time.time() - self._started_at:.1f} s")
            self._was_ready = True
            return "ready"
        if ProcessStatus.FAILED in statuses:
            return "failed"
        return "degraded" if self._was_ready else "starting"

    def _is_calm(self) -> bool:
        restless = (ProcessStatus.STARTING, ProcessStatus.BACKOFF, ProcessStatus.WAITING)
        return not any(member.status in restless for member in self._members.values())

    def _write(self, state: str) -> None:
        record = StackRecord(
            home=str(self._blueprint.home),
            state=state,
            supervisor=self._identity,
            started_at=self._started_at,
            urls=dict(self._blueprint.urls),
            ports=dict(self._blueprint.ports),
            processes=tuple(member.record for member in self._members.values()),
        )
        if record != self._written:
            write_record(self._blueprint.home, record)
            self._written = record

    def _take_over(self) -> None:
        """Adopt what a killed supervisor left and is still what we want; end the rest of it."""
        found = read_record(self._blueprint.home)
        if found is None:
            return
        adopted = {
            process.name
            for process in found.processes
            if process.name in self._members and self._members[process.name].adopt(process, time.monotonic())
        }
        end_recorded([process for process in found.processes if process.name not in adopted], self._report)

    def _stop(self, wait: Callable[[float], None]) -> None:
        self._report("stopping")
        for wave in reversed(self._waves):
            members = [self._members[name] for name in wave]
            for member in members:
                member.begin_stop(time.monotonic())
            self._write("stopping")
            while members:
                members = [member for member in members if not member.finish_stop(time.monotonic())]
                wait(STOPPING_TICK_S)
        for spec in self._blueprint.teardown:
            self._run_teardown(spec, wait)
        end_marked(self._blueprint.home, self._report)
        self._write("stopped")
        self._report("stopped")

    def _run_teardown(self, spec: ProcessSpec, wait: Callable[[float], None]) -> None:
        """One try: what it does not end is found by its mark afterwards."""
        member = Member(replace(spec, restart=replace(spec.restart, give_up_after=1)), self._report)
        while member.status not in (ProcessStatus.DONE, ProcessStatus.FAILED):
            member.advance(time.monotonic(), set())
            wait(STOPPING_TICK_S)


def end_recorded(processes: list[ProcessRecord], report: Callable[[str], None]) -> None:
    """End processes that a dead supervisor started, with their groups."""
    leaders = [process for process in processes if process.identity and is_alive(process.identity)]
    for process in leaders:
        report(f"{process.name}: left over, ending pid {process.identity.pid if process.identity else '?'}")
    groups = [
        member for process in leaders if process.identity for member in group_members(process.identity.pid)
    ]
    _report_survivors(end_processes(groups, LEFTOVER_GRACE_S), report)


def end_marked(home: Path, report: Callable[[str], None]) -> None:
    """End everything else that descends from a supervisor of this home, in whatever group it is."""
    found = marked_processes(home)
    if found:
        report(f"ending {len(found)} more: pids {', '.join(str(identity.pid) for identity in found)}")
    _report_survivors(end_processes(found, LEFTOVER_GRACE_S), report)


def _report_survivors(survivors: list[Identity], report: Callable[[str], None]) -> None:
    for identity in survivors:
        report(f"pid {identity.pid} does not end: it is stuck in the kernel, look at the machine")


@contextmanager
def _wakeups(ask_stop: Callable[[], None]) -> Generator[Callable[[float], None]]:
    """A wait that ends early when a child dies or we are told to stop; signal handlers are put back afterwards."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            ask_stop()

    def wait(seconds: float) -> None:
        if select.select([reader], [], [], seconds)[0]:
            reader.recv(4096)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    wakeup_before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield wait
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
