"""Renders a chat template in a process of its own: `python -m tidegate.validation.render_child`, JSON on stdin.

Runs only for templates that passed the static checks, in the same sandbox as engines use, with small
limits on memory and time. Writes what came out for each conversation.
"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from jinja2 import Template, nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tidegate.validation.confinement import confine, limits_from_argv, say

LARGEST_RENDER = 256 * 1024
USUAL_YEAR = 2026


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
    template = _environment().from_string(request["source"])
    say({"renders": [_render(template, request, conversation) for conversation in request["conversations"]]})
    return 0


def _render(template: Template, request: dict[str, Any], conversation: dict[str, Any]) -> dict[str, str]:
    """Without tools first, then with an empty list: engines differ, and some templates accept only one."""
    outcome: dict[str, str] = {}
    choices: tuple[list[Any] | None, ...] = (None, [])
    for tools in choices:
        outcome = _attempt(template, request, conversation, tools)
        if not outcome["error"]:
            break
    return outcome


def _attempt(
    template: Template, request: dict[str, Any], conversation: dict[str, Any], tools: list[Any] | None
) -> dict[str, str]:
    try:
        text = template.render(
            messages=conversation["messages"],
            add_generation_prompt=True,
            bos_token=request["bos_token"],
            eos_token=request["eos_token"],
            raise_exception=_refuse,
            strftime_now=_clock(conversation.get("year", USUAL_YEAR)),
            tools=tools,
            documents=None,
        )
    except _Refusal as error:
        return {"text": "", "refusal": str(error)[:200] or "refused", "error": ""}
    except Exception as error:  # noqa: BLE001 - whatever a hostile template makes fail is its result
        return {"text": "", "refusal": "", "error": f"{type(error).__name__}: {error}"[:200]}
    return {"text": text[:LARGEST_RENDER], "refusal": "", "error": ""}


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.filters.update(tojson=_to_json)  # pyright: ignore[reportUnknownMemberType] - untyped there
    return environment


def _to_json(value: object, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refuse(message: object = "") -> NoReturn:
    raise _Refusal(str(message))


def _clock(year: int) -> Callable[[str], str]:
    def strftime_now(pattern: str = "%d %b %Y") -> str:
        return datetime(year, 7, 26, 12, tzinfo=UTC).strftime(str(pattern))

    return strftime_now


if __name__ == "__main__":
    sys.exit(main(sys.argv))
