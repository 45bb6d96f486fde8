"""Puts the scorers of one question together: `score(question, answer)`. Pure.

Without a threshold an answer is right when every counted scorer says so; with one, when the weighted mean of their
values reaches it. The value is that mean in both cases. An answer without text and without a tool call is never
right, whatever a scorer would say of it ("does not contain X" holds for silence, too).
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from tidegate.quality.question import GROUP, Question, ScorerSpec, wanted_by
from tidegate.quality.results import Answer
from tidegate.quality.scorers import SCORERS, Mark
from tidegate.quality.scorers.filters import filtered
from tidegate.quality.scorers.judged import JUDGE, NOT_JUDGED
from tidegate.quality.scorers.kinds import graded

SILENT = "silent"


class ScoredPart(BaseModel):
    """What one scorer said."""

    model_config = ConfigDict(frozen=True)

    value: float | None = Field(description="None: only a judge could tell, and none was asked.")
    is_right: bool
    weight: float = 1.0
    note: str = ""
    flags: tuple[str, ...] = ()


class Scored(BaseModel):
    """An answer's score: `value` in [0, 1], `is_right`, and what each scorer said."""

    model_config = ConfigDict(frozen=True)

    value: float = Field(ge=0, le=1)
    is_right: bool
    parts: dict[str, ScoredPart] = Field(default_factory=dict)
    flags: tuple[str, ...] = ()
    is_pending: bool = Field(
        default=False,
        description="A judge that counts was not asked, and without it the answer is undecided.",
    )


def score(question: Question, answer: Answer, judged: Mapping[str, float] | None = None) -> Scored:
    """Score one answer. `judged` holds what judges said, by the label of their scorer.

    Raises: ValueError for an answer that is an error: it is missing, neither right nor wrong.
    """
    if answer.error:
        raise ValueError(f"there is no answer to score: {answer.error}")
    answer = answer.model_copy(update={"text": scored_text(question, answer.text)})
    parts = _parts(question, question.specs, answer, judged or {})
    mark = _together(list(parts.values()), question.threshold)
    flags = tuple(sorted({flag for part in parts.values() for flag in part.flags}))
    if (
        not answer.text.strip()
        and not answer.tool_calls
        and not (answer.top_logprobs and question.wants_logprobs)
    ):
        return Scored(value=0.0, is_right=False, parts=parts, flags=(*flags, SILENT))
    return Scored(
        value=mark.value or 0.0,
        is_right=mark.is_right,
        parts=parts,
        flags=flags,
        is_pending=NOT_JUDGED in mark.flags,
    )


def scored_text(question: Question, text: str) -> str:
    """What of an answer is scored: up to the first stop, for engines that do not stop there, through the filters."""
    ends = [place for stop in question.stop if (place := text.find(stop)) >= 0]
    text = text[: min(ends)] if ends else text
    return filtered(text, [(step.name, step.options) for step in question.filters])


def _parts(
    question: Question, specs: tuple[ScorerSpec, ...], answer: Answer, judged: Mapping[str, float]
) -> dict[str, ScoredPart]:
    parts: dict[str, ScoredPart] = {}
    for spec in specs:
        label, number = spec.label, 2
        while label in parts:
            label, number = f"{spec.label} {number}", number + 1
        mark = _mark(question, spec, label, answer, judged)
        parts[label] = ScoredPart(
            value=mark.value, is_right=mark.is_right, weight=spec.weight, note=mark.note, flags=mark.flags
        )
    return parts


def _mark(
    question: Question, spec: ScorerSpec, label: str, answer: Answer, judged: Mapping[str, float]
) -> Mark:
    if spec.name == GROUP:
        inner = _parts(question, spec.scorers, answer, judged)
        mark = _together(list(inner.values()), spec.threshold)
        wrong = [name for name, part in inner.items() if not part.is_right and part.weight > 0]
        mark = Mark(mark.value, mark.is_right, f"wrong: {', '.join(wrong)}" if wrong else "", mark.flags)
    elif spec.name == JUDGE and label in judged:
        mark = graded(judged[label], wanted_by(question, spec).threshold)
    else:
        mark = SCORERS[spec.name].mark(wanted_by(question, spec), answer)
    return _negated(mark) if spec.negate else mark


def _negated(mark: Mark) -> Mark:
    if mark.value is None:
        return mark
    return Mark(1.0 - mark.value, not mark.is_right, "it must not be so" if mark.is_right else "", mark.flags)


def _together(parts: list[ScoredPart], threshold: float | None) -> Mark:
    """All right, or the weighted mean from the threshold on. An undecided part leaves the whole undecided, unless
    the others settle it alone."""
    counted = [part for part in parts if part.weight > 0]
    total = sum(part.weight for part in counted)
    if not counted:
        return Mark(None, False)
    known = sum(part.weight * part.value for part in counted if part.value is not None)
    open_weight = sum(part.weight for part in counted if part.value is None)
    decided = total - open_weight
    value = known / decided if decided else None
    if threshold is None:
        is_lost = any(part.value is not None and not part.is_right for part in counted)
        is_right = all(part.is_right for part in counted)
    else:
        is_lost = (known + open_weight) / total < threshold - 1e-9
        is_right = known / total >= threshold - 1e-9
    is_open = open_weight > 0 and not is_lost and not is_right
    return Mark(value, is_right, "", (NOT_JUDGED,) if is_open else ())
