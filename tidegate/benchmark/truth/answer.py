"""What a truth server says, write by write. Pure: a shape and a request in, bytes and waits out.

The tokenizer of this server is known: each `UNIT` is a token, and so is every other word between blanks.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from tidegate.benchmark.truth.shape import MS, Fault, FaultKind, Shape

UNIT = "né🌊 "
"""The text of one token: characters of one, two and four bytes."""
WORD = re.compile(r"né🌊 ?|\S+")
DEFAULT_TOKENS = 64
COMMENT = ": still here{0}{0}retry: 3000{0}{0}"


def tokenize(text: str) -> list[int]:
    """Token numbers of a text."""
    return [sum(word.encode()) for word in WORD.findall(text)]


@dataclass(frozen=True)
class Ask:
    """What the server read in a request."""

    number: int
    is_chat: bool
    is_stream: bool
    wants_usage: bool
    max_tokens: int
    prompt_tokens: int
    model: str

    @classmethod
    def read(cls, number: int, is_chat: bool, body: dict[str, Any]) -> "Ask":
        options: Any = body.get("stream_options")
        limit: Any = body.get("max_completion_tokens") or body.get("max_tokens")
        return cls(
            number=number,
            is_chat=is_chat,
            is_stream=body.get("stream") is True,
            wants_usage=bool(
                isinstance(options, dict) and cast("dict[str, Any]", options).get("include_usage")
            ),
            max_tokens=limit if isinstance(limit, int) and limit > 0 else DEFAULT_TOKENS,
            prompt_tokens=len(tokenize(_prompt_text(body))),
            model=str(body.get("model") or "truth"),
        )


def _prompt_text(body: dict[str, Any]) -> str:
    messages: Any = body.get("messages")
    if not isinstance(messages, list):
        return str(body.get("prompt") or "")
    return " ".join(
        str(cast("dict[str, Any]", message).get("content") or "")
        for message in cast("list[Any]", messages)
        if isinstance(message, dict)
    )


class Kind(StrEnum):
    """What the client should make of a write."""

    PREFACE = "preface"
    REASONING = "reasoning"
    CONTENT = "content"
    FINISH = "finish"
    USAGE = "usage"
    DONE = "done"
    ERROR = "error"


@dataclass(frozen=True)
class Write:
    """`wait_ns` of work after the write before it, then these bytes."""

    wait_ns: int
    kind: Kind
    data: bytes
    tokens: int = 0


class End(StrEnum):
    """How the answer ends after its last write."""

    ORDERLY = "orderly"
    CUT = "cut"
    RESET = "reset"
    NEVER = "never"


ENDS = {FaultKind.CUT: End.CUT, FaultKind.RESET: End.RESET, FaultKind.HANG: End.NEVER}
"""Faults that are an ending; the others are bytes or missing bytes."""


@dataclass(frozen=True)
class Answer:
    """The writes of one streamed answer. The times of its engine are those that were planned."""

    shape: Shape
    ask: Ask
    fault: Fault | None
    chance: random.Random

    @property
    def tokens(self) -> int:
        return self.shape.tokens or self.ask.max_tokens

    def end(self) -> End:
        return ENDS.get(self.fault.kind, End.ORDERLY) if self.fault else End.ORDERLY

    def writes(self) -> Iterator[Write]:
        """All writes in order, made one at a time: a server of many streams has no time for whole answers."""
        made = _Events(self)
        if self.shape.role_chunk and self.ask.is_chat:
            yield Write(0, Kind.PREFACE, made.role())
        first_ns = wait_ns = self.shape.ttft.ns(self.chance)
        worked_ns, chunks = 0, -(-self.tokens // self.shape.tokens_per_chunk)
        for index in range(chunks):
            if self.fault and self.fault.after == index and self.fault.kind is not FaultKind.NO_DONE:
                yield from self._faulty(made, wait_ns)
                return
            if index == chunks // 2 and index > 0:
                wait_ns += round(self.shape.stall_ms * MS)
            first = index * self.shape.tokens_per_chunk
            count = min(self.shape.tokens_per_chunk, self.tokens - first)
            is_reasoning = first < self.shape.reasoning_tokens
            kind = Kind.REASONING if is_reasoning else Kind.CONTENT
            yield Write(wait_ns, kind, made.content(index, count, is_reasoning), count)
            worked_ns += wait_ns
            # The last chunk waits for the tokens that are left, as that of an engine does.
            following = min(self.shape.tokens_per_chunk, self.tokens - first - count)
            wait_ns = sum(self.shape.gap.ns(self.chance) for _ in range(following))
        yield Write(0, Kind.FINISH, made.finish(first_ns, worked_ns))
        if self.shape.usage == "event" and self.ask.wants_usage:
            yield Write(0, Kind.USAGE, made.usage(first_ns, worked_ns))
        if not (self.fault and self.fault.kind is FaultKind.NO_DONE):
            yield Write(0, Kind.DONE, made.event("[DONE]"))

    def whole(self) -> tuple[int, dict[str, Any]]:
        """The answer that is not streamed: work in nanoseconds, then the body."""
        first_ns = self.shape.ttft.ns(self.chance)
        later_ns = sum(self.shape.gap.ns(self.chance) for _ in range(self.tokens - 1))
        return first_ns + later_ns, _Events(self).whole(first_ns, first_ns + later_ns)

    def _faulty(self, made: "_Events", wait_ns: int) -> Iterator[Write]:
        assert self.fault is not None
        if self.fault.kind is FaultKind.ERROR_EVENT:
            yield Write(wait_ns, Kind.ERROR, made.event(json.dumps({"error": error_body(self.fault.status)})))
        elif self.fault.kind is FaultKind.NAMED_ERROR_EVENT:
            yield Write(wait_ns, Kind.ERROR, made.event(json.dumps(error_body(self.fault.status)), "error"))
        elif self.fault.kind is FaultKind.BROKEN_JSON:
            yield Write(wait_ns, Kind.ERROR, made.event('{"choices": [{"delta": {"content": "'))


def error_body(status: int) -> dict[str, Any]:
    return {"code": status, "message": "an error that was asked for", "type": "server_error"}


class _Events:
    """Bytes of the events of one answer; what is the same in each chunk is made once."""

    def __init__(self, answer: Answer):
        self._answer, self._shape, self._ask = answer, answer.shape, answer.ask
        kind = "chat.completion" if self._ask.is_chat else "text_completion"
        self._about: dict[str, Any] = {
            "id": f"truth-{self._ask.number}",
            "object": f"{kind}.chunk" if self._ask.is_chat and self._ask.is_stream else kind,
            "created": 0,
            "model": self._ask.model,
        }
        self._made: dict[tuple[int, bool], bytes] = {}

    def event(self, data: str, name: str = "") -> bytes:
        line = self._shape.line_end
        head = f"event: {name}{line}" if name else ""
        comment = COMMENT.format(line) if self._shape.comments else ""
        return f"{comment}{head}data: {data}{line}{line}".encode()

    def role(self) -> bytes:
        return self._chunk({"delta": {"role": "assistant", "content": None}, "finish_reason": None})

    def content(self, index: int, count: int, is_reasoning: bool) -> bytes:
        is_first_call = self._shape.tool_call and index == 0
        key = (count, is_reasoning)
        if is_first_call or key not in self._made:
            made = self._chunk(self._piece(UNIT * count, is_reasoning, is_first_call))
            if is_first_call:
                return made
            self._made[key] = made
        return self._made[key]

    def _piece(self, text: str, is_reasoning: bool, is_first_call: bool) -> dict[str, Any]:
        if not self._ask.is_chat:
            return {"text": text, "finish_reason": None}
        if is_reasoning:
            return {"delta": {self._shape.reasoning_field: text}, "finish_reason": None}
        if self._shape.tool_call:
            function: dict[str, Any] = {"name": "note", "arguments": text}
            call: dict[str, Any] = {
                "index": 0,
                "function": function if is_first_call else {"arguments": text},
            }
            if is_first_call:
                call |= {"id": "call-1", "type": "function"}
            return {"delta": {"tool_calls": [call]}, "finish_reason": None}
        return {"delta": {"content": text}, "finish_reason": None}

    def finish(self, first_ns: int, worked_ns: int) -> bytes:
        choice: dict[str, Any] = {"delta": {}} if self._ask.is_chat else {"text": ""}
        more: dict[str, Any] = {}
        if self._shape.usage == "finish":
            more["usage"] = self._usage()
        if self._shape.timings or self._shape.usage == "timings":
            more["timings"] = self._timings(first_ns, worked_ns)
        return self._chunk({**choice, "finish_reason": self._reason()}, **more)

    def usage(self, first_ns: int, worked_ns: int) -> bytes:
        more = {"timings": self._timings(first_ns, worked_ns)} if self._shape.timings else {}
        return self._chunk(None, usage=self._usage(), **more)

    def whole(self, first_ns: int, worked_ns: int) -> dict[str, Any]:
        text = UNIT * self._answer.tokens
        choice: dict[str, Any] = {"index": 0, "finish_reason": self._reason()}
        if self._ask.is_chat:
            choice["message"] = {"role": "assistant", **self._piece(text, False, True)["delta"]}
        else:
            choice["text"] = text
        body: dict[str, Any] = {**self._about, "choices": [choice]}
        if self._shape.usage in ("event", "finish"):
            body["usage"] = self._usage()
        if self._shape.timings or self._shape.usage == "timings":
            body["timings"] = self._timings(first_ns, worked_ns)
        return body

    def _chunk(self, choice: dict[str, Any] | None, **more: Any) -> bytes:
        choices = [] if choice is None else [{"index": 0, **choice}]
        return self.event(json.dumps({**self._about, "choices": choices, **more}, ensure_ascii=False))

    def _reason(self) -> str:
        return "tool_calls" if self._shape.tool_call and self._ask.is_chat else "length"

    def _usage(self) -> dict[str, Any]:
        prompt, made = self._ask.prompt_tokens, self._answer.tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": made,
            "total_tokens": prompt + made,
            "prompt_tokens_details": {"cached_tokens": self._shape.cached_tokens},
        }

    def _timings(self, first_ns: int, worked_ns: int) -> dict[str, Any]:
        """As llama-server has them: the prompt's time and the time of the tokens after it."""
        return {
            "cache_n": self._shape.cached_tokens,
            "prompt_n": self._ask.prompt_tokens,
            "prompt_ms": first_ns / MS,
            "predicted_n": self._answer.tokens,
            "predicted_ms": (worked_ns - first_ns) / MS,
        }
