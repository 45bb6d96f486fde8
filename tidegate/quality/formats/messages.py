"""Conversations as the formats write them, made into ours."""

from collections.abc import Mapping
from typing import Any, cast

from tidegate.quality.formats.reading import Place, RowRefused, list_of, object_of

ROLES = {"human": "user", "ai": "assistant", "gpt": "assistant", "bot": "assistant", "function": "tool"}
KNOWN_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
KEPT = ("role", "content", "name", "tool_calls", "tool_call_id")


def messages_of(value: Any, name: str, place: Place) -> list[dict[str, Any]]:
    """Turns with our names of roles and text only. Raises: RowRefused."""
    turns = [object_of(entry, f"{name}[{n}]", place) for n, entry in enumerate(list_of(value, name, place))]
    if not turns:
        raise RowRefused(place, f"{name}: is empty")
    return [_message(turn, f"{name}[{n}]", place) for n, turn in enumerate(turns)]


def _message(turn: Mapping[str, Any], name: str, place: Place) -> dict[str, Any]:
    role = turn.get("role") or turn.get("type") or turn.get("from")
    role = ROLES.get(str(role), str(role))
    if role not in KNOWN_ROLES:
        raise RowRefused(place, f"{name}: role '{role}' is unknown")
    message = {key: turn[key] for key in KEPT if turn.get(key) is not None}
    content = turn.get("content", turn.get("value"))
    message |= {"role": role}
    if content is not None:
        message["content"] = content_text(content, name, place)
    if "tool_calls" in message:
        calls = [object_of(call, name, place) for call in list_of(message["tool_calls"], name, place)]
        message["tool_calls"] = [dict(call) for call in calls]
    return message


def content_text(content: Any, name: str, place: Place) -> str:
    """The text of a message, also where it comes in parts. Raises: RowRefused for anything but text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RowRefused(place, f"{name}: content must be text")
    texts: list[str] = []
    for part in cast("list[Any]", content):
        entry = {"type": "text", "text": part} if isinstance(part, str) else object_of(part, name, place)
        if entry.get("type", "text") != "text" or not isinstance(entry.get("text"), str):
            raise RowRefused(
                place, f"{name}: content of the kind '{entry.get('type')}' is not read, only text"
            )
        texts.append(entry["text"])
    return "".join(texts)


def expected_calls(calls: Any, name: str, place: Place) -> list[dict[str, Any]]:
    """Tool calls of a target as the scorer `tool_call` expects them. Raises: RowRefused."""
    from tidegate.quality.scorers.structured import parse_json

    found: list[dict[str, Any]] = []
    for entry in list_of(calls, name, place):
        call = object_of(entry, name, place)
        function = object_of(call.get("function", call), name, place)
        arguments = function.get("arguments", function.get("args", {}))
        if isinstance(arguments, str):
            is_json, arguments = parse_json(arguments)
            if not is_json:
                raise RowRefused(place, f"{name}: the arguments are not JSON")
        found.append({"name": str(function.get("name", "")), "arguments": object_of(arguments, name, place)})
    return found
