"""Lists: one named array, newest first, in pages of a cursor; and the query parameters that go with them."""

import base64
import re
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Json

LARGEST_PAGE = 1000


def page(request: web.Request, name: str, items: Sequence[Json]) -> web.Response:
    """One page: the cursor names the last item seen, so that items that come or go do not shift it."""
    limit = whole_number(request, "limit", LARGEST_PAGE, 1, LARGEST_PAGE)
    start = _start(_single(request, "cursor"), items)
    shown = list(items[start : start + limit])
    has_next = start + limit < len(items)
    pagination = {"nextCursor": _cursor(shown[-1]["id"]) if has_next else None, "hasNextPage": has_next}
    return web.json_response({name: shown, "pagination": pagination})


def _cursor(identifier: str) -> str:
    return base64.urlsafe_b64encode(identifier.encode()).decode()


def _start(cursor: str | None, items: Sequence[Json]) -> int:
    if cursor is None:
        return 0
    try:
        identifier = base64.urlsafe_b64decode(cursor.encode()).decode()
    except ValueError:
        identifier = ""
    for index, item in enumerate(items):
        if item["id"] == identifier:
            return index + 1
    raise _wrong("cursor", "is not one of ours")


def whole_number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """Raises: Problem 422 when the parameter is no whole number between the bounds."""
    text = _single(request, name)
    if text is None:
        return default
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20) or not least <= int(text) <= most:
        raise _wrong(name, f"must be an integer between {least} and {most}")
    return int(text)


def _single(request: web.Request, name: str) -> str | None:
    """Raises: Problem 422 when the parameter is there more than once."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise _wrong(name, "must be given once")
    return values[0] if values else None


def choice(request: web.Request, name: str, allowed: Sequence[str]) -> str | None:
    """Raises: Problem 422 when the parameter is none of the allowed words."""
    text = _single(request, name)
    if text is not None and text not in allowed:
        raise _wrong(name, f"must be one of {', '.join(allowed)}")
    return text


def choices(
    request: web.Request, name: str, allowed: Sequence[str] | None = None, most: int | None = None
) -> list[str]:
    """A comma-separated list.

    Raises:
        Problem: 422 when an entry is none of the allowed words, or there are too many.
    """
    text = _single(request, name)
    words = text.split(",") if text else []
    if allowed is not None and any(word not in allowed for word in words):
        raise _wrong(name, f"must be a list of {', '.join(allowed)}")
    if most is not None and len(words) > most:
        raise _wrong(name, f"must have at most {most} entries")
    return words


def matching(
    request: web.Request, name: str, pattern: re.Pattern[str], *, is_list: bool = False
) -> list[str]:
    """One word, or a comma-separated list of them.

    Raises:
        Problem: 422 when one does not have the wanted form.
    """
    text = _single(request, name)
    if text is None:
        return []
    words = text.split(",") if is_list else [text]
    if any(pattern.fullmatch(word) is None for word in words):
        raise _wrong(name, f"must match {pattern.pattern}")
    return words


def _wrong(name: str, rule: str) -> Problem:
    return Problem(422, "query does not match the schema", errors=[f"query.{name}: {rule}"])


def reply(data: Any, status: int = 200) -> web.Response:
    return web.json_response(data, status=status)


def deleted() -> web.Response:
    return web.Response(status=204)
