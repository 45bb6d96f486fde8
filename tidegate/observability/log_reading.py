"""Reads the logs of a whole installation as one, in the order of time: what a release or a request left anywhere."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.correlation import trace_of_release
from tidegate.log_files import Following, Line, log_files, older_parts, read_line, whole_lines
from tidegate.observability.log_keys import LEVELS

ACCESS_LOG = "access.log"
REQUEST_EVENT = "request"
SERVER_ERROR = 500
WINDOW = 5000
"""Lines that wait to be put in order: the line of a request has the time of its beginning and is written at its end."""


@dataclass(frozen=True)
class Wanted:
    """Which lines to show; all that is given must hold."""

    release_id: str = ""
    request_id: str = ""
    service: str = ""
    """`service` or `organization/service`."""
    since: datetime | None = None
    level: str = ""
    with_traffic: bool = False
    """Also clients' requests that went well; those of one release can be millions."""

    def holds(self, line: Line) -> bool:
        data = line.data
        if data is None:
            return False
        if self.since is not None and line.at < _stamp(self.since):
            return False
        if self.level and _severity(data) < LEVELS.index(self.level):
            return False
        if self.request_id and data.get("request_id") != self.request_id:
            return False
        if self.release_id and not self._is_of_release(data):
            return False
        if self.service and not _is_of_service(data, self.service):
            return False
        return self.with_traffic or bool(self.request_id) or not _is_fine_request(data)

    def _is_of_release(self, data: dict[str, Any]) -> bool:
        if data.get("release_id"):
            return data["release_id"] == self.release_id
        return data.get("trace_id") == trace_of_release(self.release_id)

    @property
    def marks(self) -> list[str]:
        """Texts of which a line must hold one; looked for before a line is parsed."""
        if self.request_id:
            return [self.request_id]
        return [self.release_id, trace_of_release(self.release_id)] if self.release_id else []


def sources(logs_dir: Path, gateway_dir: Path) -> list[Path]:
    """Every log of an installation that is written in our shape: of processes, and of requests at gateways."""
    return [*log_files(logs_dir), *sorted(gateway_dir.glob(f"*/{ACCESS_LOG}"))]


class Reader:
    """Lines of many logs as one. `find` says which there are; one that appears later is read from its beginning."""

    def __init__(self, find: Callable[[], Sequence[Path]], wanted: Wanted):
        self._find = find
        self._wanted = wanted
        self._following: dict[Path, Following] = {}

    def read(self) -> Iterator[Line]:
        """What was not read yet, by time; the first time that is everything, renamed parts included. Memory does not grow
        with the logs. To be taken to its end."""
        sorted_each = [_by_time(self._chosen(self._new_of(path))) for path in self._find()]
        # Stable: lines of one log with one time stay in their order.
        return heapq.merge(*sorted_each, key=lambda line: line.at)

    def close(self) -> None:
        for one in self._following.values():
            one.close()
        self._following.clear()

    def _new_of(self, path: Path) -> Iterator[str]:
        following = self._following.get(path)
        if following is None:
            following = self._following[path] = Following(path, from_end=False)
            for _, part in reversed(older_parts(path)):
                # Renamed between the two looks: it will be read by the one that follows.
                if not following.is_at(part):
                    yield from whole_lines(part)
        yield from following.read()

    def _chosen(self, texts: Iterable[str]) -> Iterator[Line]:
        marks = self._wanted.marks
        for text in texts:
            if marks and not any(mark in text for mark in marks):
                continue
            line = read_line(text)
            if self._wanted.holds(line):
                yield line


def _by_time(lines: Iterable[Line]) -> Iterator[Line]:
    """Exact for lines that come no later than `WINDOW` others after their time."""
    waiting: list[tuple[str, int, Line]] = []
    for number, line in enumerate(lines):
        heapq.heappush(waiting, (line.at, number, line))
        if len(waiting) > WINDOW:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _severity(data: dict[str, Any]) -> int:
    level = data.get("level")
    return LEVELS.index(level) if level in LEVELS else 0


def _is_of_service(data: dict[str, Any], service: str) -> bool:
    org, slash, name = service.rpartition("/")
    return data.get("service") == name and (not slash or data.get("org") == org)


def _is_fine_request(data: dict[str, Any]) -> bool:
    status = data.get("status")
    return data.get("event") == REQUEST_EVENT and not (
        isinstance(status, int) and (status == 0 or status >= SERVER_ERROR)
    )


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
