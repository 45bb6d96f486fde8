"""What containers and the platform said about them: kept in memory, followed live, written to one file each."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.platforms.runpod.emulator.clock import Clock, parse_rfc3339

KEPT_LINES = 5000
LONGEST_LINE = 16 * 1024
CONTAINER, SYSTEM = "container", "system"


@dataclass(frozen=True)
class Line:
    """One line; `number` orders lines of one moment."""

    number: int
    source: str
    text: str
    at: float


@dataclass
class LogBook:
    """The lines of one worker or pod."""

    path: Path
    clock: Clock
    lines: deque[Line] = field(default_factory=lambda: deque[Line](maxlen=KEPT_LINES))
    closed_at: float | None = None
    _count: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, source: str, text: str) -> None:
        self._count += 1
        line = Line(self._count, source, text[:LONGEST_LINE], self.clock.now())
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{self.clock.text(line.at)} {source} {line.text}\n")
        self._wake()

    def close(self) -> None:
        """The container is gone: followers are told the rest and sent away by the reader's own deadline."""
        self.closed_at = self.clock.now()
        self._wake()

    def forget_container_lines(self, retention_s: float) -> None:
        """Container lines disappear minutes after the container; system lines stay."""
        if self.closed_at is not None and self.clock.now() - self.closed_at > retention_s:
            system = [line for line in self.lines if line.source == SYSTEM]
            self.lines = deque(system, maxlen=KEPT_LINES)

    async def follow(self, after: int) -> AsyncIterator[Line]:
        """Every line after that number, for ever: a silent container keeps the stream open."""
        while True:
            changed = self._changed
            for line in list(self.lines):
                if line.number > after:
                    after = line.number
                    yield line
            if changed is self._changed:
                await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def event_id(line: Line, clock: Clock) -> str:
    """A moment and a number: readers treat it as opaque."""
    return f"{clock.text(line.at)}/{line.number:012d}"


def start_after(lines: list[Line], tail: int, since: str | None, last_event_id: str | None) -> int:
    """The number of the last line that the reader does not want again.

    Raises:
        ValueError: when `since` or the event id is no moment.
    """
    if last_event_id:
        moment, _, number = last_event_id.partition("/")
        at = parse_rfc3339(moment)
        if number.isdigit():
            return int(number)
        return max((line.number for line in lines if line.at <= at), default=0)
    if since:
        at = parse_rfc3339(since)
        return max((line.number for line in lines if line.at < at), default=0)
    newest = lines[-1].number if lines else 0
    wanted = lines[-tail:] if tail else []
    return wanted[0].number - 1 if wanted else newest
