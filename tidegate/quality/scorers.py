"""Whether an answer is right. Pure; a scorer never guesses in favour of the model."""

import json
import math
import re
from collections.abc import Callable
from typing import Any, cast

Expect = str | int | float | bool | list[Any] | dict[str, Any]
"""What a question expects; a list means "any of these" (for `json` it is the expected array itself)."""

NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORD = re.compile(r"\w+")


def is_right(scorer: str, expect: Expect, answer: str) -> bool:
    """Score one answer with a scorer of `SCORERS`. Raises: KeyError for an unknown scorer."""
    return SCORERS[scorer](expect, answer)


def expect_fault(scorer: str, expect: Expect) -> str:
    """Why this scorer cannot work with this `expect`, empty when it can."""
    options = _options(expect)
    if scorer == "json":
        return "" if not isinstance(expect, str) or _parse_json(expect)[0] else "expect is not JSON text"
    if not options or any(isinstance(option, dict | list) or str(option) == "" for option in options):
        return "expect must be text, a number or a list of these, and not empty"
    if scorer == "numeric" and any(_number(str(option)) is None for option in options):
        return "expect is not a number"
    if scorer == "choice" and any(WORD.fullmatch(str(option)) is None for option in options):
        return "expect must be one word or letter"
    if scorer == "regex":
        try:
            [re.compile(str(option)) for option in options]
        except re.error as error:
            return f"expect is not a regular expression: {error}"
    return ""


def exact(expect: Expect, answer: str) -> bool:
    """The whole answer, apart from white space around it."""
    return any(answer.strip() == str(option).strip() for option in _options(expect))


def contains(expect: Expect, answer: str) -> bool:
    """The expected text somewhere in the answer, upper or lower case."""
    return any(str(option).casefold() in answer.casefold() for option in _options(expect))


def regex(expect: Expect, answer: str) -> bool:
    """The pattern found anywhere in the answer; anchor it to ask for more."""
    return any(re.search(str(option), answer) is not None for option in _options(expect))


def numeric(expect: Expect, answer: str) -> bool:
    """The last number of the answer equals the expected one (relative tolerance 1e-9)."""
    found = _number(answer)
    wanted = [_number(str(option)) for option in _options(expect)]
    return found is not None and any(w is not None and math.isclose(found, w, rel_tol=1e-9) for w in wanted)


def choice(expect: Expect, answer: str) -> bool:
    """The first word or letter of the answer is the expected one, upper or lower case."""
    first = WORD.search(answer)
    return first is not None and any(
        first.group().casefold() == str(option).casefold() for option in _options(expect)
    )


def json_equal(expect: Expect, answer: str) -> bool:
    """The whole answer is JSON (no fence, no prose, no single quotes) and equal to the expected value."""
    is_json, value = _parse_json(answer)
    wanted = _parse_json(expect)[1] if isinstance(expect, str) else expect
    # Comparing canonical text keeps true and 1 apart, which Python's == does not.
    return is_json and json.dumps(value, sort_keys=True) == json.dumps(wanted, sort_keys=True)


SCORERS: dict[str, Callable[[Expect, str], bool]] = {
    "exact": exact,
    "contains": contains,
    "regex": regex,
    "numeric": numeric,
    "choice": choice,
    "json": json_equal,
}


def _options(expect: Expect) -> list[Any]:
    return expect if isinstance(expect, list) else [expect]


def _number(text: str) -> float | None:
    found = cast("list[str]", NUMBER.findall(text))
    return float(found[-1].replace(",", "")) if found else None


def _parse_json(text: str) -> tuple[bool, Any]:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return True, json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False, None
