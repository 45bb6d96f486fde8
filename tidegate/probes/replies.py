"""Shapes of the replies that the checks read. Unknown fields are ignored; a missing one fails the check."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError


class Message(BaseModel):
    content: str | None = None


class Choice(BaseModel):
    message: Message = Message()
    delta: Message = Message()
    finish_reason: str | None = None


class Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Chat(BaseModel):
    """A whole answer, or one chunk of a streamed one."""

    model: str | None = None
    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = None

    @property
    def text(self) -> str:
        return "".join(choice.message.content or choice.delta.content or "" for choice in self.choices[:1])

    @property
    def finish_reason(self) -> str | None:
        return next((choice.finish_reason for choice in self.choices if choice.finish_reason), None)


class ModelEntry(BaseModel):
    id: str


class ModelList(BaseModel):
    data: list[ModelEntry] = []


class StreamFault(Exception):
    """A stream broke the rules of server-sent events; the text says which."""


@dataclass(frozen=True)
class Streamed:
    """What a well-formed stream said."""

    text: str
    finish_reason: str | None
    is_done: bool
    models: frozenset[str]
    chunks: int


def parse_chat(text: str) -> Chat | None:
    """The answer, or None when this is no such JSON."""
    try:
        return Chat.model_validate_json(text)
    except ValidationError:
        return None


def parse_models(text: str) -> list[str] | None:
    try:
        return [entry.id for entry in ModelList.model_validate_json(text).data]
    except ValidationError:
        return None


def is_error_reply(text: str) -> bool:
    """A JSON object that says what was wrong, in any of the usual fields."""
    try:
        body: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(body, dict) and bool({"error", "message", "detail"} & {str(key) for key in body})  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def read_stream(payload: bytes) -> Streamed:
    """Read a finished event stream strictly.

    Raises:
        StreamFault: broken UTF-8, a line that is no event field, a chunk that is no JSON, data after [DONE].
    """
    try:
        lines = payload.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise StreamFault(f"byte {error.start} is not UTF-8") from error
    chunks: list[Chat] = []
    is_done = False
    for data in _events(lines):
        if is_done:
            raise StreamFault("data after [DONE]")
        if data.strip() == "[DONE]":
            is_done = True
            continue
        chunk = parse_chat(data)
        if chunk is None or chunk.error is not None:
            raise StreamFault(
                "a chunk carries an error" if chunk else "a chunk is not JSON of the right shape"
            )
        chunks.append(chunk)
    return Streamed(
        text="".join(chunk.text for chunk in chunks),
        finish_reason=next((chunk.finish_reason for chunk in chunks if chunk.finish_reason), None),
        is_done=is_done,
        models=frozenset(chunk.model for chunk in chunks if chunk.model),
        chunks=len(chunks),
    )


def _events(lines: list[str]) -> list[str]:
    """Data of each event that a blank line ended (WHATWG HTML, section 9.2.6); others are not complete."""
    events: list[str] = []
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        if not line:
            events.extend(["\n".join(data)] if data else [])
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))
        elif name not in ("", "event", "id", "retry"):
            raise StreamFault(f"a line starts with '{name[:20]}', which is no event field")
    return events
