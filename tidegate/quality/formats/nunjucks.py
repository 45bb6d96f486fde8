"""The part of nunjucks that prompts are made of: variables, their parts, and simple filters.

Everything that computes (`{% … %}`, calls, operators, custom filters) is refused: banks do not run code.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

MAX_RENDERED = 1_000_000

_OPENING = re.compile(r"\{[{%#]")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_PART = re.compile(
    r"""\s*(?:
        (?P<name>[A-Za-z_$][\w$]*)
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<sign>[.\[\]|(),])
    )""",
    re.VERBOSE,
)


class TemplateRefused(Exception):
    """A template that asks for more than variables and simple filters, or names what is not there."""


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _joined(value: Any, separator: Any = "") -> str:
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    return _text(separator).join(_text(item) for item in items)


def _ends(place: int) -> Callable[..., Any]:
    def pick(value: Any) -> Any:
        return cast("list[Any]", value)[place] if isinstance(value, list | str) and value else ""

    return pick


def _replaced(value: Any, old: Any, new: Any) -> str:
    return _text(value).replace(_text(old), _text(new))


def _defaulted(value: Any, instead: Any, *_: Any) -> Any:
    return instead if value in (None, "") else value


def _length(value: Any) -> int:
    return len(cast("list[Any]", value)) if isinstance(value, list | str | dict) else 0


def _same(value: Any) -> Any:
    return value


def _dumped(value: Any, indent: Any = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _as_text(change: Callable[[str], str]) -> Callable[[Any], str]:
    def changed(value: Any) -> str:
        return change(_text(value))

    return changed


FILTERS: dict[str, Callable[..., Any]] = {
    "upper": _as_text(str.upper),
    "lower": _as_text(str.lower),
    "trim": _as_text(str.strip),
    "capitalize": _as_text(str.capitalize),
    "title": _as_text(str.title),
    "join": _joined,
    "length": _length,
    "first": _ends(0),
    "last": _ends(-1),
    "replace": _replaced,
    "default": _defaulted,
    "d": _defaulted,
    "string": _text,
    "safe": _same,
    "dump": _dumped,
}


def render(template: str, variables: Mapping[str, Any]) -> str:
    """The text with its variables filled in. Raises: TemplateRefused."""
    found: list[str] = []
    size = at = 0
    for tag in _tags(template):
        found.append(template[at : tag.begin])
        at = tag.end
        if tag.kind == "{%":
            raise TemplateRefused(
                f"'{{%{tag.inside[:40]}%}}' computes; only variables and simple filters are read"
            )
        if tag.kind == "{{":
            found.append(_text(_Expression(tag.inside.strip("-")).value(variables)))
        size += len(found[-1])
        if size > MAX_RENDERED:
            raise TemplateRefused(f"it becomes longer than {MAX_RENDERED} characters")
    found.append(template[at:])
    return "".join(found)


def names_in(template: str) -> set[str]:
    """The variables that a template uses."""
    found: set[str] = set()
    for tag in _tags(template):
        name = re.match(r"-?\s*([A-Za-z_$][\w$]*)", tag.inside) if tag.kind == "{{" else None
        if name:
            found.add(name.group(1))
    return found


class _Tag(NamedTuple):
    kind: str
    inside: str
    begin: int
    end: int


def _tags(template: str) -> Iterator[_Tag]:
    """Every tag that is closed, from left to right, in time linear in the text."""
    unclosed: set[str] = set()
    at = 0
    while opening := _OPENING.search(template, at):
        kind, at = opening.group(), opening.end()
        end = -1 if kind in unclosed else template.find(_CLOSING[kind], at)
        if end < 0:
            unclosed.add(kind)
            continue
        yield _Tag(kind, template[at:end], opening.start(), end + 2)
        at = end + 2


class _Expression:
    """`name.part[0] | filter("argument") | filter`, read from left to right."""

    def __init__(self, source: str):
        self.source = source.strip()
        self.parts: list[tuple[str, str]] = []
        at = 0
        while at < len(self.source):
            match = _PART.match(self.source, at)
            if match is None:
                raise TemplateRefused(
                    f"'{{{{ {self.source[:60]} }}}}' computes; only variables and simple filters are read"
                )
            self.parts.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
            at = match.end()
        self.at = 0

    def value(self, variables: Mapping[str, Any]) -> Any:
        kind, word = self._take()
        if kind == "name" and word == "env":
            raise TemplateRefused("the environment is not read")
        is_missing = kind == "name" and word not in variables
        value = variables.get(word) if kind == "name" else _literal(kind, word)
        outer, value = value, self._inside(value)
        # The tool itself writes nothing there: a prompt with a hole in it, which nobody sees.
        is_missing = is_missing or (value is None and outer is not None)
        has_default = any(part in (("name", "default"), ("name", "d")) for part in self.parts[self.at :])
        if is_missing and not has_default:
            raise TemplateRefused(
                f"the variable '{self.source[:60] if word in variables else word}' is not set"
            )
        while self.at < len(self.parts):
            self._take("|")
            value = self._filtered(value)
        return value

    def _take(self, sign: str = "") -> tuple[str, str]:
        if self.at >= len(self.parts) or (sign and self.parts[self.at][1] != sign):
            raise TemplateRefused(f"'{{{{ {self.source[:60]} }}}}' is not read")
        self.at += 1
        return self.parts[self.at - 1]

    def _is(self, sign: str) -> bool:
        return self.at < len(self.parts) and self.parts[self.at] == ("sign", sign)

    def _inside(self, value: Any) -> Any:
        while self._is(".") or self._is("["):
            is_index = self._take()[1] == "["
            kind, word = self._take()
            key: Any = word if kind == "name" and not is_index else _literal(kind, word)
            if is_index:
                self._take("]")
            value = _member(value, key)
        return value

    def _filtered(self, value: Any) -> Any:
        kind, name = self._take()
        if kind != "name" or name not in FILTERS:
            raise TemplateRefused(f"the filter '{name}' is not read; there are {', '.join(FILTERS)}")
        arguments: list[Any] = []
        if self._is("("):
            self._take("(")
            while not self._is(")"):
                arguments.append(_literal(*self._take()))
                if self._is(","):
                    self._take(",")
            self._take(")")
        try:
            return FILTERS[name](value, *arguments)
        except (TypeError, ValueError) as error:
            raise TemplateRefused(f"the filter '{name}' cannot be applied: {error}") from error


def _member(value: Any, key: Any) -> Any:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).get(key)
    if (
        isinstance(value, list)
        and isinstance(key, int)
        and -len(cast("list[Any]", value)) <= key < len(cast("list[Any]", value))
    ):
        return cast("list[Any]", value)[key]
    return None


def _literal(kind: str, word: str) -> Any:
    if kind == "number":
        return float(word) if "." in word else int(word)
    if kind == "text":
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    if kind == "name" and word in ("true", "false"):
        return word == "true"
    raise TemplateRefused(f"'{word}' is not read here; only texts and numbers are")
