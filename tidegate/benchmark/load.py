"""The load generator: arms in alternating blocks, one event loop, the whole schedule drawn before the first request."""

import asyncio
import os
import platform
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any
from uuid import uuid4

from tidegate.benchmark.bodies import body_of
from tidegate.benchmark.honesty import ClientWatch, judge_client
from tidegate.benchmark.measures import record_of
from tidegate.benchmark.pauses import no_long_pauses
from tidegate.benchmark.plan import Arm, Endpoint, LoadPlan
from tidegate.benchmark.queue_jobs import QueueAsker, queue_times
from tidegate.benchmark.record import ClientHonesty, Outcome, Phase, RequestRecord, RunRecord, Span
from tidegate.benchmark.schedule import PlannedRequest, Schedule, draw_schedule
from tidegate.benchmark.sending import OUT_OF_TIME, Asker, BlockEnd, Limits, run_block
from tidegate.benchmark.tokens import MOST_CHARACTERS, answer_text, count_tokens, needs_counting
from tidegate.benchmark.wire import Exchange, Wire, open_wire

Progress = Callable[[int, int], None]
"""Called with measured requests done and planned, over all arms; planned is 0 where only the clock knows."""
OnEvent = Callable[[RequestRecord], None]
"""Called for every request that has ended, warm-up included, as soon as it has."""
WrapWire = Callable[[Wire], Wire]
"""Puts something between the load and the wire that counts what is sent. It must cost no more than that."""
OTHER_FILES = 256
"""Files that a process may have open beside the connections of its load."""
INCOMPLETE = "incomplete"
"""A note that begins with this word: the run was stopped or cut off before its plan was done."""


async def measure(
    arms: Sequence[Arm],
    plan: LoadPlan,
    progress: Progress | None = None,
    wire: Wire | None = None,
    *,
    on_event: OnEvent | None = None,
    stop: asyncio.Event | None = None,
    wrap: WrapWire | None = None,
) -> dict[str, RunRecord]:
    """Measure the arms side by side and return a run for each by name.

    In each block every arm in turn answers the same requests with the same seeds at the same times, after a
    warm-up that is not counted; only one arm is under load at a time. Failed requests are records, never
    exceptions. When `stop` is set the run ends at once and holds what was measured until then.
    """
    schedule = draw_schedule(plan)
    _make_room(plan.most_in_flight if plan.mode.is_open else plan.concurrency)
    began_ns = time.monotonic_ns()
    limits = Limits(began_ns + round(plan.limit_s * 1e9), stop or asyncio.Event())
    tally = _Tally(progress, on_event, _planned(plan, schedule) * len(arms))
    # One time for all: by it a comparison knows that they were taken side by side.
    created_at = datetime.now(UTC)
    books = [_Book(arm, plan, schedule, began_ns, created_at, tally) for arm in arms]
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(ClientWatch())
        if wire is None:
            opened = open_wire(keep_alive=plan.keep_alive, read_lags=watch.read_lags)
            wire = await stack.enter_async_context(opened)
        asked = wire if wrap is None else wrap(wire)
        stack.enter_context(no_long_pauses())
        for block in schedule.blocks:
            for position in plan.arm_order(block.number, len(arms)):
                book = books[position]
                book.ends.append(await run_block(plan, block, book.asker(asked), book, limits))
        for book in books:
            await book.count_tokens(wire)
    was_stopped = limits.stop.is_set()
    return {book.arm.name: book.run(watch, was_stopped=was_stopped) for book in books}


def measure_until_interrupted(
    arms: Sequence[Arm],
    plan: LoadPlan,
    progress: Progress | None = None,
    wire: Wire | None = None,
    *,
    on_event: OnEvent | None = None,
) -> dict[str, RunRecord]:
    """`measure` from the main thread of a command: Ctrl-C ends it with what was measured; a second one kills."""

    async def run() -> dict[str, RunRecord]:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            stop.set()

        loop.add_signal_handler(signal.SIGINT, end)
        try:
            return await measure(arms, plan, progress, wire, on_event=on_event, stop=stop)
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    return asyncio.run(run())


def _make_room(connections: int) -> None:
    """Let this process open that many sockets: the usual limit is 1024, and behind it requests fail here, not there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _planned(plan: LoadPlan, schedule: Schedule) -> int:
    """Measured requests of one arm; 0 where a closed loop sends as many as it can."""
    return sum(1 for _ in schedule.measured) if plan.mode.is_open or plan.requests is not None else 0


@dataclass
class _Tally:
    """Tells whoever watches."""

    progress: Progress | None
    on_event: OnEvent | None
    planned: int
    done: int = 0

    def tell(self, record: RequestRecord) -> None:
        if self.on_event is not None:
            self.on_event(record)
        if record.phase is Phase.MEASURED:
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self.planned)


@dataclass
class _Book:
    """What became of the requests of one arm."""

    arm: Arm
    plan: LoadPlan
    schedule: Schedule
    began_ns: int
    created_at: datetime
    tally: _Tally
    records: list[RequestRecord] = field(default_factory=list[RequestRecord])
    ends: list[BlockEnd] = field(default_factory=list[BlockEnd])
    texts: dict[int, str] = field(default_factory=dict[int, str])
    """Answers whose tokens nobody counted, by place in `records`."""
    kept_characters: int = 0

    def asker(self, wire: Wire) -> Asker:
        kind = QueueAsker if self.plan.endpoint is Endpoint.QUEUE else _DirectAsker
        return kind(self.arm, self.plan, wire)

    def take(self, request: PlannedRequest, done: Exchange) -> RequestRecord:
        record = record_of(
            done,
            index=request.index,
            start_ns=self.began_ns,
            block=request.block,
            phase=request.phase,
            is_streamed=self.plan.stream,
            tags=self.plan.prompt_tags.get(request.prompt, ()),
        )
        if times := queue_times(done):
            record = record.model_copy(update=times)
        if record.error:
            record = record.model_copy(update={"error": self.arm.without_secrets(record.error)})
        if self._has_tokenizer(record) and needs_counting(record):
            text = answer_text(done, is_streamed=self.plan.stream)
            self.kept_characters += len(text)
            if self.kept_characters <= MOST_CHARACTERS:
                self.texts[len(self.records)] = text
        self._add(record)
        return record

    def _has_tokenizer(self, record: RequestRecord) -> bool:
        return record.phase is Phase.MEASURED and self.plan.endpoint is not Endpoint.QUEUE

    def skip(self, request: PlannedRequest, planned_ns: int | None, why: str) -> None:
        if request.phase is Phase.MEASURED:
            self._add(
                RequestRecord(
                    index=request.index,
                    block=request.block,
                    is_streamed=self.plan.stream,
                    planned_ns=None if planned_ns is None else max(0, planned_ns - self.began_ns),
                    outcome=Outcome.NOT_SENT,
                    error=why,
                )
            )

    def _add(self, record: RequestRecord) -> None:
        self.records.append(record)
        self.tally.tell(record)

    async def count_tokens(self, wire: Wire) -> None:
        """Ask the server for the counts that its answers did not state."""
        for place, count in (await count_tokens(wire, self.arm, self.texts)).items():
            counted = {"tokens": count, "token_source": "tokenize"}
            self.records[place] = self.records[place].model_copy(update=counted)

    def run(self, watch: ClientWatch, *, was_stopped: bool) -> RunRecord:
        windows = self._windows()
        span = (windows[0][0], windows[-1][1])
        kept = [one for one in self.records if one.start_ns is None or one.start_ns <= span[1]]
        return RunRecord(
            id=f"load-{uuid4().hex[:12]}",
            label=self.arm.name,
            target=self.arm.base_url,
            model=self.arm.model,
            created_at=self.created_at,
            mode=self.plan.mode.value,
            plan=self.plan.as_dict() | {"digest": self.schedule.digest},
            window_ns=span,
            block_windows_ns=windows,
            requests=tuple(sorted(kept, key=lambda one: (one.phase, one.index))),
            honesty=self._honesty(watch, windows),
            machine=_machine(),
            cache_prompt=self.plan.cache_prompt,
            notes=tuple(self._notes(was_stopped)),
        )

    def _windows(self) -> tuple[Span, ...]:
        """Windows of the blocks from the start of the run. One that never began gets a nanosecond behind the others."""
        windows: list[Span] = []
        end = time.monotonic_ns() - self.began_ns if self.ends[0].window_ns is None else 0
        for block in self.ends:
            low, high = block.window_ns or (self.began_ns + end, self.began_ns + end + 1)
            windows.append((low - self.began_ns, high - self.began_ns))
            end = windows[-1][1]
        return tuple(windows)

    def _honesty(self, watch: ClientWatch, windows: Sequence[Span]) -> ClientHonesty:
        """What the client was like in the windows of this arm, put one behind the other for its rates."""
        measured = [one for one in self.records if one.phase is Phase.MEASURED]
        sends, shift = list[tuple[int, int | None]](), 0
        for number, (start, end) in enumerate(windows):
            sends += [
                (one.planned_ns - start + shift, None if one.sent_ns is None else one.sent_ns - start + shift)
                for one in measured
                if one.block == number and one.planned_ns is not None and one.planned_ns <= end
            ]
            shift += end - start
        waits = [(one.chunk_ns[0] - one.sent_ns) / 1e6 for one in measured if one.chunk_ns and one.sent_ns]
        seen = watch.between([(start + self.began_ns, end + self.began_ns) for start, end in windows])
        return judge_client(seen, sends, median(waits) if waits else None)

    def _notes(self, was_stopped: bool) -> Iterator[str]:
        unsent = sum(one.outcome is Outcome.NOT_SENT for one in self.records)
        measured = sum(one.phase is Phase.MEASURED for one in self.records)
        if was_stopped:
            yield (
                f"{INCOMPLETE}: stopped in block {sum(one.window_ns is not None for one in self.ends)} "
                f"of {self.plan.blocks}; "
                "requests in flight were cut off and are not counted"
            )
        elif any(one.error.endswith(OUT_OF_TIME) for one in self.records):
            yield f"{INCOMPLETE}: the time of the whole run ({self.plan.limit_s:g} s) was over"
        if unsent:
            yield f"{unsent} of {measured} planned requests were not sent"
        if capped := sum(end.capped for end in self.ends):
            yield (
                f"{capped} requests waited because {self.plan.most_in_flight} were in flight, "
                "the most that the plan allows"
            )
        if any(end.ran_out for end in self.ends):
            yield "a block sent every request that was drawn for it before its time was over"
        short = sum(one.is_ok and one.finish_reason == "stop" for one in self.records)
        if self.plan.ignore_eos and short:
            yield (
                f"{short} answers ended before their planned length although `ignore_eos` was sent: "
                "the server does not know it, and answers differ in length"
            )
        for number, end in enumerate(self.ends):
            if end.warmup:
                yield f"block {number}: {end.warmup}"


class _DirectAsker:
    """Sends a request of an arm to its endpoint."""

    def __init__(self, arm: Arm, plan: LoadPlan, wire: Wire):
        self._arm, self._plan, self._wire = arm, plan, wire
        self._url, self._headers = arm.url_of(plan.endpoint), arm.request_headers

    def prepare(self, request: PlannedRequest) -> bytes:
        return body_of(self._plan, self._arm, request)

    async def ask(self, body: bytes, timeout_s: float, planned_ns: int | None) -> Exchange:
        return await self._wire.post(self._url, self._headers, body, timeout_s, planned_ns)


def _machine() -> dict[str, Any]:
    """What the load came from, without its name."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_1m": round(os.getloadavg()[0], 2),
    }
