"""The noise floor: how often a model disagrees with itself, which is what a candidate's disagreement stands beside.

Greedy answers of llama.cpp are not always the same: other batch shapes sum floating-point numbers in another order, so
a text can take another way where two tokens are nearly as likely. A baseline that is asked twice shows how much of
that there is here and now. Pure.
"""

from dataclasses import dataclass
from typing import Any

from tidegate.quality.pairs import REPEATED_ALL, Pairs
from tidegate.quality.results import BankResult, QuestionResult
from tidegate.statistics import wilson_interval

MOST_NAMED = 20


@dataclass(frozen=True)
class Agreement:
    """How two sets of answers to the same questions differ."""

    compared: int
    """Questions that have an answer in both."""
    other_text: int
    """Answers whose text differs at all."""
    other_score: int
    """Answers whose score differs."""
    mean_difference: float
    """Mean distance of the scores, whichever is higher."""
    named: tuple[str, ...]
    """Ids of those whose score differs, the first ones."""

    @property
    def score_share(self) -> float:
        return self.other_score / self.compared if self.compared else 0.0

    @property
    def text_share(self) -> float:
        return self.other_text / self.compared if self.compared else 0.0

    def as_data(self) -> dict[str, Any]:
        low, high = wilson_interval(self.other_score, self.compared)
        return {
            "compared": self.compared,
            "other_text": self.other_text,
            "other_score": self.other_score,
            "score_share": round(self.score_share, 4),
            "score_share_95": [round(low, 4), round(high, 4)],
            "mean_difference": round(self.mean_difference, 4),
            "named": list(self.named),
        }


def self_agreement(result: BankResult) -> Agreement | None:
    """The first answer of each question against its second; None when nothing was asked twice.

    Only of a run that asked every question again: questions that were chosen because their answers differ would show
    more noise than there is.
    """
    if result.settings.get("repeated") != REPEATED_ALL:
        return None
    twice = [entry for entry in result.results if _was_answered_twice(entry)]
    if not twice:
        return None
    values = [(entry.repeats[0].value or 0.0, entry.repeats[1].value or 0.0) for entry in twice]
    texts = [entry.repeats[0].answer != entry.repeats[1].answer for entry in twice]
    return _agreement([entry.id for entry in twice], values, texts)


def disagreement(candidate: BankResult, baseline: BankResult) -> Agreement:
    """The candidate's first answers against the baseline's: as many answers of each as the noise floor compares."""
    pairs = Pairs.of(candidate, baseline, "first").complete
    return _agreement(
        [pair.id for pair in pairs],
        [(pair.ours_value or 0.0, pair.theirs_value or 0.0) for pair in pairs],
        [pair.ours.answer != pair.theirs.answer for pair in pairs],
    )


def flaky(result: BankResult) -> list[str]:
    """Questions that one model scored differently when it was asked again."""
    return [entry.id for entry in result.results if entry.is_flaky]


def told(found: Agreement, floor: Agreement | None) -> str:
    """Both shares in one sentence."""
    text = f"{found.other_score} of {found.compared} scores differ ({found.score_share:.1%})"
    if floor is None:
        return f"{text}; the baseline was not asked twice, so how much of it is noise is not known"
    noise = f"{floor.other_score} of {floor.compared} ({floor.score_share:.1%})"
    return f"{text}; the baseline differs from itself in {noise}"


def _was_answered_twice(entry: QuestionResult) -> bool:
    return len(entry.repeats) > 1 and all(one.value is not None for one in entry.repeats[:2])


def _agreement(names: list[str], values: list[tuple[float, float]], texts: list[bool]) -> Agreement:
    differing = [name for name, (one, other) in zip(names, values, strict=True) if one != other]
    distance = sum(abs(one - other) for one, other in values) / len(values) if values else 0.0
    return Agreement(len(names), sum(texts), len(differing), distance, tuple(differing[:MOST_NAMED]))
