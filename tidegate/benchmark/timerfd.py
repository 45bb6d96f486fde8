"""Linux timers that an event loop can wait for: exact to some microseconds.

asyncio rounds its own timers up to whole milliseconds, because epoll counts in them; a timer that is a file
descriptor wakes epoll at its time. Python 3.11 has no name for these calls, so libc is asked (timerfd_create(2)).
"""

import ctypes
import os
import sys
from functools import cache

CLOCK_MONOTONIC = 1
ABSOLUTE = 1
NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
NS = 1_000_000_000


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("first", _Timespec))


def open_timer(due_ns: int, interval_ns: int = 0) -> int | None:
    """A descriptor that is readable from `due_ns` of the monotonic clock on, then every `interval_ns` again.

    Reading it gives eight bytes: how often it was due since it was last read. Whoever opened it closes it.
    None where the system has no such timers.
    """
    if sys.platform != "linux":
        return None
    if not hasattr(_libc(), "timerfd_create"):
        return None
    descriptor = int(_libc().timerfd_create(CLOCK_MONOTONIC, NONBLOCK_CLOEXEC))
    if descriptor < 0:
        return None
    if not set_timer(descriptor, due_ns, interval_ns):
        os.close(descriptor)
        return None
    return descriptor


def set_timer(descriptor: int, due_ns: int, interval_ns: int = 0) -> bool:
    """Set an open timer anew. A time in the past is due at once; zero would switch the timer off."""
    setting = _Setting(_Timespec(*divmod(interval_ns, NS)), _Timespec(*divmod(max(1, due_ns), NS)))
    done = _libc().timerfd_settime(descriptor, ABSOLUTE, ctypes.byref(setting), None)
    return int(done) == 0


@cache
def _libc() -> ctypes.CDLL:
    """Opened once: each opening leaves 4 KB in a cycle, which nothing frees while a run is measured."""
    return ctypes.CDLL(None, use_errno=True)


def times_due(descriptor: int) -> int:
    """How often the timer was due since the last call; 0 when it was not."""
    try:
        return int.from_bytes(os.read(descriptor, 8), sys.byteorder)
    except BlockingIOError:
        return 0
