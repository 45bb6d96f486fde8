"""Processes of engines: start one detached, tell whether it lives, end it with its whole group.

A pid alone proves nothing, since pids are used again: identity (boot and start time) must be equal too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tidegate.domain import Transient
from tidegate.platforms.local import launcher
from tidegate.platforms.local.launcher import process_identity
from tidegate.platforms.local.state import LOG_FILE, PROCESS_FILE, ProcessRecord

MARKER = "TIDEGATE_SET"
LAUNCH_TIMEOUT_S = 20.0
KILL_TIMEOUT_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True)
class Order:
    """One engine to start: what, where, and within which limits."""

    name: str
    folder: Path
    command: list[str]
    environment: dict[str, str]
    port: int
    max_data_bytes: int
    niceness: int


def launch(order: Order, locks: tuple[int, ...]) -> None:
    """Start the engine in a session of its own, child of nobody. Returns when its record is on disk.

    Raises:
        Transient: when it could not be started.
    """
    message = {
        "folder": str(order.folder),
        "command": order.command,
        "environment": order.environment | {MARKER: order.name},
        "port": order.port,
        "max_data_bytes": order.max_data_bytes,
        "niceness": order.niceness,
        "log": LOG_FILE,
        "record": PROCESS_FILE,
        "locks": locks,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-I", launcher.__file__],
            input=json.dumps(message).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=locks,
            start_new_session=True,
            timeout=LAUNCH_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise _not_started(order.name, str(problem)) from problem
    if not (order.folder / PROCESS_FILE).exists():
        raise _not_started(order.name, done.stdout.decode(errors="replace")[-300:])


def _not_started(name: str, why: str) -> Transient:
    return Transient(
        f"The engine of set {name} could not be started: {why.strip()}",
        remedy="Look for a full disk or a limit on processes, then start the set again.",
        set=name,
    )


def is_alive(process: ProcessRecord, alias: str) -> bool:
    """Whether that very process runs and serves under `alias` (or is about to: the launcher has the record first)."""
    if process_identity(process.pid) != process.identity:
        return False
    try:
        words = psutil.Process(process.pid).cmdline()
    except psutil.ZombieProcess:
        # Its first thread ended, and others have not yet.
        return process_identity(process.pid) == process.identity
    except psutil.Error:
        return False
    # A process that is ending loses its command line before it closes its sockets: it is not dead yet.
    return not words or alias in words or launcher.__file__ in words


def usage(process: ProcessRecord) -> dict[str, float]:
    """Resident memory and CPU time; empty when it has just ended."""
    try:
        found = psutil.Process(process.pid)
        times = found.cpu_times()
        return {
            "memory_bytes": float(found.memory_info().rss),
            "cpu_seconds": float(times.user + times.system),
        }
    except psutil.Error:
        return {}


def listens(process: ProcessRecord) -> bool:
    """Whether this process, not another, listens on its port."""
    try:
        connections = psutil.Process(process.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(
        one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == process.port
        for one in connections
    )


def end_group(process: ProcessRecord, name: str, grace_s: float) -> None:
    """Ask the whole group to end, then end it.

    Raises:
        Transient: when something of it is still there, which only a process stuck in the kernel can be.
    """
    if not _is_ours(process, name):
        return
    for how, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILL_TIMEOUT_S)):
        if patience_s > 0 and _signal_and_wait(process.pid, how, patience_s):
            return
    raise Transient(
        f"Processes {_members(process.pid)} of set {name} do not end.",
        remedy="They are stuck in the kernel: look at the machine, then stop the set again.",
        set=name,
    )


def _is_ours(process: ProcessRecord, name: str) -> bool:
    """The leader lives, or a member that it left behind carries the set's mark."""
    if process_identity(process.pid) == process.identity:
        return True
    return any(_mark(member) == name for member in _members(process.pid))


def _mark(pid: int) -> str | None:
    try:
        return psutil.Process(pid).environ().get(MARKER)
    except psutil.Error:
        return None


def _signal_and_wait(group: int, how: signal.Signals, timeout_s: float) -> bool:
    try:
        os.killpg(group, how)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + timeout_s
    while _members(group):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def _members(group: int) -> list[int]:
    """Living processes of the group. Zombies do not count: reaping them is their parent's affair."""
    return [pid for pid in psutil.pids() if _group_of(pid) == group and process_identity(pid) is not None]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None
