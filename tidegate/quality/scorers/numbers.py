"""Numbers in an answer: which one counts, how they are written, and how near is near enough."""

import math
import re
from typing import Literal

from pydantic import Field

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import (
    MAX_ANSWER_CHARACTERS,
    Mark,
    Options,
    Scorer,
    Wanted,
    binary,
    options_of,
)

# A hyphen behind a word or a digit is no sign: `3-4` holds 3 and 4.
_SIGN = r"(?:(?<![\w)\]])[-+\u2212])?"
_NUMBERS = {
    ".": re.compile(
        rf"{_SIGN}(?:\d{{1,3}}(?:,\d{{3}})+(?![\d])|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|{_SIGN}\.\d+(?:[eE][-+]?\d+)?"
    ),
    ",": re.compile(
        rf"{_SIGN}(?:\d{{1,3}}(?:[.\u00a0\u202f' ]\d{{3}})+(?![\d])|\d+)(?:,\d+)?(?:[eE][-+]?\d+)?|{_SIGN},\d+"
    ),
}


class NumberOptions(Options):
    abs_tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    rel_tolerance: float = Field(default=1e-9, ge=0, allow_inf_nan=False)
    """Either tolerance is enough."""
    which: Literal["last", "first", "only"] = "last"
    """`only`: an answer with several different numbers is wrong."""
    unit: str | tuple[str, ...] = ()
    """Only numbers with one of these before or behind them count. Empty: units are not looked at."""
    percent: bool = False
    """`25 %` is read as 0.25, in the answer and in what is expected."""
    decimal: Literal[".", ","] = "."
    """With `.` thousands are grouped by commas; with `,` by points, spaces or apostrophes."""


def numbers_in(text: str, options: NumberOptions | None = None) -> list[float]:
    """Every finite number of a text, in its order."""
    options = options or NumberOptions()
    text = text[:MAX_ANSWER_CHARACTERS]
    units = (options.unit,) if isinstance(options.unit, str) else options.unit
    found: list[float] = []
    for match in _NUMBERS[options.decimal].finditer(text):
        before, behind = text[: match.start()].rstrip(), text[match.end() :].lstrip()
        if units and not any(_is_unit(unit, before, behind) for unit in units):
            continue
        value = _value(match.group(), options.decimal)
        if options.percent and behind.startswith("%"):
            value /= 100
        if math.isfinite(value):
            found.append(value)
    return found


def _is_unit(unit: str, before: str, behind: str) -> bool:
    if behind.startswith(unit):
        return not (unit[-1].isalnum() and behind[len(unit) : len(unit) + 1].isalnum())
    return before.endswith(unit) and not (unit[0].isalnum() and before[: -len(unit)][-1:].isalnum())


def _value(text: str, decimal: str) -> float:
    text = text.replace("\u2212", "-")
    if decimal == ".":
        return float(text.replace(",", ""))
    return float(re.sub(r"[.\u00a0\u202f' ]", "", text).replace(",", "."))


def _numeric(wanted: Wanted[NumberOptions], answer: Answer) -> Mark:
    options = wanted.options
    found = numbers_in(answer.text, options)
    if not found:
        return binary(False, "there is no number" + (" with the wanted unit" if options.unit else ""))
    if options.which == "only" and len(set(found)) > 1:
        return binary(False, "there are several numbers")
    given = found[0] if options.which == "first" else found[-1]
    accepted = [_expected(option, options) for option in options_of(wanted.expect)]
    is_near = any(
        value is not None
        and math.isclose(given, value, rel_tol=options.rel_tolerance, abs_tol=options.abs_tolerance)
        for value in accepted
    )
    return binary(is_near, f"it says {given:g}")


def _expected(option: object, options: NumberOptions) -> float | None:
    """A bank writes numbers plainly; text of it is read as answers are, without asking for the unit."""
    if isinstance(option, bool) or not isinstance(option, int | float | str):
        return None
    if not isinstance(option, str):
        return float(option) if math.isfinite(option) else None
    found = numbers_in(option, options.model_copy(update={"unit": ()}))
    return found[-1] if found else None


def _fault(wanted: Wanted[NumberOptions]) -> str:
    accepted = options_of(wanted.expect)
    if not accepted or any(isinstance(option, dict | list) or str(option) == "" for option in accepted):
        return "expect must be text, a number or a list of these, and not empty"
    if any(_expected(option, wanted.options) is None for option in accepted):
        return "expect is not a number"
    if wanted.options.unit and "" in wanted.options.unit:
        return "a unit must not be empty" if not isinstance(wanted.options.unit, str) else ""
    return ""


NUMERIC = Scorer(
    "numeric",
    "The last number of the answer is near enough to the expected one.",
    NumberOptions,
    _numeric,
    _fault,
)
