"""What an answer must keep whatever it says: its length, how it ended, its script and its language."""

import re
import unicodedata
from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from tidegate.quality.results import Answer
from tidegate.quality.scorers.function_words import FUNCTION_WORDS
from tidegate.quality.scorers.kinds import MAX_ANSWER_CHARACTERS, Mark, Options, Scorer, Wanted, binary

UNKNOWN_FINISH, UNKNOWN_TOKENS, TOO_SHORT = "finish-not-told", "tokens-not-told", "too-short-for-language"
FEWEST_FUNCTION_WORDS = 2
SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)|[。！？]")


class LengthOptions(Options):
    unit: Literal["characters", "words", "sentences", "lines", "tokens"] = "characters"
    """Words are split at white space; lines are those with text; tokens are counted by the server."""
    min: int | None = Field(default=None, ge=0)
    max: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _is_range(self) -> "LengthOptions":
        if self.min is None and self.max is None:
            raise ValueError("min or max must be given")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is larger than max")
        return self


def _length(wanted: Wanted[LengthOptions], answer: Answer) -> Mark:
    options = wanted.options
    size = _size(answer, options.unit)
    if size is None:
        return Mark(0.0, False, "the server did not say how many tokens it made", (UNKNOWN_TOKENS,))
    is_long_enough = options.min is None or size >= options.min
    is_short_enough = options.max is None or size <= options.max
    return binary(is_long_enough and is_short_enough, f"it has {size} {options.unit}")


def _size(answer: Answer, unit: str) -> int | None:
    text = answer.text.strip()
    if unit == "tokens":
        return answer.tokens
    if unit == "words":
        return len(text.split())
    if unit == "lines":
        return sum(bool(line.strip()) for line in text.splitlines())
    if unit == "sentences":
        ends = len(SENTENCE_END.findall(text))
        # A last sentence without its mark is a sentence, too.
        return ends + bool(text and not SENTENCE_END.search(text[-1:]))
    return len(text)


class FinishOptions(Options):
    allowed: tuple[str, ...] = ("stop", "tool_calls")
    """Reasons as the server gives them; `length` means that the answer was cut off."""


def _finish(wanted: Wanted[FinishOptions], answer: Answer) -> Mark:
    if answer.finish is None:
        return Mark(0.0, False, "nobody said how the answer ended", (UNKNOWN_FINISH,))
    return binary(answer.finish in wanted.options.allowed, f"it ended by '{answer.finish}'")


class ScriptOptions(Options):
    script: str
    """Of Unicode: latin, cyrillic, greek, arabic, hebrew, devanagari, han, hiragana, katakana, hangul, thai, ...
    Several are joined by `+`: `han+hiragana+katakana`."""
    min_share: float = Field(default=0.9, gt=0, le=1)
    """Share of the letters; digits, marks and signs are of no script."""


def script_shares(text: str) -> dict[str, float]:
    """Share of each script among the letters of a text, by the first word of each letter's Unicode name."""
    found: Counter[str] = Counter()
    for character in text[:MAX_ANSWER_CHARACTERS]:
        if character.isalpha():
            found[_script(character)] += 1
    total = sum(found.values())
    return {name: count / total for name, count in found.items()}


def _script(character: str) -> str:
    name = unicodedata.name(character, "UNKNOWN")
    if name.startswith("CJK"):
        return "han"
    return name.removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ").split(" ", 1)[0].lower()


def _in_script(wanted: Wanted[ScriptOptions], answer: Answer) -> Mark:
    shares = script_shares(answer.text)
    wanted_scripts = wanted.options.script.lower().split("+")
    share = sum(shares.get(name.strip(), 0.0) for name in wanted_scripts)
    largest = max(shares, key=lambda name: shares[name], default="no letters")
    return binary(
        share >= wanted.options.min_share, f"{share:.0%} of its letters are of it; most are {largest}"
    )


class LanguageOptions(Options):
    language: str
    """Two-letter code; `FUNCTION_WORDS` holds those that are known."""


def language_hits(text: str) -> dict[str, int]:
    """How many words of a text are function words of each language."""
    words = Counter(re.findall(r"[^\W\d_]+", text[:MAX_ANSWER_CHARACTERS].casefold()))
    return {
        language: sum(count for word, count in words.items() if word in known)
        for language, known in FUNCTION_WORDS.items()
    }


def _in_language(wanted: Wanted[LanguageOptions], answer: Answer) -> Mark:
    hits = language_hits(answer.text)
    ours = hits[wanted.options.language]
    if max(hits.values()) < FEWEST_FUNCTION_WORDS:
        return Mark(0.0, False, "it is too short to tell its language", (TOO_SHORT,))
    others = {name: count for name, count in hits.items() if name != wanted.options.language}
    nearest = max(others, key=lambda name: others[name])
    # A tie is no proof of the wanted language.
    return binary(ours > others[nearest], f"it reads like '{nearest}'")


def _language_fault(wanted: Wanted[LanguageOptions]) -> str:
    if wanted.options.language in FUNCTION_WORDS:
        return ""
    known = ", ".join(sorted(FUNCTION_WORDS))
    return f"language '{wanted.options.language}' is unknown; there are {known}. For others use the scorer 'script'"


LENGTH = Scorer(
    "length",
    "The answer is neither too short nor too long.",
    LengthOptions,
    _length,
    needs_expect=False,
    needs_options=True,
)
FINISH = Scorer(
    "finish",
    "The answer came to its own end, and was not cut off.",
    FinishOptions,
    _finish,
    needs_expect=False,
)
SCRIPT = Scorer(
    "script",
    "The letters of the answer are of the wanted script.",
    ScriptOptions,
    _in_script,
    needs_expect=False,
    needs_options=True,
)
LANGUAGE = Scorer(
    "language",
    "The answer holds more function words of the wanted language than of any other known one.",
    LanguageOptions,
    _in_language,
    _language_fault,
    needs_expect=False,
    needs_options=True,
)
