"""What a scorer is: a pure function from what a question wants and what a model answered to a mark."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from tidegate.quality.results import Answer

Expect = str | int | float | bool | list[Any] | dict[str, Any]
"""What a question expects; a list means "any of these" (for `json` it is the expected array itself)."""

MAX_ANSWER_CHARACTERS = 100_000
"""Nothing behind this is read: a runaway model must not decide how long scoring takes."""


class Options(BaseModel):
    """Settings of one scorer. An unknown name is an error: a misspelt option must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


O_co = TypeVar("O_co", bound=Options, covariant=True)


@dataclass(frozen=True, slots=True)
class Wanted(Generic[O_co]):
    """One question, as far as a scorer looks at it."""

    expect: Expect | None
    options: O_co
    choices: tuple[str, ...] = ()
    threshold: float = 1.0
    """From this value on the answer is right; only graded scorers look at it."""
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """What one scorer says. `value` is None where only someone else can tell (a judge that was not asked)."""

    value: float | None
    is_right: bool
    note: str = ""
    flags: tuple[str, ...] = ()


def binary(is_right: bool, note: str = "", flags: tuple[str, ...] = ()) -> Mark:
    return Mark(float(is_right), is_right, "" if is_right else note, flags)


def graded(value: float, threshold: float, note: str = "") -> Mark:
    """A share in [0, 1]; right from the threshold on (a rounding error below it still counts)."""
    return Mark(min(1.0, max(0.0, value)), value >= threshold - 1e-9, note)


def no_fault(wanted: Wanted[Options]) -> str:
    del wanted
    return ""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A way of scoring, found by its name in `SCORERS`."""

    name: str
    meaning: str
    """One sentence for people: when an answer is right."""
    options: type[Options]
    mark: Callable[[Wanted[Any], Answer], Mark]
    fault: Callable[[Wanted[Any]], str] = no_fault
    """Why it cannot work with this question; empty when it can."""
    threshold: float = field(default=1.0)
    is_graded: bool = False
    needs_expect: bool = True
    needs_options: bool = False
    """It cannot be named without options."""


def options_of(expect: Expect | None) -> list[Any]:
    """Every accepted answer."""
    if expect is None:
        return []
    return expect if isinstance(expect, list) else [expect]


def texts_fault(wanted: Wanted[Any]) -> str:
    """Why `expect` holds no texts; empty when it does."""
    options = options_of(wanted.expect)
    if not options or any(isinstance(option, dict | list) or str(option) == "" for option in options):
        return "expect must be text, a number or a list of these, and not empty"
    return ""
