"""What a person sees while a benchmark runs. Gathered cheaply here, drawn by another process.

Drawing a picture takes milliseconds of Python, four times a second, and would delay the stamps of the streams that are
being measured. So this process only counts, and writes one short line per look to a child that draws.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from tidegate.benchmark.record import Outcome, Phase, RequestRecord
from tidegate.benchmark.wire import Exchange, Wire

LOOKS_PER_S = 4
LINE_EVERY_S = 5.0
WINDOW = 400
"""Newest answers that the percentiles on the screen are of."""
SPEED_WINDOW_S = 5.0
LATE_MS = 5.0
"""A client that is later than this is told at once; the record judges it by all of its rules."""
MS = 1e6


@dataclass
class Gathered:
    """Counts of what has ended so far, and the newest times."""

    title: str
    planned: int = 0
    length_s: float | None = None
    sent: int = 0
    in_flight: int = 0
    warm: int = 0
    answered: int = 0
    failed: int = 0
    stage: str = ""
    began: float = field(default_factory=time.monotonic)
    measured_since: float | None = None
    first_ms: deque[float] = field(default_factory=lambda: deque[float](maxlen=WINDOW))
    token_ms: deque[float] = field(default_factory=lambda: deque[float](maxlen=WINDOW))
    late_ms: deque[float] = field(default_factory=lambda: deque[float](maxlen=WINDOW))
    tokens: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])
    lag_ms: float = 0.0

    def take(self, request: RequestRecord) -> None:
        """One request has ended. A few microseconds: it is called between stamps."""
        if request.phase is not Phase.MEASURED:
            self.warm += 1
            return
        now = time.monotonic()
        if self.measured_since is None:
            self.measured_since = now
        if request.planned_ns is not None and request.sent_ns is not None:
            self.late_ms.append((request.sent_ns - request.planned_ns) / MS)
        if request.outcome is not Outcome.OK:
            self.failed += 1
            return
        self.answered += 1
        chunks, start = request.chunk_ns, request.start_ns
        if chunks and start is not None:
            self.first_ms.append((chunks[0] - start) / MS)
            if request.tokens and request.tokens > 1 and len(chunks) > 1:
                self.token_ms.append((chunks[-1] - chunks[0]) / MS / (request.tokens - 1))
        self.tokens.append((now, request.tokens or 0))

    def progress(self, done: int, planned: int) -> None:
        """As `measure` tells it; 0 where only the clock knows."""
        self.planned = planned

    def begin_again(self, stage: str) -> None:
        """The next level of a sweep: counts go on, times of another load do not mix."""
        self.stage, self.measured_since = stage, None
        for one in (self.first_ms, self.token_ms, self.late_ms, self.tokens):
            one.clear()

    def look(self) -> dict[str, Any]:
        """What is shown now."""
        now = time.monotonic()
        while self.tokens and self.tokens[0][0] < now - SPEED_WINDOW_S:
            self.tokens.popleft()
        since = min(SPEED_WINDOW_S, max(now - (self.measured_since or now), 0.5))
        late = max(self.lag_ms, _quantile(self.late_ms, 0.99) or 0.0)
        return {
            "title": self.title,
            "stage": self.stage or ("measuring" if self.measured_since else "warming up"),
            "elapsed_s": now - self.began,
            "left_s": self._left_s(now),
            "planned": self.planned,
            "sent": self.sent,
            "in_flight": self.in_flight,
            "warm": self.warm,
            "answered": self.answered,
            "failed": self.failed,
            "first_ms": [_quantile(self.first_ms, share) for share in (0.5, 0.95)],
            "token_ms": [_quantile(self.token_ms, share) for share in (0.5, 0.95)],
            "tokens_per_s": sum(count for _, count in self.tokens) / since,
            "late_ms": late,
            "is_honest": late <= LATE_MS,
        }

    def _left_s(self, now: float) -> float | None:
        done = self.answered + self.failed
        if self.length_s is not None:
            gone = now - self.measured_since if self.measured_since else 0.0
            return max(0.0, self.length_s - gone)
        if self.planned and done and self.measured_since:
            return max(0.0, (self.planned - done) * (now - self.measured_since) / done)
        return None


def _quantile(values: "deque[float]", share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class CountingWire:
    """Passes requests on and counts them: two additions for each."""

    def __init__(self, wire: Wire, gathered: Gathered):
        self._wire, self._gathered = wire, gathered

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, trace)

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        planned_ns: int | None = None,
    ) -> Exchange:
        self._gathered.sent += 1
        self._gathered.in_flight += 1
        try:
            return await self._wire.post(url, headers, body, timeout_s, planned_ns)
        finally:
            self._gathered.in_flight -= 1

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Exchange:
        """A look at a job of a queue; the job itself was counted when it was sent."""
        return await self._wire.get(url, headers, timeout_s)


class Screen(Protocol):
    """Where looks go."""

    every_s: float

    def show(self, look: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class Nothing:
    """`--json`, `--quiet`: nobody looks."""

    every_s = 1.0

    def show(self, look: Mapping[str, Any]) -> None:
        return None

    def close(self) -> None:
        return None


class Lines:
    """No terminal: a plain line every few seconds, for logs."""

    every_s = LINE_EVERY_S

    def __init__(self, write: Callable[[str], object] | None = None):
        self._write = write or sys.stderr.write

    def show(self, look: Mapping[str, Any]) -> None:
        self._write(line_of(look) + "\n")

    def close(self) -> None:
        return None


class Picture:
    """A child that draws on the terminal. When it dies, the measurement goes on without a picture."""

    every_s = 1 / LOOKS_PER_S

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tidegate.cli.bench_picture"], stdin=subprocess.PIPE, text=True
        )

    def show(self, look: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._child.stdin.write(json.dumps(look) + "\n")
            self._child.stdin.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._child.communicate(timeout=5)


def line_of(look: Mapping[str, Any]) -> str:
    """One look in one line."""
    planned = f" of {look['planned']}" if look["planned"] else ""
    parts = [
        f"{look['elapsed_s']:5.0f} s  {look['stage']}",
        f"{look['answered'] + look['failed']}{planned} done, {look['failed']} failed, {look['in_flight']} in flight",
    ]
    for name, key in (("first token", "first_ms"), ("per token", "token_ms")):
        if look[key][0] is not None:
            parts.append(f"{name} p50 {look[key][0]:.1f} p95 {look[key][1]:.1f} ms")
    parts.append(f"{look['tokens_per_s']:.0f} tokens/s")
    if not look["is_honest"]:
        parts.append(f"this client is {look['late_ms']:.0f} ms late")
    return "; ".join(parts)


@contextlib.asynccontextmanager
async def watched(gathered: Gathered, screen: Screen) -> AsyncGenerator[None]:
    """Looks at the counts while the body measures, and at how late this loop is."""
    task = asyncio.create_task(_look(gathered, screen))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _look(gathered: Gathered, screen: Screen) -> None:
    loop = asyncio.get_running_loop()
    due, shown = loop.time(), 0.0
    while True:
        due += 1 / LOOKS_PER_S
        await asyncio.sleep(due - loop.time())
        gathered.lag_ms = max(0.0, loop.time() - due) * 1000
        if loop.time() - shown >= screen.every_s * 0.99:
            shown = loop.time()
            screen.show(gathered.look())
        # After a stop of the whole process the missed looks are not made up for.
        due = max(due, loop.time() - 1 / LOOKS_PER_S)


def screen_for(*, is_wanted: bool) -> Screen:
    """A picture on a terminal, lines in a log, nothing for programs."""
    if not is_wanted:
        return Nothing()
    return Picture() if sys.stderr.isatty() else Lines()
