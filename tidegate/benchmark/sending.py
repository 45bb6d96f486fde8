"""One block of one arm: warm-up, the window that is measured, and the wait for what is still in flight.

An open loop keeps its absolute schedule: a late request is sent at once and counted from when it was due; no
time is ever moved, and what could not be sent by the end of the window is recorded as not sent. A closed loop
has as many workers as the plan says. After the window nothing is sent, and what is in flight is waited for and
counted: leaving it out would favour short answers.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Protocol, cast

from tidegate.benchmark.pacing import NS, Pacer
from tidegate.benchmark.plan import LoadPlan
from tidegate.benchmark.record import Phase, RequestRecord
from tidegate.benchmark.schedule import Block, PlannedRequest
from tidegate.benchmark.warmup import WarmUp
from tidegate.benchmark.wire import Exchange

SLICE_S = 0.2
"""Whoever waits for an answer looks this often whether waiting still makes sense."""
QUIET_NS = 2_000_000
"""Reading an answer of 64 chunks takes about a millisecond: not so shortly before a request is due."""
MOST_DELAYS = 3
"""So often is it put off; at a thousand requests per second some request is always due."""
OUT_OF_TIME = "the time of the whole run was over"


class Asker(Protocol):
    """Asks one arm. A body is made before its request is due, because making it takes time."""

    def prepare(self, request: PlannedRequest) -> bytes: ...

    async def ask(self, body: bytes, timeout_s: float, planned_ns: int | None) -> Exchange: ...


class Ledger(Protocol):
    """Keeps what became of every planned request."""

    def take(self, request: PlannedRequest, done: Exchange) -> RequestRecord: ...
    def skip(self, request: PlannedRequest, planned_ns: int | None, why: str) -> None: ...


@dataclass(frozen=True)
class Limits:
    """When a run must end, by the monotonic clock, and the wish of a person that it ends now."""

    deadline_ns: int
    stop: asyncio.Event

    @property
    def is_over(self) -> bool:
        return self.stop.is_set() or time.monotonic_ns() >= self.deadline_ns


@dataclass
class BlockEnd:
    """How a block went. Without a window nothing of it was measured."""

    window_ns: tuple[int, int] | None = None
    warmup: str = ""
    """Empty, or why its warm-up may not have been enough."""
    capped: int = 0
    """Requests that had to wait because too many were in flight."""
    ran_out: bool = False
    """A closed loop sent everything that was drawn for it before its time was over."""


async def run_block(plan: LoadPlan, block: Block, ask: Asker, ledger: Ledger, limits: Limits) -> BlockEnd:
    """Run a block to its end, or to where the limits end it."""
    sender = _Sender(plan, block, ask, ledger, limits)
    work = asyncio.create_task(sender.open_loop() if plan.mode.is_open else sender.closed_loop())
    stopped = asyncio.create_task(limits.stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Also when this measurement itself is cancelled: nothing of it goes on.
        for task in (work, stopped):
            task.cancel()
        await asyncio.wait({work, stopped})
    if not work.cancelled() and (error := work.exception()) is not None:
        # A wrong address or header is wrong in every request: one error says it.
        raise _first_of(error)
    return sender.end()


def _first_of(error: BaseException) -> BaseException:
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


class _Sender:
    """The state of one running block."""

    def __init__(self, plan: LoadPlan, block: Block, ask: Asker, ledger: Ledger, limits: Limits):
        self._plan, self._block, self._limits = plan, block, limits
        self._asker, self._ledger = ask, ledger
        most = len(block.warmup)
        self._warmup = WarmUp(min(plan.warmup_requests, most), most, plan.warmup_tolerance)
        self._warmup_until_ns = time.monotonic_ns() + round(plan.warmup_s * NS)
        self._in_flight = 0
        self._ended = asyncio.Event()
        self._began_ns: int | None = None
        self._last_ns = 0
        self._due_ns = 0
        self._end = BlockEnd()

    async def closed_loop(self) -> None:
        warmup, measured = iter(self._block.warmup), iter(self._block.measured)

        async def worker() -> None:
            while (request := await self._next_warmup(warmup)) is not None:
                await self._send(request, self._asker.prepare(request), None)
            while (request := self._next_measured(measured)) is not None:
                await self._send(request, self._asker.prepare(request), None)

        async with asyncio.TaskGroup() as workers:
            for _ in range(self._plan.concurrency):
                workers.create_task(worker())
        if self._plan.duration_s is None:
            self._skip(measured, None)

    async def _next_warmup(self, source: Iterator[PlannedRequest]) -> PlannedRequest | None:
        """None when the server is warm. Whoever finds nothing left to send waits for the answers of the others."""
        while not self._is_warm():
            request = next(source, None)
            if request is not None:
                return request
            await self._wait_for_an_end()
        return None

    def _next_measured(self, source: Iterator[PlannedRequest]) -> PlannedRequest | None:
        if self._limits.is_over:
            return None
        now, window_ns = time.monotonic_ns(), self._block.window_ns
        self._began_ns = self._began_ns or now
        if window_ns is not None and now >= self._began_ns + window_ns:
            return None
        request = next(source, None)
        self._end.ran_out |= request is None and window_ns is not None
        return request

    async def open_loop(self) -> None:
        async with Pacer() as pacer, asyncio.TaskGroup() as requests:
            anchor_ns = await self._warm_up_openly(pacer, requests)
            if self._limits.is_over:
                self._skip(iter(self._block.measured), None)
                return
            self._began_ns = anchor_ns
            unsent = await self._send_on_schedule(pacer, requests, anchor_ns)
            self._skip(unsent, anchor_ns)
            await self._is_time(pacer, self._window_end_ns(anchor_ns))

    async def _is_time(self, pacer: Pacer, due_ns: int) -> bool:
        """Wait for a moment; False when the run is over before it."""
        self._due_ns = due_ns
        await pacer.until(min(due_ns, self._limits.deadline_ns))
        return not self._limits.is_over

    async def _warm_up_openly(self, pacer: Pacer, requests: asyncio.TaskGroup) -> int:
        """Send at the planned rate until the server is warm; the moment at which measured requests go on."""
        start_ns = time.monotonic_ns()
        for request in self._block.warmup:
            body, due_ns = self._asker.prepare(request), start_ns + (request.at_ns or 0)
            if not await self._is_time(pacer, due_ns) or self._is_warm():
                return time.monotonic_ns()
            requests.create_task(self._send(request, body, due_ns))
        while not self._is_warm():
            await self._wait_for_an_end()
        return time.monotonic_ns()

    async def _send_on_schedule(
        self, pacer: Pacer, requests: asyncio.TaskGroup, anchor_ns: int
    ) -> Iterator[PlannedRequest]:
        """Send every request when it is due; what is returned could not be sent."""
        measured = iter(self._block.measured)
        for request in measured:
            body, due_ns = self._asker.prepare(request), anchor_ns + (request.at_ns or 0)
            in_time = await self._is_time(pacer, due_ns)
            if not in_time or not await self._has_room(self._window_end_ns(anchor_ns)):
                return chain([request], measured)
            requests.create_task(self._send(request, body, due_ns))
        return measured

    def _window_end_ns(self, anchor_ns: int) -> int:
        return anchor_ns + (self._block.window_ns or 0)

    async def _has_room(self, window_end_ns: int) -> bool:
        """Whether one more may be in flight; waits for it until the window is over."""
        most = self._plan.most_in_flight
        self._end.capped += self._in_flight >= most
        while self._in_flight >= most:
            if self._limits.is_over or time.monotonic_ns() >= window_end_ns:
                return False
            await self._wait_for_an_end()
        return True

    async def _send(self, request: PlannedRequest, body: bytes, planned_ns: int | None) -> None:
        self._in_flight += 1
        try:
            left_s = (self._limits.deadline_ns - time.monotonic_ns()) / NS
            limit_s = max(0.001, min(self._plan.request_timeout_s, left_s))
            done = await self._asker.ask(body, limit_s, planned_ns)
        finally:
            self._in_flight -= 1
            self._ended.set()
        if done.error and time.monotonic_ns() >= self._limits.deadline_ns:
            # What our own deadline cut off says nothing about the server.
            self._ledger.skip(request, planned_ns, OUT_OF_TIME)
            return
        await self._until_quiet()
        record = self._ledger.take(request, done)
        if request.phase is Phase.WARMUP:
            chunks, sent = record.chunk_ns, record.sent_ns
            self._warmup.tell((chunks[0] - sent) / 1e6 if chunks and sent is not None else None)
        elif planned_ns is None:
            latest_ns = done.ended_ns if self._block.window_ns is None else done.sent_ns
            self._last_ns = max(self._last_ns, latest_ns)

    async def _until_quiet(self) -> None:
        for _ in range(MOST_DELAYS):
            left_ns = self._due_ns - time.monotonic_ns()
            if not 0 < left_ns < QUIET_NS:
                return
            await asyncio.sleep((left_ns + QUIET_NS // 2) / NS)

    def _skip(self, requests: Iterator[PlannedRequest], anchor_ns: int | None) -> None:
        """Record what was planned and not sent. After a stop by a person, what was to come is not planned any more."""
        if self._limits.stop.is_set():
            return
        most = f"{self._plan.most_in_flight} requests were in flight, the most that the plan allows"
        why = OUT_OF_TIME if self._limits.is_over else most
        for request in requests:
            due_ns = None if anchor_ns is None else anchor_ns + (request.at_ns or 0)
            self._ledger.skip(request, due_ns, why)

    def _is_warm(self) -> bool:
        has_begun = self._began_ns is not None or time.monotonic_ns() >= self._warmup_until_ns
        return has_begun or self._warmup.is_enough or self._limits.is_over

    async def _wait_for_an_end(self) -> None:
        """Until some request has ended, but look at the limits now and then."""
        self._ended.clear()
        with suppress(TimeoutError):
            # Not wait_for, which in Python 3.11 may lose a cancellation.
            async with asyncio.timeout(SLICE_S):
                await self._ended.wait()

    def end(self) -> BlockEnd:
        """What is known when everything has ended."""
        if self._began_ns is None:
            return self._end
        now, planned_ns = time.monotonic_ns(), self._block.window_ns
        end_ns = now if planned_ns is None else self._began_ns + planned_ns
        if planned_ns is None and self._last_ns and not self._limits.is_over:
            end_ns = self._last_ns
        if self._limits.stop.is_set():
            end_ns = min(end_ns, now)
        # Sent a moment behind the end: the connection took until then.
        self._end.window_ns = (self._began_ns, max(end_ns, self._last_ns, self._began_ns + 1))
        self._end.warmup = self._warmup.describe()
        return self._end
