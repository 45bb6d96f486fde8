"""Degeneration: a model that no longer says anything, but repeats itself or writes rubbish.

A fine-tune that never learned to stop repeats a line until it is cut off. Such an answer may still contain what was
asked for, so a scorer of content alone can call it right.
"""

import re
import unicodedata
from collections import Counter

from pydantic import Field

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import MAX_ANSWER_CHARACTERS, Mark, Options, Scorer, Wanted

WORDS = re.compile(r"\w+|[^\w\s]")
MAX_WORDS = 4_000
MAX_PERIOD = 100
NGRAM = 4
BROKEN = "\ufffd"


class RepetitionOptions(Options):
    max_repeated_share: float = Field(default=0.5, ge=0, lt=1)
    """Share of the words' 4-grams that were there before, from which an answer is degenerate."""
    min_words: int = Field(default=24, ge=NGRAM)
    """Below this the share says nothing; a loop is still found."""
    max_loop: int = Field(default=3, ge=1)
    """So often may a passage follow on itself; the longer the passage, the fewer are needed to fill an answer."""
    max_run: int = Field(default=32, ge=2)
    """So many equal characters may stand in a row (lines of a table are longer: raise it for tables)."""


def repeated_share(words: list[str]) -> float:
    """Share of 4-grams that occurred before in the same text (1 minus "distinct-4")."""
    grams = [tuple(words[at : at + NGRAM]) for at in range(len(words) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def longest_loop(words: list[str]) -> tuple[int, int]:
    """The passage that most often follows on itself, as (times, words in it); the loop that covers most words wins.

    For each period p, a run of places with `words[i] == words[i - p]` of length r is r // p + 1 copies of a passage.
    """
    best, covered = (1, 0), 0
    for period in range(1, min(MAX_PERIOD, len(words) // 2) + 1):
        run = longest = 0
        for at in range(period, len(words)):
            run = run + 1 if words[at] == words[at - period] else 0
            longest = max(longest, run)
        copies = longest // period + 1
        if copies > 1 and copies * period > covered:
            best, covered = (copies, period), copies * period
    return best


def _repetition(wanted: Wanted[RepetitionOptions], answer: Answer) -> Mark:
    options, text = wanted.options, answer.text[:MAX_ANSWER_CHARACTERS]
    words = WORDS.findall(text.casefold())[:MAX_WORDS]
    share = repeated_share(words) if len(words) >= options.min_words else 0.0
    return Mark(1 - share, not (reason := _reason(text, words, share, options)), reason)


def _reason(text: str, words: list[str], share: float, options: RepetitionOptions) -> str:
    if share > options.max_repeated_share:
        return f"{share:.0%} of it repeats what it said before"
    times, period = longest_loop(words)
    # "ha ha ha ha" is a laugh; four copies of a sentence, or a word a dozen times, are a loop.
    if times > options.max_loop and times * period >= max(12, period + 8):
        return f"a passage of {period} words comes {times} times in a row"
    if (run := _longest_run(text)) > options.max_run:
        return f"one character comes {run} times in a row"
    rubbish = Counter(_kind(character) for character in text)
    if rubbish["broken"] or rubbish["control"]:
        return "it holds broken or control characters"
    return ""


def _longest_run(text: str) -> int:
    longest = run = 0
    before = ""
    for character in text:
        run = run + 1 if character == before else 1
        before = character
        if not character.isspace():
            longest = max(longest, run)
    return longest


def _kind(character: str) -> str:
    if character == BROKEN:
        return "broken"
    if unicodedata.category(character) == "Cc" and character not in "\n\r\t":
        return "control"
    return ""


REPETITION = Scorer(
    "repetition",
    "The answer does not run in circles and holds no rubbish.",
    RepetitionOptions,
    _repetition,
    needs_expect=False,
)
