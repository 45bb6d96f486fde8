"""The operators and text functions of templates on known values. Anything large or odd is UNKNOWN."""

from collections.abc import Callable, Sequence
from typing import Union

Constant = Union[str, int, float, bool, None, list["Constant"], dict[str, "Constant"]]  # noqa: UP007 - recursive

LARGEST_TEXT = 10_000
LARGEST_EXPONENT = 64
LARGEST_FACTOR = 2**64


class Unknown:
    """Not constant, or not worth knowing."""


UNKNOWN = Unknown()

_PLAIN: dict[str, Callable[[str], str]] = {
    "lower": str.lower, "upper": str.upper, "title": str.title, "capitalize": str.capitalize, "trim": str.strip,
    "strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip, "swapcase": str.swapcase, "string": str,
    "safe": str, "e": str, "escape": str, "casefold": str.casefold,
}  # fmt: skip
_UNCHANGED = frozenset({"list", "sort", "unique", "select", "reject", "default", "d"})


def apply_operator(operator: str | None, left: Constant, right: Constant) -> Constant | Unknown:
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if operator == "+" and isinstance(left, list) and isinstance(right, list):
        return [*left, *right] if len(left) + len(right) <= LARGEST_TEXT else UNKNOWN
    if operator == "*":
        if isinstance(left, int) and isinstance(right, (str, list)):
            left, right = right, left
        if isinstance(left, (str, list)) and isinstance(right, int):
            return left * right if len(left) * right <= LARGEST_TEXT else UNKNOWN
    if operator == "%" and isinstance(left, str):
        return _percent(left, right if isinstance(right, list) else [right])
    if isinstance(left, int) and isinstance(right, int):
        return _integers(operator, left, right)
    return UNKNOWN


def _integers(operator: str | None, left: int, right: int) -> Constant | Unknown:
    if max(abs(left), abs(right)) > LARGEST_FACTOR:
        return UNKNOWN
    if operator == "**":
        is_small = 0 <= right <= LARGEST_EXPONENT and abs(left) <= 2**16
        return int(left**right) if is_small else UNKNOWN
    if operator in ("//", "%"):
        if not right:
            return UNKNOWN
        return left // right if operator == "//" else left % right
    plain: dict[str | None, Callable[[int, int], int]] = {
        "+": int.__add__, "-": int.__sub__, "*": int.__mul__,
    }  # fmt: skip
    return plain[operator](left, right) if operator in plain else UNKNOWN


def _percent(pattern: str, given: Sequence[Constant]) -> Constant | Unknown:
    """`'%s%c' % ('a', 98)` with plain fields only: widths could ask for gigabytes."""
    pieces = pattern.replace("%%", "\0").split("%")
    if len(pieces) - 1 != len(given) or any(not piece or piece[0] not in "scd" for piece in pieces[1:]):
        return UNKNOWN
    written = pieces[0]
    for piece, value in zip(pieces[1:], given, strict=True):
        is_letter = piece[0] == "c" and isinstance(value, int) and 0 <= value < 0xD800
        written += (chr(value) if is_letter and isinstance(value, int) else _written(value)) + piece[1:]
    return written.replace("\0", "%")


def _written(value: Constant) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, (int, float)) else ""


def apply_function(name: str, subject: Constant, given: Sequence[Constant]) -> Constant | Unknown:
    """A filter or a method of a text or list. Those that make texts larger are left out."""
    if isinstance(subject, str):
        return _of_text(name, subject, given)
    if isinstance(subject, list):
        return _of_list(name, subject, given)
    if isinstance(subject, dict):
        return _of_table(name, subject, given)
    if name == "string" and isinstance(subject, (int, float)):
        return str(subject)
    return subject if name in ("int", "abs", "float", "default", "d") else UNKNOWN


def _of_text(name: str, text: str, given: Sequence[Constant]) -> Constant | Unknown:
    first = given[0] if given else None
    if name in _PLAIN and not given:
        return _PLAIN[name](text)
    if name in ("strip", "lstrip", "rstrip", "trim") and isinstance(first, str):
        return {"lstrip": text.lstrip, "rstrip": text.rstrip}.get(name, text.strip)(first)
    if name in ("reverse", "last", "first") and text:
        return {"reverse": text[::-1], "last": text[-1], "first": text[0]}[name]
    if name == "replace" and len(given) >= 2 and isinstance(first, str) and isinstance(given[1], str):
        is_small = len(given[1]) * (text.count(first) if first else len(text) + 1) <= LARGEST_TEXT
        return text.replace(first, given[1]) if is_small else UNKNOWN
    if name in ("split", "rsplit"):
        return list(text.split(first or None)) if first is None or isinstance(first, str) else UNKNOWN
    if name in ("removeprefix", "removesuffix") and isinstance(first, str):
        return text.removeprefix(first) if name == "removeprefix" else text.removesuffix(first)
    if name == "join" and isinstance(first, list):
        return _joined(text, first)
    if name == "join":
        return _joined(first if isinstance(first, str) else "", list(text))
    if name == "format":
        return _percent(text, given) if "%" in text else _braces(text, given)
    if name in ("length", "count") and not given:
        return len(text)
    if name == "list":
        return list(text)
    return text if name in ("default", "d") else UNKNOWN


def _braces(pattern: str, given: Sequence[Constant]) -> Constant | Unknown:
    """`'{}{1}'.format(...)` without widths, conversions or access to parts."""
    written, rest, place = "", pattern, 0
    while "{" in rest:
        before, _, rest = rest.partition("{")
        field, closing, rest = rest.partition("}")
        number = place if not field else int(field) if field.isdecimal() and len(field) < 3 else -1
        if not closing or not 0 <= number < len(given):
            return UNKNOWN
        written += before + _written(given[number])
        place += 1
    return written + rest


def _of_list(name: str, items: list[Constant], given: Sequence[Constant]) -> Constant | Unknown:
    first = given[0] if given else None
    if name == "join":
        return _joined(first if isinstance(first, str) else "", items)
    if name in ("first", "last") and items:
        return items[0] if name == "first" else items[-1]
    if name == "reverse":
        return items[::-1]
    if name in ("length", "count") and not given:
        return len(items)
    if name == "map" and isinstance(first, str):
        mapped = [apply_function(first, item, given[1:]) for item in items]
        return [item for item in mapped if not isinstance(item, Unknown)]
    if name == "random":
        return items[0] if items else UNKNOWN
    return items if name in _UNCHANGED else UNKNOWN


def _of_table(name: str, table: dict[str, Constant], given: Sequence[Constant]) -> Constant | Unknown:
    if name == "get" and given and isinstance(given[0], str):
        return table.get(given[0], given[1] if len(given) > 1 else UNKNOWN)
    if name in ("keys", "list"):
        return list(table)
    if name == "values":
        return list(table.values())
    if name in ("items", "dictsort"):
        return [[key, value] for key, value in table.items()]
    return table if name in ("default", "d") else UNKNOWN


def _joined(glue: str, items: Sequence[Constant]) -> Constant | Unknown:
    texts = [_written(item) for item in items]
    size = sum(map(len, texts)) + len(glue) * len(texts)
    return glue.join(texts) if size <= LARGEST_TEXT else UNKNOWN
