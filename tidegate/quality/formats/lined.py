"""JSON and YAML with the line of every value: what is wrong in a file is told by its line.

YAML is read by the safe rules of PyYAML, but built here: tags are refused with their line (`!function` of lm-eval runs
code), and what aliases unfold to is counted, so that a few lines cannot become gigabytes.
"""

import json
import re
from bisect import bisect_right
from typing import Any, cast

import yaml

MAX_VALUES = 2_000_000
MAX_UNFOLDED = 200_000
MAX_DEPTH = 60
NEW = re.compile(
    r"true|false|True|False|TRUE|FALSE|[-+]?\d+|0x[\da-fA-F]+|[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?"
)
"""Booleans and numbers of YAML 1.2; 1.1 has more (`yes`, `1_000`, `12:30`)."""
PLAIN_TAGS = frozenset(
    ["null", "bool", "int", "float", "str", "seq", "map", "binary", "timestamp", "merge", "value"]
)
"""What YAML holds by itself; every other tag makes objects of a program."""


class Lined(dict[str, Any]):
    """An object that knows the line of each of its values."""

    line: int = 1
    lines: dict[str, int]

    def line_of(self, key: str) -> int:
        return self.lines.get(key, self.line)


class LinedList(list[Any]):
    """A list that knows the line of each of its items."""

    line: int = 1
    lines: list[int]

    def line_at(self, place: int) -> int:
        return self.lines[place] if place < len(self.lines) else self.line


class BadText(Exception):
    """The text is not what it should be, at this line."""

    def __init__(self, line: int, reason: str):
        super().__init__(reason)
        self.line = line
        self.reason = reason


def line_of(value: Any, default: int) -> int:
    """Where a value begins, if it is an object or a list of these readers."""
    return value.line if isinstance(value, Lined | LinedList) else default


def parse_json_lined(text: str) -> Any:
    """JSON with lines. Raises: BadText."""
    try:
        json.loads(text, parse_constant=_refused_constant)
    except json.JSONDecodeError as error:
        raise BadText(error.lineno, f"this is not JSON: {error.msg}") from error
    except ValueError as error:
        raise BadText(1, f"this is not JSON: {error}") from error
    except RecursionError as error:
        raise BadText(1, "the JSON is nested too deeply") from error
    return _Json(text).value(0)


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


class _Json:
    """Reads text that is known to be JSON, for the lines of its values only."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.breaks = [place for place, character in enumerate(text) if character == "\n"]
        self.values = 0
        self._scan = json.JSONDecoder().raw_decode

    def value(self, depth: int) -> Any:
        self._skip()
        line = bisect_right(self.breaks, self.at) + 1
        self.values += 1
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            raise BadText(line, "the JSON is too large or nested too deeply")
        opening = self.text[self.at]
        if opening == "{":
            return self._object(line, depth)
        if opening == "[":
            return self._list(line, depth)
        value, self.at = self._scan(self.text, self.at)
        return value

    def _object(self, line: int, depth: int) -> Lined:
        found = Lined()
        found.line, found.lines = line, {}
        self.at += 1
        self._skip()
        while self.text[self.at] != "}":
            key, self.at = self._scan(self.text, self.at)
            here = bisect_right(self.breaks, self.at) + 1
            self._skip()
            self.at += 1
            if key in found:
                raise BadText(here, f"'{key}' is there twice")
            found.lines[str(key)] = here
            found[str(key)] = self.value(depth + 1)
            self._next()
        self.at += 1
        return found

    def _list(self, line: int, depth: int) -> LinedList:
        found = LinedList()
        found.line, found.lines = line, []
        self.at += 1
        self._skip()
        while self.text[self.at] != "]":
            self._skip()
            found.lines.append(bisect_right(self.breaks, self.at) + 1)
            found.append(self.value(depth + 1))
            self._next()
        self.at += 1
        return found

    def _next(self) -> None:
        self._skip()
        if self.text[self.at] == ",":
            self.at += 1
            self._skip()

    def _skip(self) -> None:
        while self.text[self.at] in " \t\r\n":
            self.at += 1


def parse_yaml_lined(text: str, *, is_old: bool = False) -> Any:
    """One YAML document with lines, by the safe rules. Raises: BadText.

    Scalars are those of YAML 1.2, as JavaScript tools read them: `Yes` and `12:30` are text. With `is_old` they are those
    of YAML 1.1, as Python tools read them.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _Yaml(loader, is_old=is_old).value(node, 0)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadText(line, f"this is not YAML: the character {error.character!r} is not allowed") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadText(mark.line + 1 if mark else 1, f"this is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise BadText(1, f"this is not YAML: {error}") from error
    except RecursionError as error:
        raise BadText(1, "the YAML is nested too deeply") from error
    except ValueError as error:
        raise BadText(1, f"a value of the YAML cannot be read: {error}") from error


class _Yaml:
    """Builds values from nodes, counting what aliases unfold to."""

    def __init__(self, loader: yaml.SafeLoader, *, is_old: bool):
        self.loader = loader
        self.is_old = is_old
        self.values = 0

    def value(self, node: Any, depth: int) -> Any:
        self.values += 1
        line = int(node.start_mark.line) + 1
        if self.values > MAX_UNFOLDED or depth > MAX_DEPTH:
            raise BadText(
                line, f"the YAML unfolds to more than {MAX_UNFOLDED} values, or is nested too deeply"
            )
        if str(node.tag).removeprefix("tag:yaml.org,2002:") not in PLAIN_TAGS:
            raise BadText(line, f"'{node.tag}' runs code of its own and is not read")
        if isinstance(node, yaml.MappingNode):
            return self._object(node, line, depth)
        if isinstance(node, yaml.SequenceNode):
            return self._list(node, line, depth)
        if str(node.tag).endswith((":binary", ":timestamp", ":value")):
            # A date that was meant as text stays the text that was written.
            return str(node.value)
        if (
            not self.is_old
            and str(node.tag).endswith((":bool", ":int", ":float"))
            and not NEW.fullmatch(node.value)
        ):
            return str(node.value)
        return self._scalar(node, line)

    def _scalar(self, node: Any, line: int) -> Any:
        loader: Any = self.loader
        try:
            return loader.construct_object(node)
        except ValueError as error:
            raise BadText(line, f"'{node.value}' cannot be read: {error}") from error

    def _object(self, node: Any, line: int, depth: int) -> Lined:
        self.loader.flatten_mapping(node)
        found = Lined()
        found.line, found.lines = line, {}
        for key_node, value_node in cast("list[tuple[Any, Any]]", node.value):
            key = self.value(key_node, depth + 1)
            here = int(key_node.start_mark.line) + 1
            if isinstance(key, dict | list):
                raise BadText(here, "a key must be text")
            found.lines[str(key)] = here
            found[str(key)] = self.value(value_node, depth + 1)
        return found

    def _list(self, node: Any, line: int, depth: int) -> LinedList:
        found = LinedList()
        found.line = line
        found.lines = [int(item.start_mark.line) + 1 for item in node.value]
        found.extend(self.value(item, depth + 1) for item in node.value)
        return found


def plain(value: Any) -> Any:
    """The same values without lines."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    return value
