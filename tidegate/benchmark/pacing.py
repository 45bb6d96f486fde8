"""Waiting on an event loop for an exact moment.

A loop's own timers are rounded up to whole milliseconds, so a plain sleep is up to a millisecond late. A Linux
timer wakes the loop within some microseconds and costs nothing while it waits. Elsewhere we sleep until shortly
before and then let others run until it is time: as exact, at the price of that much CPU before each request.
"""

import asyncio
import os
import time
from types import TracebackType
from typing import Self

from tidegate.benchmark.timerfd import open_timer, set_timer, times_due

NS = 1_000_000_000
YIELD_NS = 1_500_000
"""Where there is no timer: from here on the loop is not put to sleep any more."""


class Pacer:
    """Waits for one moment after the other. One task at a time uses it."""

    def __init__(self, *, has_timer: bool = True):
        self._wants_timer = has_timer
        self._descriptor: int | None = None
        self._due: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        if self._wants_timer:
            self._descriptor = open_timer(time.monotonic_ns())
        if self._descriptor is not None:
            asyncio.get_running_loop().add_reader(self._descriptor, self._ring, self._descriptor)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    async def until(self, due_ns: int) -> None:
        """Come back at this moment of the monotonic clock, and after others had their turn at least once."""
        await asyncio.sleep(0)
        if time.monotonic_ns() >= due_ns:
            return
        if self._descriptor is None:
            await _sleep_and_yield(due_ns)
            return
        self._due = asyncio.get_running_loop().create_future()
        set_timer(self._descriptor, due_ns)
        await self._due

    def _ring(self, descriptor: int) -> None:
        # A ring that was due before the timer was set anew reads as zero.
        if times_due(descriptor) and self._due is not None and not self._due.done():
            self._due.set_result(None)


async def _sleep_and_yield(due_ns: int) -> None:
    await asyncio.sleep(max(0, due_ns - time.monotonic_ns() - YIELD_NS) / NS)
    while time.monotonic_ns() < due_ns:  # noqa: ASYNC110  the clock is what we wait for
        await asyncio.sleep(0)
