"""Waiting for a condition, and looking at the processes of a platform from outside."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil

DEADLINE_S = 60.0


def until(what: Callable[[], object], deadline_s: float = DEADLINE_S, pause_s: float = 0.01) -> None:
    """Wait for a condition; fails with what was seen last. A look that costs much wants a longer pause."""
    deadline = time.monotonic() + deadline_s
    while not (seen := what()):
        assert time.monotonic() < deadline, f"it never came true; last seen: {seen!r}"
        time.sleep(pause_s)


def has_ended(process: psutil.Process) -> bool:
    """Also when nobody has asked for its exit code yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def engine_processes(root: Path) -> list[psutil.Process]:
    """Living processes that work in a set's folder below `root`."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            inside = root in Path(process.cwd()).parents
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
