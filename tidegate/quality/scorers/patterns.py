"""Regular expressions of banks: written by others, run on text that a model made up, so bounded in time.

Some patterns take exponential time on some texts (`(a|aa)+$`). Which ones cannot be read off a pattern without
refusing many sound ones; so each search runs under a limit of processor time, and one that runs out is no match,
with a flag. The package `regex` has such a limit and reads what Python's own `re` reads.
"""

from importlib import import_module
from typing import Any, Literal, cast

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import (
    MAX_ANSWER_CHARACTERS,
    Mark,
    Options,
    Scorer,
    Wanted,
    binary,
    options_of,
    texts_fault,
)

SEARCH_LIMIT_S = 2.0
"""Ordinary patterns take microseconds; a machine under load does not reach this."""
MAX_PATTERN_CHARACTERS = 2_000
OUT_OF_TIME = "regex-out-of-time"


class PatternOptions(Options):
    ignore_case: bool = False
    mode: Literal["search", "full"] = "search"
    """`full`: the pattern must match the whole answer, white space around it apart."""
    all: bool = False
    """Every pattern must be found, not only one of them."""


def find(pattern: str, text: str, *, ignore_case: bool = False, whole: bool = False) -> Any:
    """The first match or None. Raises: TimeoutError."""
    compiled = compiled_pattern(pattern, ignore_case=ignore_case)
    search = compiled.fullmatch if whole else compiled.search
    return search(text[:MAX_ANSWER_CHARACTERS], timeout=SEARCH_LIMIT_S)


def find_all(pattern: str, text: str, *, ignore_case: bool = False) -> list[Any]:
    """Every match, as `re.findall` gives it. Raises: TimeoutError."""
    compiled = compiled_pattern(pattern, ignore_case=ignore_case)
    found = compiled.findall(text[:MAX_ANSWER_CHARACTERS], timeout=SEARCH_LIMIT_S)
    return cast("list[Any]", found)


def removed(pattern: str, text: str) -> str:
    """The text without what the pattern matches; unchanged when the search ran out of time."""
    try:
        return str(compiled_pattern(pattern).sub("", text[:MAX_ANSWER_CHARACTERS], timeout=SEARCH_LIMIT_S))
    except TimeoutError:
        return text


def compiled_pattern(pattern: str, *, ignore_case: bool = False) -> Any:
    """Compiled by `regex`, which keeps its own cache. Raises: `regex.error`, a ValueError-like of its own."""
    regex: Any = import_module("regex")
    return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)


def pattern_fault(pattern: str) -> str:
    """Why this is no regular expression that can be run; empty when it is one."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return f"the regular expression is longer than {MAX_PATTERN_CHARACTERS} characters"
    regex: Any = import_module("regex")
    try:
        compiled_pattern(pattern)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        return f"expect is not a regular expression: {error}"
    return ""


def _regex(wanted: Wanted[PatternOptions], answer: Answer) -> Mark:
    options = wanted.options
    text = answer.text.strip() if options.mode == "full" else answer.text
    found: list[bool] = []
    for pattern in options_of(wanted.expect):
        try:
            match = find(str(pattern), text, ignore_case=options.ignore_case, whole=options.mode == "full")
        except TimeoutError:
            return Mark(0.0, False, f"searching for {pattern!r} took too long", (OUT_OF_TIME,))
        found.append(match is not None)
    return binary(all(found) if options.all else any(found), "the pattern is not found")


def _fault(wanted: Wanted[PatternOptions]) -> str:
    if fault := texts_fault(wanted):
        return fault
    return next(
        (fault for pattern in options_of(wanted.expect) if (fault := pattern_fault(str(pattern)))), ""
    )


REGEX = Scorer(
    "regex",
    "The pattern is found anywhere in the answer; anchor it to ask for more.",
    PatternOptions,
    _regex,
    _fault,
)
