"""What the stamped bytes of a finished request turn out to say: events, tokens, faults."""

import json
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic_core import from_json

from tidegate.benchmark.events import DONE, EventSplitter
from tidegate.benchmark.exchange import Exchange

__all__ = [
    "RELEASE_HEADER",
    "REQUEST_ID_HEADER",
    "SET_HEADER",
    "EventSplitter",
    "Exchange",
    "Parsed",
    "as_object",
    "first_choice",
    "json_object",
    "parse_exchange",
    "parse_stream",
    "parse_whole",
]

RELEASE_HEADER = "x-tidegate-release"
SET_HEADER = "x-tidegate-set"
REQUEST_ID_HEADER = "x-request-id"
MOST_TOKENS = 2**40
MOST_MILLISECONDS = 1e12
MOST_LETTERS = 200
"""Beyond these a count or a time of a server is nonsense and is not taken, and a name is cut."""


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
        """It said that it is finished, and no fault. [DONE] is a custom that not every server keeps."""
        return self.finish_ns is not None and not self.fault

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
    """What a streamed answer said; nothing where there was none."""
    if done.status != 200:
        return Parsed()
    if done.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        body = json_object(done.body)
        told = _error_in(body) if body is not None else ""
        return Parsed(fault=told or "the answer is not a stream")
    return parse_stream(done.pieces)


def parse_stream(pieces: list[tuple[int, bytes]]) -> Parsed:
    """Read the pieces of one finished stream, with the time at which each was read."""
    parsed, splitter = Parsed(), EventSplitter()
    for stamp, piece in pieces:
        for name, data in splitter.events(piece):
            _take_event(parsed, stamp, name, data)
    for name, data in splitter.ended():
        _take_event(parsed, pieces[-1][0], name, data)
    return parsed


def parse_whole(body: dict[str, Any], stamp: int) -> Parsed:
    """The same of an answer that came in one piece, all of it read at `stamp`."""
    parsed = Parsed(done_ns=stamp)
    if _error_in(body):
        parsed.fault = "an error with HTTP 200"
        return parsed
    choice = first_choice(body)
    _take_content(parsed, stamp, as_object(choice.get("message")) | choice, 0)
    _take_finish(parsed, stamp, choice)
    _take_counts(parsed, body)
    return parsed


def _take_event(parsed: Parsed, stamp: int, name: bytes, data: bytes) -> None:
    if data.strip() == DONE:
        parsed.done_ns = stamp
        return
    chunk = json_object(data)
    if chunk is None:
        parsed.fault = parsed.fault or "a chunk is not a JSON object"
        return
    if not name and _take_plain_text(parsed, stamp, chunk):
        return
    if fault := _error_in(chunk, is_named=name == b"error"):
        parsed.fault = parsed.fault or fault
        return
    before = parsed.tokens or 0
    _take_counts(parsed, chunk)
    choice = first_choice(chunk)
    if choice:
        _take_content(parsed, stamp, as_object(choice.get("delta")) | choice, before)
        _take_finish(parsed, stamp, choice)


def _take_plain_text(parsed: Parsed, stamp: int, chunk: dict[str, Any]) -> bool:
    """The common case, which costs a third: text, no counts, no end and no error."""
    if parsed.model is None or parsed.tokens is not None or chunk.get("object") == "error":
        return False
    if chunk.get("usage") or chunk.get("timings") or chunk.get("error"):
        return False
    choice = first_choice(chunk)
    said = as_object(choice.get("delta"))
    if not said.get("content") or "logprobs" in said or choice.get("logprobs") or choice.get("finish_reason"):
        return False
    parsed.content_ns.append(stamp)
    parsed.content_tokens.append(None)
    if parsed.answer_ns is None:
        parsed.answer_ns = stamp
    return True


def _error_in(body: dict[str, Any], *, is_named: bool = False) -> str:
    """What an error says, empty where there is none: `error` in the data, `event: error`, or an error object."""
    error = body.get("error")
    if not error and not is_named and body.get("object") != "error":
        return ""
    about = as_object(error) or body
    message = error if isinstance(error, str) else about.get("message")
    told = f": {message[:MOST_LETTERS]}" if isinstance(message, str) and message else ""
    return f"an error event{told}"


def _take_content(parsed: Parsed, stamp: int, said: dict[str, Any], before: int) -> None:
    """A chunk counts when it carries something of the answer; one with a role or empty text does not."""
    is_answer = bool(said.get("content") or said.get("text") or _says_call(said))
    if not is_answer and not said.get("reasoning_content") and not said.get("reasoning"):
        return
    parsed.content_ns.append(stamp)
    if is_answer and parsed.answer_ns is None:
        parsed.answer_ns = stamp
    # Log-probabilities come one per token; running totals (`timings_per_token`, `continuous_usage_stats`) differ by them.
    listed = as_object(said.get("logprobs")).get("content")
    running = parsed.tokens - before if parsed.tokens is not None else None
    parsed.content_tokens.append(len(cast("list[Any]", listed)) if isinstance(listed, list) else running)


def _says_call(said: dict[str, Any]) -> bool:
    """A name or arguments of a call; the empty shell that some servers send first is none."""
    calls = said.get("tool_calls")
    functions = (
        [as_object(call).get("function") for call in cast("list[Any]", calls)]
        if isinstance(calls, list)
        else []
    )
    functions.append(said.get("function_call"))
    return any(as_object(one).get("name") or as_object(one).get("arguments") for one in functions)


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
    """The JSON object in these bytes, or None (also for broken UTF-8, and for brackets in brackets without end)."""
    try:
        body: Any = from_json(data)
    except ValueError:
        # The fast reader takes no half of a surrogate pair, which servers write that cut their text anywhere.
        try:
            body = json.loads(data.decode())
        except (ValueError, RecursionError):
            return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None


def as_object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
