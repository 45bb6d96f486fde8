"""The confined children that this process is waiting for, so that a command that is stopped ends them all."""

import os
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager

_lock = threading.Lock()
_live: set[subprocess.Popen[bytes]] = set()


@contextmanager
def awaited(process: subprocess.Popen[bytes]) -> Generator[None]:
    """While this lasts, `end_children` ends the process too."""
    with _lock:
        _live.add(process)
    try:
        yield
    finally:
        with _lock:
            _live.discard(process)


def end_children() -> int:
    """Kill every child that somebody waits for, with all that it started; returns how many there were.

    Those who wait are told by the end of the child, as if it had died by itself.
    """
    with _lock:
        running = [process for process in _live if process.returncode is None]
        for process in running:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    return len(running)
