"""Just enough of PromQL to see which metrics, labels and label values an expression names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"(?<![\w.])([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{[^}]*\})?")
_MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_GROUPING = re.compile(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORDS = frozenset({"and", "or", "unless", "offset", "bool"})


@dataclass(frozen=True)
class Selector:
    """One metric as an expression asks for it."""

    name: str
    matchers: tuple[tuple[str, str], ...]
    """Label and each value that it is compared with."""


def selectors(expression: str) -> Iterator[Selector]:
    """Every metric of the expression; functions, labels of groupings and words of the language are none."""
    text = _GROUPING.sub(" ", expression)
    text = re.sub(r"\[[^\]]*\]", " ", text)
    position = 0
    while found := _SELECTOR.search(text, position):
        position = found.end()
        before = text[: found.start()]
        if len(re.findall(r'(?<!\\)"', before)) % 2:
            # Inside a string: an argument of label_replace.
            closing = _STRING.search(text, before.rindex('"'))
            position = closing.end() if closing else len(text)
            continue
        name = found[1]
        if name in _WORDS or (found[2] is None and text[position:].lstrip().startswith("(")):
            continue
        matchers = _MATCHER.findall(found[2] or "")
        values = ((label, one) for label, how, value in matchers for one in _alternatives(how, value))
        yield Selector(name, tuple(values))


def _alternatives(how: str, value: str) -> list[str]:
    return value.split("|") if "~" in how else [value]
