"""Logs of pods and workers, streamed by RunPod as server-sent events.

A silent container keeps the stream open for ever, so every read is bounded three times: by lines, by
silence and by time.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import httpx

from tidegate.platforms.runpod.errors import BadReply, LostReply
from tidegate.platforms.runpod.replies import LogLine
from tidegate.platforms.runpod.sse import Event, events
from tidegate.platforms.runpod.transport import Call, Transport, lines_of, parse

LogSource = Literal["container", "system"]
MAX_TAIL = 5000
MAX_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True)
class LogBounds:
    """When to stop reading: after so many lines, so much silence, or so much time in all."""

    lines: int = 1000
    quiet_s: float = 2.0
    total_s: float = 30.0


def read_log(
    transport: Transport,
    path: str,
    what: str,
    *,
    source: LogSource | None = None,
    tail: int | None = None,
    since: datetime | None = None,
    after: str | None = None,
    bounds: LogBounds | None = None,
) -> Iterator[LogLine]:
    """Lines as they come, until a bound is reached or the stream ends. Resume with `after=line.event_id`.

    Raises: Missing (no such pod or worker), and the other errors of the transport before the first line.
    """
    bounds = bounds or LogBounds()
    call = Call("GET", path, what, query=_query(source, tail, since), headers=_headers(after))
    deadline = transport.pace.now() + bounds.total_s

    def is_over() -> bool:
        return transport.pace.now() >= deadline

    seen = 0
    try:
        with transport.stream(call, read_timeout_s=bounds.quiet_s) as response:
            for event in events(lines_of(response, MAX_LINE_BYTES, is_over)):
                yield _line(event, what)
                seen += 1
                if seen >= bounds.lines or is_over():
                    return
    except LostReply as error:
        # Silence is how a log without news ends; only a stream that broke before it began is trouble.
        if not isinstance(error.__cause__, httpx.ReadTimeout) and seen == 0:
            raise


def _query(source: LogSource | None, tail: int | None, since: datetime | None) -> dict[str, str]:
    query: dict[str, str] = {}
    if source is not None:
        query["source"] = source
    if tail is not None:
        query["tail"] = str(max(0, min(tail, MAX_TAIL)))
    if since is not None:
        query["since"] = since.isoformat().replace("+00:00", "Z")
    return query


def _headers(after: str | None) -> dict[str, str]:
    headers = {"Accept": "text/event-stream"}
    return headers | {"Last-Event-ID": after} if after else headers


def _line(event: Event, what: str) -> LogLine:
    """An event that is no JSON object is still a line of the log."""
    try:
        data: object = json.loads(event.data)
        line = parse(LogLine, data, what)
    except (ValueError, BadReply):
        line = LogLine(line=event.data)
    return line.model_copy(update={"event_id": event.id})
