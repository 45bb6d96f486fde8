"""The judge: another model's opinion of an answer. Declared here, asked elsewhere; never the only ground of a gate."""

from typing import Any

from pydantic import Field

from tidegate.quality.results import Answer
from tidegate.quality.scorers.kinds import Mark, Options, Scorer, Wanted, texts_fault

JUDGE = "judge"
NOT_JUDGED = "judge-not-asked"


class JudgeOptions(Options):
    model: str = ""
    """Which judge is meant; empty: the one that the run names."""
    criteria: tuple[str, ...] = Field(default=(), max_length=20)
    """Finer points beside the rubric in `expect`."""


def _not_asked(wanted: Wanted[Any], answer: Answer) -> Mark:
    del wanted, answer
    return Mark(None, False, "no judge was asked", (NOT_JUDGED,))


JUDGED = Scorer(
    JUDGE,
    "Another model finds that the answer meets the rubric in `expect`.",
    JudgeOptions,
    _not_asked,
    texts_fault,
    threshold=0.5,
    is_graded=True,
)
