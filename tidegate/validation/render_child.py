"""Renders a chat template in a process of its own: `python -m tidegate.validation.render_child`, JSON on stdin.

Runs only for templates that passed the static checks, in the same sandbox as engines use, with the names that
llama-server gives and small limits on memory and time. Writes what came out for each conversation.
"""

import json
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment

from tidegate.validation.confinement import confine, limits_from_argv, say

LARGEST_RENDER = 64 * 1024
NOW = (2026, 7, 14, 9)

Render = dict[str, str]


class _Refusal(TemplateError):
    """The template itself refuses a conversation."""


class _Generation(Extension):
    tags = {"generation"}  # noqa: RUF012 - declared so by jinja2

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def main(argv: list[str]) -> int:
    """Render each conversation; an error of the template is part of the result."""
    limits, _ = limits_from_argv(argv)
    request: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    confine(limits)
    say({"renders": render_all(request)})
    return 0


def render_all(request: dict[str, Any]) -> list[Render]:
    """What comes out for each conversation, in the way that suits the template best."""
    template = _environment().from_string(request["source"])
    conversations: list[dict[str, Any]] = request["conversations"]
    place = int(request["usual"])
    habits = sorted(
        HABITS, key=lambda habit: _suits(template, request, conversations[place], habit), reverse=True
    )
    return [_best(template, request, conversation, habits) for conversation in conversations]


@dataclass(frozen=True, slots=True)
class Habit:
    """What servers adapt to: content in parts, no tools as an empty list, arguments as text, older names."""

    in_parts: bool = False
    empty_tools: bool = False
    text_arguments: bool = False
    older_names: bool = False


HABITS = (
    Habit(), Habit(text_arguments=True), Habit(empty_tools=True), Habit(in_parts=True),
    Habit(in_parts=True, empty_tools=True), Habit(older_names=True),
)  # fmt: skip


def _suits(template: Template, request: dict[str, Any], usual: dict[str, Any], habit: Habit) -> bool:
    render = _render(template, request, usual, habit)
    return bool(render["text"]) and all(mark in render["text"] for mark in request["usual_marks"])


def _best(
    template: Template, request: dict[str, Any], conversation: dict[str, Any], habits: list[Habit]
) -> Render:
    """The first habit with which the template does not fail; the first failure when it fails with all."""
    first = _render(template, request, conversation, habits[0])
    if not first["error"]:
        return first
    for habit in habits[1:]:
        render = _render(template, request, conversation, habit)
        if not render["error"]:
            return render
    return first


def _render(
    template: Template, request: dict[str, Any], conversation: dict[str, Any], habit: Habit
) -> Render:
    messages: list[dict[str, Any]] = deepcopy(conversation["messages"])
    if habit.in_parts:
        messages = [_in_parts(message) for message in messages]
    given: dict[str, Any] = {
        "messages": [_with_text_arguments(message) for message in messages]
        if habit.text_arguments
        else messages,
        "bos_token": request["bos_token"],
        "eos_token": request["eos_token"],
        "enable_thinking": True,
        "raise_exception": _refuse,
        "strftime_now": _clock(conversation.get("clock", (0, 0, 0))),
    }
    if conversation.get("ask", True):
        given["add_generation_prompt"] = True
    if "tools" in conversation or habit.empty_tools:
        given["tools"] = conversation.get("tools", [])
    if habit.older_names:
        given.update(
            functions="[]", additional_special_tokens=["<|extra|>"] * 8, documents=[], datetime="2026-07-14"
        )
    try:
        text = template.render(given)
    except _Refusal as error:
        return {"text": "", "refusal": str(error)[:200] or "refused", "error": ""}
    except Exception as error:  # noqa: BLE001 - whatever a hostile template makes fail is its result
        return {"text": "", "refusal": "", "error": f"{type(error).__name__}: {error}"[:200]}
    return {"text": text[:LARGEST_RENDER], "refusal": "", "error": ""}


def _with_text_arguments(message: dict[str, Any]) -> dict[str, Any]:
    for call in message.get("tool_calls", ()):
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    return message


def _in_parts(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


def _environment() -> SandboxedEnvironment:
    """llama.cpp lets templates append to their own lists, so the sandbox must not be the immutable one."""
    environment = SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters.update(tojson=_to_json, from_json=json.loads, fromjson=json.loads)  # pyright: ignore[reportUnknownMemberType] - untyped there
    return environment


def _to_json(value: object, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent, default=list)


def _refuse(message: object = "") -> NoReturn:
    raise _Refusal(str(message))


def _clock(shift: list[int] | tuple[int, int, int]) -> Callable[[str], str]:
    """A fixed day; moved by years, months and hours for the cases that ask for it."""
    years, months, hours = shift
    year, month, day, hour = NOW
    moment = datetime(year + years, month + months, day, hour + hours, tzinfo=UTC)

    def strftime_now(pattern: str = "%d %b %Y") -> str:
        return moment.strftime(str(pattern))

    return strftime_now


if __name__ == "__main__":
    sys.exit(main(sys.argv))
