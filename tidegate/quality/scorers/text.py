"""Scorers of plain text: the whole answer, a part of it, its beginning or its end."""

import re
import string
import unicodedata
from typing import Any

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
from tidegate.quality.scorers.patterns import pattern_fault, removed

PUNCTUATION = str.maketrans("", "", string.punctuation)
DIGITS = str.maketrans("", "", string.digits)


class TextOptions(Options):
    """What is left out of both sides before they are compared; the same names as lm-eval's `exact_match`."""

    ignore_case: bool = False
    ignore_punctuation: bool = False
    """ASCII punctuation."""
    ignore_numbers: bool = False
    ignore_whitespace: bool = False
    """Runs of white space count as one space."""
    ignore_accents: bool = False
    ignore: tuple[str, ...] = ()
    """Regular expressions whose matches are taken out first."""


class ContainsOptions(TextOptions):
    ignore_case: bool = True
    all: bool = False
    """Every expected text must be there, not only one of them."""
    whole_words: bool = False
    """`Paris` is then not found in `Parisian`."""


def normalised(text: str, options: TextOptions) -> str:
    """The text with what the options ignore taken out, and no white space around it.

    Canonical composition always: the same letter may be written as one code point or as two.
    """
    for pattern in options.ignore:
        text = removed(pattern, text)
    text = unicodedata.normalize("NFC", text)
    if options.ignore_accents:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    if options.ignore_case:
        text = text.casefold()
    if options.ignore_punctuation:
        text = text.translate(PUNCTUATION)
    if options.ignore_numbers:
        text = text.translate(DIGITS)
    if options.ignore_whitespace:
        text = " ".join(text.split())
    return text.strip()


def _sides(wanted: Wanted[Any], answer: Answer) -> tuple[list[str], str]:
    options: TextOptions = wanted.options
    given = normalised(answer.text[:MAX_ANSWER_CHARACTERS], options)
    return [normalised(str(option), options) for option in options_of(wanted.expect)], given


def _exact(wanted: Wanted[TextOptions], answer: Answer) -> Mark:
    accepted, given = _sides(wanted, answer)
    return binary(given in accepted, "the answer is another text")


def _contains(wanted: Wanted[ContainsOptions], answer: Answer) -> Mark:
    accepted, given = _sides(wanted, answer)
    found = [_has(given, text, whole=wanted.options.whole_words) for text in accepted]
    if wanted.options.all:
        absent = [text for text, is_there in zip(accepted, found, strict=True) if not is_there]
        return binary(not absent, f"absent: {', '.join(absent[:5])}")
    return binary(any(found), "none of the expected texts is there")


def _has(given: str, text: str, *, whole: bool) -> bool:
    if not whole:
        return text in given
    return re.search(rf"(?<!\w){re.escape(text)}(?!\w)", given) is not None


def _starts_with(wanted: Wanted[TextOptions], answer: Answer) -> Mark:
    accepted, given = _sides(wanted, answer)
    return binary(any(given.startswith(text) for text in accepted), "it begins otherwise")


def _ends_with(wanted: Wanted[TextOptions], answer: Answer) -> Mark:
    accepted, given = _sides(wanted, answer)
    return binary(any(given.endswith(text) for text in accepted), "it ends otherwise")


def _fault(wanted: Wanted[TextOptions]) -> str:
    if fault := texts_fault(wanted):
        return fault
    for pattern in wanted.options.ignore:
        if fault := pattern_fault(pattern):
            return fault
    # Else every answer would contain it.
    if any(not normalised(str(option), wanted.options) for option in options_of(wanted.expect)):
        return "nothing of expect is left after what the options ignore"
    return ""


EXACT = Scorer("exact", "The whole answer, apart from white space around it.", TextOptions, _exact, _fault)
CONTAINS = Scorer(
    "contains", "The expected text is somewhere in the answer.", ContainsOptions, _contains, _fault
)
STARTS_WITH = Scorer(
    "starts_with", "The answer begins with the expected text.", TextOptions, _starts_with, _fault
)
ENDS_WITH = Scorer("ends_with", "The answer ends with the expected text.", TextOptions, _ends_with, _fault)
