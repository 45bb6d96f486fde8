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
MOST_TOKENS = 2**40
MOST_MILLISECONDS = 1e12
MOST_LETTERS = 200
"""Beyond these a count or a time of a server is nonsense and is not taken, and a name is cut."""


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
    """What an answer said and when. Stamps are those of the reads that completed the events."""

    content_ns: list[int] = field(default_factory=list[int])
    """One stamp per chunk that carried text, reasoning or a tool call; an early role chunk is none."""
    content_tokens: list[int | None] = field(default_factory=list[int | None])
    """Tokens in each of these chunks, where the server says so."""
    answer_ns: int | None = None
    """The first of them that was not reasoning."""
    finish_ns: int | None = None
    finish_reason: str | None = None
    done_ns: int | None = None
    usage_tokens: int | None = None
    timings_tokens: int | None = None
    reasoning_tokens: int | None = None
    """How many of the tokens in `usage` were reasoning."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_ms: float | None = None
    """Prompt processing as llama-server timed it; `predicted_ms` is its decoding."""
    predicted_ms: float | None = None
    model: str | None = None
    fault: str = ""
    """An error event, or a chunk that is not JSON."""

    @property
    def is_whole(self) -> bool:
        return self.finish_ns is not None and self.done_ns is not None and not self.fault

    @property
    def tokens(self) -> int | None:
        """As the server counted them: `usage`, else the engine's `timings`. Never counted here."""
        return self.usage_tokens if self.usage_tokens is not None else self.timings_tokens

    @property
    def chunk_tokens(self) -> list[int] | None:
        """Tokens per content chunk where the server gave them for all of them, and not more than it made."""
        known = [count for count in self.content_tokens if count is not None]
        is_known = len(known) == len(self.content_ns) > 0 and min(known) > 0
        return known if is_known and (self.tokens is None or sum(known) <= self.tokens) else None


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


def parse_whole(body: dict[str, Any], stamp: int) -> Parsed:
    """The same of an answer that came in one piece, all of it read at `stamp`."""
    parsed = Parsed(done_ns=stamp)
    if body.get("error"):
        parsed.fault = "an error with HTTP 200"
        return parsed
    choice = first_choice(body)
    _take_content(parsed, stamp, as_object(choice.get("message")) | choice, 0)
    _take_finish(parsed, stamp, choice)
    _take_counts(parsed, body)
    return parsed


def _take_chunk(parsed: Parsed, stamp: int, data: bytes) -> None:
    chunk = json_object(data)
    if chunk is None or chunk.get("error"):
        parsed.fault = parsed.fault or ("a chunk is not a JSON object" if chunk is None else "an error event")
        return
    before = parsed.tokens or 0
    _take_counts(parsed, chunk)
    choice = first_choice(chunk)
    _take_content(parsed, stamp, as_object(choice.get("delta")) | choice, before)
    _take_finish(parsed, stamp, choice)


def _take_content(parsed: Parsed, stamp: int, said: dict[str, Any], before: int) -> None:
    is_answer = any(said.get(key) for key in ("content", "text", "tool_calls"))
    if not is_answer and not any(said.get(key) for key in ("reasoning_content", "reasoning")):
        return
    parsed.content_ns.append(stamp)
    if is_answer and parsed.answer_ns is None:
        parsed.answer_ns = stamp
    # Log-probabilities come one per token; running totals (`timings_per_token`, `continuous_usage_stats`) differ by them.
    listed = as_object(said.get("logprobs")).get("content")
    running = parsed.tokens - before if parsed.tokens is not None else None
    parsed.content_tokens.append(len(cast("list[Any]", listed)) if isinstance(listed, list) else running)


def _take_finish(parsed: Parsed, stamp: int, choice: dict[str, Any]) -> None:
    reason = choice.get("finish_reason")
    if reason and parsed.finish_ns is None:
        parsed.finish_ns, parsed.finish_reason = stamp, str(reason)[:MOST_LETTERS]


def _take_counts(parsed: Parsed, body: dict[str, Any]) -> None:
    """Counts come in the last chunk, in an event of their own behind it, or as running totals."""
    if parsed.model is None and isinstance(body.get("model"), str):
        parsed.model = body["model"][:MOST_LETTERS]
    if not body.get("usage") and not body.get("timings"):
        return
    usage, timings = as_object(body.get("usage")), as_object(body.get("timings"))
    prompt_n, cache_n = _count(timings.get("prompt_n")), _count(timings.get("cache_n"))
    cached = _count(as_object(usage.get("prompt_tokens_details")).get("cached_tokens"))
    prompt = _count(usage.get("prompt_tokens"))
    if prompt is None and prompt_n is not None:
        prompt = prompt_n + (cache_n or 0)
    details = as_object(usage.get("completion_tokens_details"))
    found = {
        "reasoning_tokens": _count(details.get("reasoning_tokens")),
        "usage_tokens": _count(usage.get("completion_tokens")),
        "timings_tokens": _count(timings.get("predicted_n")),
        "prompt_tokens": prompt,
        "cached_tokens": cached if cached is not None else cache_n,
        "prompt_ms": _milliseconds(timings.get("prompt_ms")),
        "predicted_ms": _milliseconds(timings.get("predicted_ms")),
    }
    for name, value in found.items():
        if value is not None:
            setattr(parsed, name, value)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MOST_TOKENS else None


def _milliseconds(value: Any) -> float | None:
    is_number = type(value) in (int, float) and 0 <= value < MOST_MILLISECONDS
    return float(value) if is_number else None


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
