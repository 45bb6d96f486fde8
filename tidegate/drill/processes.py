"""Hurts processes that the drill's own installation started, and no others. Linux: limits are set by `prlimit`."""

import os
import resource
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from tidegate.domain import NotFound, Refused
from tidegate.stack.processes import end_processes, identify, is_alive, is_marked, marked_processes
from tidegate.stack.record import Identity

SERVES = frozenset({"envoy", "llama-server"})
"""Programs whose default answer to SIGXFSZ is death, which a full disk would not be."""

LEFTOVER_GRACE_S = 5.0


class Victims:
    """Processes below one home. Every blow asks first whether the process is ours and still the same."""

    def __init__(self, home: Path):
        self._home = home

    def find(self, pid: int, what: str) -> Identity:
        """Raises: NotFound when it does not run, Refused when it is not a process of this installation."""
        identity = identify(pid)
        if identity is None:
            raise NotFound(
                f"{what} (pid {pid}) does not run.",
                remedy="Play the drill again: the process ended before it was broken.",
            )
        if not is_marked(pid, self._home):
            raise Refused(
                f"{what} (pid {pid}) was not started by this drill.",
                remedy="A drill breaks its own processes only; play it again.",
            )
        return identity

    def kill(self, identity: Identity) -> None:
        self._signal(identity, signal.SIGKILL)

    def stop(self, identity: Identity) -> None:
        self._signal(identity, signal.SIGSTOP)

    def go_on(self, identity: Identity) -> None:
        """Nothing happens when it has ended meanwhile."""
        if is_alive(identity):
            with suppress(ProcessLookupError):
                os.kill(identity.pid, signal.SIGCONT)

    def writers(self) -> list[Identity]:
        """Everything of this installation that keeps files, without what serves clients."""
        return [one for one in marked_processes(self._home) if _program(one.pid) not in SERVES]

    def _signal(self, identity: Identity, number: signal.Signals) -> None:
        self.find(identity.pid, "the process")
        if not is_alive(identity):
            raise NotFound(
                f"The process {identity.pid} has ended.",
                remedy="Play the drill again: the process ended before it was broken.",
            )
        os.kill(identity.pid, number)


def limit_files(identities: Iterable[Identity], max_bytes: int) -> None:
    """No file of theirs may grow beyond this; -1 lifts the limit. Only the soft limit moves, so that it can move back."""
    for identity in identities:
        if not is_alive(identity):
            continue
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(identity.pid, resource.RLIMIT_FSIZE)
            soft = hard if max_bytes < 0 else max_bytes
            resource.prlimit(identity.pid, resource.RLIMIT_FSIZE, (soft, hard))


def limited(find: Callable[[], list[Identity]]) -> list[Identity]:
    """Those of them whose files may not grow: children inherit the limit of the moment when they were made."""
    found: list[Identity] = []
    for identity in find():
        with suppress(ProcessLookupError):
            soft, hard = resource.prlimit(identity.pid, resource.RLIMIT_FSIZE)
            if soft != hard:
                found.append(identity)
    return found


def end_leftovers(home: Path) -> None:
    """End what works with files of this home and carries no mark: engines of an emulated vendor that was killed."""
    found = [identify(process.pid) for process in psutil.process_iter() if _names(process, home)]
    end_processes([identity for identity in found if identity is not None], LEFTOVER_GRACE_S)


def _names(process: psutil.Process, home: Path) -> bool:
    try:
        return any(part.startswith(f"{home}/") for part in process.cmdline())
    except psutil.Error:
        return False


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    try:
        leader = psutil.Process(pid)
        return [pid, *(child.pid for child in leader.children(recursive=True))]
    except psutil.Error:
        return []


def _program(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return ""
