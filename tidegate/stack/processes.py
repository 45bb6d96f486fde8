"""Processes of the operating system: identity, groups, and the mark by which ours are found again."""

import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from tidegate.stack.record import Identity

MARK = "TIDEGATE_STACK"
"""Set in the environment of everything that the supervisor starts, and so of all its descendants. Not
TIDEGATE_HOME: a person exports that in a shell, and a shell must not be taken for a leftover."""

POLL_S = 0.05


def identify(pid: int) -> Identity | None:
    """Who has this number now; None when nobody has (a dead one that was not yet collected is nobody).

    On Linux read in clock ticks since boot: a start time in seconds moves whenever the clock is set.
    """
    if not sys.platform.startswith("linux"):
        return _portable_identity(pid)
    try:
        # The second field, the command's name, may hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    state, start_ticks = fields[0], fields[19]
    return None if state in ("Z", "X") else Identity(pid, f"{boot}:{start_ticks}")


def _portable_identity(pid: int) -> Identity | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid, f"{process.create_time():.2f}")
    except psutil.Error:
        return None


def is_alive(identity: Identity) -> bool:
    """True while exactly this process runs."""
    return identify(identity.pid) == identity


def is_marked(pid: int, home: Path) -> bool:
    """True for a process that descends from a supervisor of this home."""
    try:
        return psutil.Process(pid).environ().get(MARK) == str(home)
    except psutil.Error:
        return False


def marked_processes(home: Path) -> list[Identity]:
    """Every process that descends from a supervisor of this home, except this one and its parents."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = [identify(pid) for pid in psutil.pids() if pid not in own and is_marked(pid, home)]
    return [identity for identity in found if identity is not None]


def signal_group(pgid: int, number: int) -> bool:
    """Send a signal to a whole group; False when it has no member any more."""
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_members(pgid: int) -> list[Identity]:
    """Living processes of a group."""
    found = [identify(pid) for pid in psutil.pids() if _group_of(pid) == pgid]
    return [identity for identity in found if identity is not None]


def end_processes(identities: Iterable[Identity], grace_s: float) -> list[Identity]:
    """Ask them to end, kill what remains after the grace; returns what survived even that."""
    alive = [identity for identity in identities if is_alive(identity)]
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        for identity in alive:
            _signal(identity, number)
        deadline = time.monotonic() + patience_s
        while alive and time.monotonic() < deadline:
            time.sleep(POLL_S)
            alive = [identity for identity in alive if is_alive(identity)]
    return alive


def _signal(identity: Identity, number: int) -> None:
    if not is_alive(identity):
        return
    try:
        os.kill(identity.pid, number)
    except ProcessLookupError:
        return


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None
