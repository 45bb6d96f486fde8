"""Waiting on an event loop for an exact moment.

A loop's timer is rounded up to whole milliseconds (epoll), so sleeping alone is up to 1 ms late, and more when
the loop is busy at that moment. So we sleep until shortly before, and then only let others run until it is time:
sockets are still read in between, and their stamps stay right. `benchmarks` and docs/evidence.md have the cost.
"""

import asyncio
import time
from collections.abc import Callable

NS = 1_000_000_000
YIELD_NS = 1_500_000
"""From here on the loop is not put to sleep any more."""
SLICE_S = 0.2
"""A long wait looks this often whether it still makes sense."""


async def sleep_until(due_ns: int, is_over: Callable[[], bool]) -> bool:
    """Wait for a moment of the monotonic clock; False when it came to nothing because `is_over`.

    A moment in the past returns at once, after others had their turn once.
    """
    while (left := due_ns - time.monotonic_ns()) > YIELD_NS:
        if is_over():
            return False
        await asyncio.sleep(min((left - YIELD_NS) / NS, SLICE_S))
    await asyncio.sleep(0)
    while time.monotonic_ns() < due_ns:  # noqa: ASYNC110  the clock is what we wait for
        await asyncio.sleep(0)
    return not is_over()
