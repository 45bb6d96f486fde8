"""Reads JSON that nobody has vouched for: bounded in depth, values and memory; duplicates are reported.

Python's own parser takes the last of two equal names in silence, recurses as deep as the text says, and
builds hundreds of bytes for two characters of input.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import cast

from tidegate.gguf import quote

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]

NOTHING: Mapping[str, "JsonValue"] = MappingProxyType({})
LONGEST_NUMBER = 40
LONGEST_TOKEN = 1024**2
MAX_DUPLICATES = 10
# Beyond this, characters that take four bytes in memory would not be worth their cost: known texts are ASCII.
MAX_WIDE_BYTES = 4 * 1024**2
MAX_SHARED_TEXTS = 1024

# Possessive throughout: a text of many megabytes must not pile up places to go back to.
_TOKEN = re.compile(
    r"""[ \t\n\r]*+(?:([{}\[\],:])|("(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")"""
    r"""|(-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)|(true|false|null))"""
)
_SPACE = re.compile(r"[ \t\n\r]*+")
_PUNCTUATION, _STRING, _NUMBER = 1, 2, 3
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None}


class JsonTrouble(StrEnum):
    SYNTAX = "syntax"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """What a text may ask of us; `values` bounds the memory, since each costs some hundred bytes at most."""

    max_depth: int = 16
    max_values: int = 50_000
    max_names: int = 50_000
    """In one object."""


@dataclass(frozen=True, slots=True)
class JsonReading:
    """The value, or the first trouble with the byte where it is."""

    value: JsonValue = None
    trouble: JsonTrouble | None = None
    message: str = ""
    offset: int = 0
    duplicates: tuple[str, ...] = ()

    @property
    def table(self) -> dict[str, JsonValue] | None:
        """The value if it is an object."""
        return self.value if isinstance(self.value, dict) else None


class _Stop(Exception):
    def __init__(self, trouble: JsonTrouble, message: str, position: int):
        super().__init__(message)
        self.trouble, self.message, self.position = trouble, message, position


def read_json(data: bytes, limits: JsonLimits = JsonLimits()) -> JsonReading:
    """Read one JSON value. Never raises for a bad text."""
    if len(data) > MAX_WIDE_BYTES and not data.isascii():
        message = f"it has {len(data)} bytes and is not ASCII"
        return JsonReading(trouble=JsonTrouble.LIMIT, message=message)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return JsonReading(trouble=JsonTrouble.SYNTAX, message="it is not UTF-8", offset=error.start)
    parser = _Parser(text, limits)
    try:
        value = parser.whole()
    except _Stop as stop:
        offset = len(text[: stop.position].encode("utf-8"))
        return JsonReading(trouble=stop.trouble, message=stop.message, offset=offset)
    return JsonReading(value=value, duplicates=tuple(parser.duplicates))


@dataclass(slots=True)
class _Parser:
    text: str
    limits: JsonLimits
    position: int = 0
    values: int = 0
    duplicates: list[str] = field(default_factory=list[str])
    shared: dict[str, str] = field(default_factory=dict[str, str])
    """Values that occur again and again, such as dtypes and names of files, are kept once."""

    def whole(self) -> JsonValue:
        kind, token = self._next()
        value = self._value(kind, token, 1)
        end = _SPACE.match(self.text, self.position)
        if end is None or end.end() != len(self.text):
            raise _Stop(JsonTrouble.SYNTAX, "text follows the value", self.position)
        return value

    def _next(self) -> tuple[int, str]:
        found = _TOKEN.match(self.text, self.position)
        if found is None or found.lastindex is None:
            near = quote(self.text[self.position : self.position + 20])
            raise _Stop(JsonTrouble.SYNTAX, f"{near} is no JSON", self.position)
        if found.end() - self.position > LONGEST_TOKEN:
            raise _Stop(JsonTrouble.LIMIT, "a string is too long", self.position)
        self.position = found.end()
        return found.lastindex, found[found.lastindex]

    def _value(self, kind: int, token: str, depth: int) -> JsonValue:
        self.values += 1
        if self.values > self.limits.max_values:
            raise _Stop(
                JsonTrouble.LIMIT, f"it holds more than {self.limits.max_values} values", self.position
            )
        if kind == _STRING:
            return self._kept_once(self._string(token))
        if kind == _NUMBER:
            return self._number(token)
        if kind != _PUNCTUATION:
            return _WORDS[token]
        if token not in "{[":
            raise _Stop(JsonTrouble.SYNTAX, f"a value is missing before {token!r}", self.position - 1)
        if depth > self.limits.max_depth:
            raise _Stop(
                JsonTrouble.LIMIT, f"it is nested more than {self.limits.max_depth} deep", self.position
            )
        return self._object(depth) if token == "{" else self._array(depth)

    def _kept_once(self, text: str) -> str:
        if len(self.shared) < MAX_SHARED_TEXTS:
            return self.shared.setdefault(text, text)
        return self.shared.get(text, text)

    def _object(self, depth: int) -> dict[str, JsonValue]:
        result: dict[str, JsonValue] = {}
        kind, token = self._next()
        if token == "}" and kind == _PUNCTUATION:
            return result
        while True:
            if kind != _STRING:
                raise _Stop(JsonTrouble.SYNTAX, "a name is missing", self.position)
            name = self._string(token)
            self._expect(":")
            if len(result) >= self.limits.max_names:
                raise _Stop(JsonTrouble.LIMIT, f"an object has more than {len(result)} names", self.position)
            if name in result and len(self.duplicates) < MAX_DUPLICATES:
                self.duplicates.append(name)
            result[name] = self._value(*self._next(), depth + 1)
            if self._ends("}"):
                return result
            kind, token = self._next()

    def _array(self, depth: int) -> list[JsonValue]:
        result: list[JsonValue] = []
        kind, token = self._next()
        if token == "]" and kind == _PUNCTUATION:
            return result
        while True:
            result.append(self._value(kind, token, depth + 1))
            if self._ends("]"):
                return result
            kind, token = self._next()

    def _ends(self, closing: str) -> bool:
        kind, token = self._next()
        if kind != _PUNCTUATION or token not in (closing, ","):
            raise _Stop(JsonTrouble.SYNTAX, f"{closing!r} or a comma is missing", self.position)
        return token == closing

    def _expect(self, wanted: str) -> None:
        kind, token = self._next()
        if kind != _PUNCTUATION or token != wanted:
            raise _Stop(JsonTrouble.SYNTAX, f"{wanted!r} is missing", self.position)

    def _string(self, token: str) -> str:
        if "\\" not in token:
            return token[1:-1]
        text = cast("str", json.loads(token))
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise _Stop(JsonTrouble.SYNTAX, "a string holds half a character", self.position - len(token))
        return text

    def _number(self, token: str) -> int | float:
        if len(token) > LONGEST_NUMBER:
            raise _Stop(JsonTrouble.LIMIT, "a number has too many digits", self.position - len(token))
        if token.lstrip("-").isdigit():
            return int(token)
        number = float(token)
        if not math.isfinite(number):
            raise _Stop(JsonTrouble.SYNTAX, "a number is out of range", self.position - len(token))
        return number
