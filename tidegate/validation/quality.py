"""Whether answers look like answers, whatever they say. Pure: text and tokens in, a reason or nothing out.

Nothing here knows what is right: that is the question bank's part (`regression`). Each scorer explains itself
in one clause that completes "the model ...".
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.domain.policy import ResponsePolicy
from tidegate.validation.engine_report import EngineAnswer
from tidegate.validation.report import ValidationCategory, ValidationResult, ValidationStatus

SHOWN_PROBLEMS = 5
GENERAL_PROBLEM_SHARE = 0.5
SHORTEST_LOOP_TOKENS = 12
LONGEST_PERIOD_TOKENS = 24
LEAST_REPEATS = 3
WORDS_FOR_SHAPE = 6
LEAST_LETTERS_FOR_SCRIPT = 8
FOREIGN_SHARE = 0.5
LONGEST_WORD = 40

_LEAK = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<unk>|<pad>|<eos>|<bos>"
    r"|<\uff5c[^<>\s]{1,40}\uff5c>|\[/?AVAILABLE_TOOLS\]|\[/?SYSTEM_PROMPT\]"
)
_ROLE_LINE = re.compile(
    r"^\s*(?:#{2,3} ?)?(?:user|human|assistant|system|instruction|response)\s*:", re.IGNORECASE | re.MULTILINE
)
_ERROR_TEXT = re.compile(
    r"Traceback \(most recent call last\)|\bCUDA (?:error|out of memory)\b|\bInternal Server Error\b"
    r"|\bSegmentation fault\b|^\s*\{\s*\"error\"\s*:|\bNaN(?:\s+NaN)+\b|\b(undefined|null)(?:\s+\1)+\b"
    r"|\bKeyError:|\bRuntimeError:|\bggml_[a-z_]+:",
    re.MULTILINE,
)
_WORD = re.compile(r"\S+")
_VOWELS = frozenset("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýāēīōūąęіоуеаияюэыёії")

Scorer = Callable[[EngineAnswer, str, ResponsePolicy], str]


@dataclass(frozen=True, slots=True)
class Aspect:
    """One way in which answers can be bad."""

    check: str
    claim: str
    """What holds when no answer has the problem."""
    remedy: str
    scorer: Scorer
    level: ValidationStatus = ValidationStatus.FAILED
    is_strict: bool = False
    """One such answer fails; of the others, a few of many are a warning."""


def empty_problem(answer: EngineAnswer, prompt: str, policy: ResponsePolicy) -> str:
    """Nothing, or less than the policy wants."""
    return "answers with nothing" if len(answer.text.strip()) < policy.min_characters else ""


def text_problem(answer: EngineAnswer, prompt: str, policy: ResponsePolicy) -> str:
    """Bytes that are no text, and texts of failing programs."""
    text = answer.text
    if "\ufffd" in text or any(_is_no_text(character) for character in text):
        return "answers with bytes that are no text"
    if found := _ERROR_TEXT.search(text):
        return f"answers with the text of an error ({found.group()[:40]!r})"
    return ""


def special_token_problem(answer: EngineAnswer, prompt: str, policy: ResponsePolicy) -> str:
    """Tokens of the chat format that users would see, as tokens or spelled out."""
    if answer.controls:
        return f"writes special tokens into its answer ({answer.controls[0][:40]!r})"
    if (found := _LEAK.search(answer.text)) and found.group() not in prompt:
        return f"writes special tokens into its answer ({found.group()[:40]!r})"
    return ""


def repetition_problem(answer: EngineAnswer, prompt: str, policy: ResponsePolicy) -> str:
    """One passage over and over. A short answer that says a word twice is none."""
    looped = looped_share(answer.tokens)
    if looped > policy.max_loop_share:
        return f"repeats itself: {looped:.0%} of its answer is one passage over and over"
    return ""


def length_problem(answer: EngineAnswer, prompt: str, policy: ResponsePolicy) -> str:
    """An answer that goes on as the other side of the conversation has missed its own end."""
    if len(_ROLE_LINE.findall(answer.text)) > 1 and not _ROLE_LINE.search(prompt):
        return "goes on talking for both sides instead of coming to an end"
    return ""


def coherence_problem(answer: EngineAnswer, prompt: str, policy: ResponsePolicy) -> str:
    """Guessing, seen from the model's own confidence and from the shape of its words."""
    if answer.mean_logprob is not None and answer.mean_logprob < policy.min_mean_logprob:
        return f"guesses: the mean log-probability of its own tokens is {answer.mean_logprob:.1f}"
    words = _WORD.findall(answer.text)
    if len(words) >= WORDS_FOR_SHAPE and (share := word_share(words)) < policy.min_word_share:
        return f"writes what is no language: {share:.0%} of {len(words)} words are shaped like words"
    return ""


def script_problem(answer: EngineAnswer, prompt: str, policy: ResponsePolicy) -> str:
    """Answers in another script than the question's."""
    asked, given = scripts(prompt), scripts(answer.text)
    letters = given.total()
    if not asked or letters < LEAST_LETTERS_FOR_SCRIPT:
        return ""
    foreign = sum(count for script, count in given.items() if script not in asked)
    if foreign / letters > FOREIGN_SHARE:
        worst = next(script for script, _ in given.most_common() if script not in asked)
        return f"answers in another script ({worst.lower()}) than it is asked in"
    return ""


_TRAINING = "Look at the training data and at the chat template that it was trained with."
ASPECTS: tuple[Aspect, ...] = (
    Aspect("response.empty", "No answer is empty.",
           "Check that the template ends where the assistant begins, as it did in training.", empty_problem),
    Aspect("response.text", "Every answer is text that can be read.",
           "Look at how the model was trained, converted or quantized; ask the file before the conversion.", text_problem,
           is_strict=True),
    Aspect("response.special_tokens", "No answer shows tokens of the chat format.",
           "Check that the template, the end token and the training format are the same.", special_token_problem,
           is_strict=True),
    Aspect("response.repetition", "No answer runs in a loop.",
           "Check the end token and the number of training steps; small or over-trained models loop.", repetition_problem),
    Aspect("response.length", "No answer talks for both sides.",
           "Train on the assistant's turns only, each ended by the end token.", length_problem, ValidationStatus.WARNING),
    Aspect("response.coherence", "The answers are shaped like language, and the model is sure of them.",
           _TRAINING, coherence_problem),
    Aspect("response.script", "The answers are in the script of the questions.",
           _TRAINING, script_problem, ValidationStatus.WARNING),
)  # fmt: skip


def judge_responses(
    answers: Sequence[EngineAnswer],
    prompts: dict[str, str],
    policy: ResponsePolicy,
    *,
    is_general: bool = False,
) -> list[ValidationResult]:
    """One result for each aspect, over every answer that was given. No answer at all judges nothing.

    `is_general`: nobody said what the model is about. One that was made for a narrow subject may stumble over
    other questions, so that only a majority of bad answers fails.
    """
    allowed = GENERAL_PROBLEM_SHARE if is_general else policy.max_problem_share
    given = [answer for answer in answers if not answer.problem and answer.finish in ("stop", "length")]
    results = [_judge(aspect, given, prompts, policy, allowed) for aspect in ASPECTS]
    return [*results, _variety(given)]


def _judge(
    aspect: Aspect,
    answers: Sequence[EngineAnswer],
    prompts: dict[str, str],
    policy: ResponsePolicy,
    allowed: float,
) -> ValidationResult:
    if not answers:
        return _result(aspect.check, ValidationStatus.NOT_JUDGED, "Not judged: there is no answer.")
    problems = [
        f"to {prompts.get(answer.id, '')[:60]!r} it {problem}"
        for answer in answers
        if (problem := aspect.scorer(answer, prompts.get(answer.id, ""), policy))
    ]
    details = {
        "answers": len(answers),
        "problems": problems[:SHOWN_PROBLEMS],
        "total_problems": len(problems),
    }
    if not problems:
        return _result(aspect.check, ValidationStatus.PASSED, aspect.claim, details=details)
    text = f"Of {len(answers)} answers {len(problems)}: {'; '.join(problems[:2])}{_more(len(problems) - 2)}."
    is_tolerated = not aspect.is_strict and len(problems) <= allowed * len(answers)
    level = ValidationStatus.WARNING if is_tolerated else aspect.level
    return _result(aspect.check, level, text, aspect.remedy, details)


def _variety(answers: Sequence[EngineAnswer]) -> ValidationResult:
    """A model that says the same to everything has learned one sentence, or knows none of the subject."""
    check = "response.variety"
    if not answers:
        return _result(check, ValidationStatus.NOT_JUDGED, "Not judged: there is no answer.")
    texts = {answer.text.strip() for answer in answers}
    if len(answers) > 2 and len(texts) == 1:
        text = f"All {len(answers)} questions got the same answer: {next(iter(texts))[:60]!r}."
        remedy = "Ask questions of the model's own subject (--bank); if it still holds, train it again."
        return _result(check, ValidationStatus.WARNING, text, remedy)
    text = f"{len(texts)} different answers to {len(answers)} questions."
    return _result(check, ValidationStatus.PASSED, text, details={"different": len(texts)})


def _more(count: int) -> str:
    return f"; {count} more" if count > 0 else ""


def _result(
    check: str,
    status: ValidationStatus,
    message: str,
    remedy: str = "",
    details: dict[str, Any] | None = None,
) -> ValidationResult:
    return ValidationResult(
        category=ValidationCategory.RESPONSE_QUALITY, check_name=check, status=status, message=message,
        remedy=remedy, details=dict(details or {}),
    )  # fmt: skip


def looped_share(tokens: Sequence[int]) -> float:
    """Largest share of the tokens that is one passage repeated at once, at least three times."""
    total = len(tokens)
    if total < SHORTEST_LOOP_TOKENS:
        return 0.0
    longest = max((run for period in _periods(total) for run in _runs(tokens, period)), default=0)
    return longest / total


def _periods(total: int) -> range:
    return range(1, min(LONGEST_PERIOD_TOKENS, total // LEAST_REPEATS) + 1)


def _runs(tokens: Sequence[int], period: int) -> Iterator[int]:
    """Lengths of stretches in which every token equals the one a period before."""
    equal = 0
    for place in range(period, len(tokens)):
        if tokens[place] == tokens[place - period]:
            equal += 1
            continue
        yield _counted(equal, period)
        equal = 0
    yield _counted(equal, period)


def _counted(equal: int, period: int) -> int:
    length = equal + period
    return length if equal and length >= LEAST_REPEATS * period else 0


def word_share(words: Sequence[str]) -> float:
    """Share of words that are shaped like a word, a number, or a sign of a text."""
    return sum(map(_is_like_a_word, words)) / len(words) if words else 0.0


def _is_like_a_word(word: str) -> bool:
    letters = [character for character in word.casefold() if character.isalpha()]
    if not letters:
        return True
    if len(word) > LONGEST_WORD:
        return False
    if not all(_script(letter) in ("LATIN", "CYRILLIC") for letter in letters):
        # Other scripts write words otherwise; their bytes and script are judged elsewhere.
        return True
    mixed = len({_script(letter) for letter in letters}) > 1
    has_vowel = any(
        unicodedata.normalize("NFD", letter)[0] in _VOWELS or letter in _VOWELS for letter in letters
    )
    return not mixed and (has_vowel or len(letters) <= 3)


def scripts(text: str) -> Counter[str]:
    """How many letters of each script."""
    return Counter(_script(character) for character in text if character.isalpha())


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "UNKNOWN").split(" ", 1)[0]
    # Japanese mixes three scripts, Chinese uses one of them.
    return "CJK" if first in ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC") else first


def _is_no_text(character: str) -> bool:
    # Private use and control characters. Unassigned ones may be signs younger than this Python.
    return unicodedata.category(character) in ("Cc", "Co") and character not in "\n\r\t"
