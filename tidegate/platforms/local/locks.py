"""Locks between processes: one file each, released by the kernel when its holder dies."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tidegate.domain import Transient

POLL_S = 0.01
LOCK_TIMEOUT_S = 60.0


@contextmanager
def locked(path: Path, timeout_s: float = LOCK_TIMEOUT_S) -> Generator[int]:
    """Hold the lock at `path`; yields its descriptor, which a child may inherit to hold it on.

    Raises:
        Transient: when somebody else holds it for longer than `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while (descriptor := _try_lock(path)) is None:
        if time.monotonic() >= deadline:
            raise Transient(
                f"Another process has been changing '{path.stem}' for over {timeout_s:g} s.",
                remedy="Wait for it, or look which process holds the lock file.",
                lock=path,
            )
        time.sleep(POLL_S)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(path: Path) -> int | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A deleted lock file is no lock: whoever comes next would lock a new one.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
