"""What the stamped bytes of a finished request turn out to say: events, tokens, faults."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, cast

from tidegate.benchmark.wire import Exchange

LINE_END = re.compile(rb"\r\n|\n|\r")
RELEASE_HEADER = "x-tidegate-release"
SET_HEADER = "x-tidegate-set"
REQUEST_ID_HEADER = "x-request-id"


class EventSplitter:
    """Cuts a byte stream into the data of server-sent events, wherever reads or line ends fall.

    An event counts only when its blank line has come, as in the WHATWG rules (HTML, section 9.2.6).
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """Data of the events that this piece completed."""
        text = self._rest + piece
        # A carriage return at the end may be the first half of CRLF: it waits for the next piece.
        held = b"\r" if text.endswith(b"\r") else b""
        *lines, rest = LINE_END.split(text[: len(text) - len(held)])
        self._rest = rest + held
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
            return None
        event = b"\n".join(self._data) if self._data else None
        self._data = []
        return event


@dataclass
class Parsed:
    """What a stream said and when. Stamps are those of the reads that completed the events."""

    content_ns: list[int] = field(default_factory=list[int])
    """One stamp per chunk that carried text, reasoning or a tool call; an early role chunk is none."""
    finish_ns: int | None = None
    done_ns: int | None = None
    tokens: int | None = None
    """As the server counted them: `usage`, else the engine's `timings`. Never counted here."""
    fault: str = ""
    """An error event, or a chunk that is not JSON."""

    @property
    def is_whole(self) -> bool:
        return self.finish_ns is not None and self.done_ns is not None and not self.fault


def parse_exchange(done: Exchange) -> Parsed:
    """What a streamed answer said; nothing where it was none."""
    return parse_stream(done.pieces) if done.status == 200 else Parsed()


def parse_stream(pieces: list[tuple[int, bytes]]) -> Parsed:
    """Read the pieces of one finished stream."""
    parsed, splitter = Parsed(), EventSplitter()
    for stamp, piece in pieces:
        for data in splitter.feed(piece):
            if data.strip() == b"[DONE]":
                parsed.done_ns = stamp
            else:
                _take_chunk(parsed, stamp, data)
    return parsed


def _take_chunk(parsed: Parsed, stamp: int, data: bytes) -> None:
    chunk = json_object(data)
    if chunk is None or "error" in chunk:
        parsed.fault = parsed.fault or ("a chunk is not a JSON object" if chunk is None else "an error event")
        return
    parsed.tokens = token_count(chunk) or parsed.tokens
    choice = first_choice(chunk)
    delta = as_object(choice.get("delta"))
    if any(delta.get(key) for key in ("content", "reasoning_content", "reasoning", "tool_calls")):
        parsed.content_ns.append(stamp)
    if choice.get("finish_reason") and parsed.finish_ns is None:
        parsed.finish_ns = stamp


def token_count(body: dict[str, Any]) -> int | None:
    """Completion tokens that the server states in `usage`, else in llama-server's `timings`."""
    stated = as_object(body.get("usage")).get("completion_tokens") or as_object(body.get("timings")).get(
        "predicted_n"
    )
    return stated if isinstance(stated, int) else None


def first_choice(body: dict[str, Any]) -> dict[str, Any]:
    choices = body.get("choices")
    return as_object(cast("list[Any]", choices)[0]) if isinstance(choices, list) and choices else {}


def json_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object in these bytes, or None (also for broken UTF-8)."""
    try:
        body: Any = json.loads(data)
    except ValueError:
        return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None


def as_object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
