"""Choice questions: which of the offered answers was chosen, by what was written or by how likely each letter was."""

import math
import re
import string
from collections.abc import Sequence

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import (
    MAX_ANSWER_CHARACTERS,
    Expect,
    Mark,
    Options,
    Scorer,
    Wanted,
    binary,
    options_of,
)

LETTERS = string.ascii_uppercase
WORD = re.compile(r"\w+")
# Alone, or set off by what lists use; `A dog` is no choice of A.
_LEADING = re.compile(r"\W*\b([A-Za-z])(?=\s*(?:$|\n|[).:,;\]\*]))")
_DECLARED = re.compile(
    r"(?i:\b(?:answer|choice|option)\b(?:\s+is|\s*[:=]))[\s:*(\[\"']*([A-Z])(?![\w'])",
)
LOW_MASS = "letters-hold-little"
BY_TEXT = "no-log-probabilities"
FEW_LETTERS = "letters-missing"
SMALLEST_MASS = 0.5


class ChoiceOptions(Options):
    """Nothing to set: choices and the right one stand in the question."""


def right_letters(expect: Expect | None, choices: Sequence[str]) -> set[str]:
    """Letters of the right choices: `expect` names each by its letter or by its whole text.

    Raises: ValueError when one names none, or when letter and text disagree.
    """
    letters: set[str] = set()
    for option in options_of(expect):
        text = str(option).strip()
        by_text = {LETTERS[n] for n, choice in enumerate(choices) if choice.strip() == text}
        is_letter = len(text) == 1 and text.upper() in LETTERS[: len(choices)]
        by_letter = {text.upper()} if is_letter else set[str]()
        if by_text and by_letter and by_text != by_letter:
            raise ValueError(f"'{text}' is the letter of one choice and the text of another")
        if not by_text | by_letter:
            raise ValueError(f"'{text}' is no letter and no text of the choices")
        letters |= by_text or by_letter
    return letters


def chosen_letter(text: str, choices: Sequence[str]) -> str | None:
    """The letter that an answer settles on, or None where it settles on none or on several.

    A letter at the beginning that stands alone, else what follows "answer is", else the whole text of one choice.
    """
    text = text[:MAX_ANSWER_CHARACTERS].strip()
    allowed = LETTERS[: len(choices)]
    whole = _plain(text)
    by_text = {LETTERS[n] for n, choice in enumerate(choices) if _plain(choice) == whole}
    if len(by_text) == 1:
        return by_text.pop()
    declared = {letter for letter in _DECLARED.findall(text) if letter in allowed}
    leading = _LEADING.match(text)
    first = leading.group(1).upper() if leading else ""
    found = declared | ({first} if first in allowed and first else set[str]())
    if len(found) != 1:
        return None
    return found.pop()


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip(string.punctuation + string.whitespace).split())


def _choice(wanted: Wanted[ChoiceOptions], answer: Answer) -> Mark:
    if wanted.choices:
        chosen = chosen_letter(answer.text, wanted.choices)
        if chosen is None:
            return binary(False, "it settles on no choice")
        return binary(chosen in right_letters(wanted.expect, wanted.choices), f"it chose {chosen}")
    first = WORD.search(answer.text[:MAX_ANSWER_CHARACTERS])
    is_right = first is not None and any(
        first.group().casefold() == str(option).casefold() for option in options_of(wanted.expect)
    )
    return binary(is_right, "its first word is another")


def _fault(wanted: Wanted[ChoiceOptions]) -> str:
    accepted = options_of(wanted.expect)
    if not accepted or any(isinstance(option, dict | list) or str(option) == "" for option in accepted):
        return "expect must be text, a number or a list of these, and not empty"
    if not wanted.choices:
        is_word = all(WORD.fullmatch(str(option)) for option in accepted)
        return "" if is_word else "expect must be one word or letter"
    try:
        right_letters(wanted.expect, wanted.choices)
    except ValueError as error:
        return str(error)
    return ""


def letter_masses(answer: Answer, count: int) -> dict[str, float]:
    """Probability of each letter as the first token, white space and brackets around it set aside.

    ` A`, `A` and `(A` are tokens of the same answer: their probabilities add up.
    """
    masses = dict.fromkeys(LETTERS[:count], 0.0)
    for entry in answer.top_logprobs:
        letter = entry.token.strip().strip("()[]*.:").strip()
        # A lower-case `a` is mostly the article, and no choice.
        if letter in masses and not math.isnan(entry.logprob):
            masses[letter] += math.exp(min(0.0, entry.logprob))
    return masses


def _choice_logprobs(wanted: Wanted[ChoiceOptions], answer: Answer) -> Mark:
    """The right letter's share of the letters' mass; right when it is the likeliest letter of all.

    Where several letters are right, their shares add up. A tie is not right.
    """
    if not answer.top_logprobs:
        mark = _choice(wanted, answer)
        return Mark(mark.value, mark.is_right, mark.note, (BY_TEXT,))
    right = right_letters(wanted.expect, wanted.choices)
    masses = letter_masses(answer, len(wanted.choices))
    total = sum(masses.values())
    if total <= 0:
        return Mark(0.0, False, "no letter is among the likeliest first tokens", (LOW_MASS,))
    best = max(masses.values())
    leaders = {letter for letter, mass in masses.items() if mass == best}
    flags = (LOW_MASS,) if total < SMALLEST_MASS else ()
    flags += (FEW_LETTERS,) if any(mass == 0 for mass in masses.values()) else ()
    share = sum(masses[letter] for letter in right) / total
    leader = "/".join(sorted(leaders))
    note = f"{leader} is likeliest; the letters hold {min(total, 1.0):.0%} of the first token"
    return Mark(min(1.0, share), leaders <= right, note, flags)


def _logprobs_fault(wanted: Wanted[ChoiceOptions]) -> str:
    return _fault(wanted) if wanted.choices else "it needs choices"


CHOICE = Scorer(
    "choice",
    "The answer settles on the right choice, by its letter or its text.",
    ChoiceOptions,
    _choice,
    _fault,
)
CHOICE_LOGPROBS = Scorer(
    "choice_logprobs",
    "The right letter is the likeliest first token; its share among the letters is the value.",
    ChoiceOptions,
    _choice_logprobs,
    _logprobs_fault,
    is_graded=True,
)
