"""Whether an answer is right. Pure; a scorer never guesses in favour of the model.

`SCORERS` holds every scorer by its name; `tidegate.quality.scoring.score` puts the scorers of one question together.
"""

from typing import Any

from pydantic import ValidationError

from tidegate.quality.results import Answer
from tidegate.quality.scorers.choices import CHOICE, CHOICE_LOGPROBS
from tidegate.quality.scorers.contracts import FINISH, LANGUAGE, LENGTH, SCRIPT
from tidegate.quality.scorers.judged import JUDGED
from tidegate.quality.scorers.kinds import Expect, Mark, Options, Scorer, Wanted
from tidegate.quality.scorers.numbers import NUMERIC
from tidegate.quality.scorers.patterns import REGEX
from tidegate.quality.scorers.refusal import REFUSAL
from tidegate.quality.scorers.repetition import REPETITION
from tidegate.quality.scorers.similarity import LEVENSHTEIN, SIMILARITY
from tidegate.quality.scorers.structured import JSON, JSON_SCHEMA
from tidegate.quality.scorers.text import CONTAINS, ENDS_WITH, EXACT, STARTS_WITH
from tidegate.quality.scorers.tools import TOOL_CALL

__all__ = [
    "SCORERS",
    "Expect",
    "Mark",
    "Options",
    "Scorer",
    "Wanted",
    "expect_fault",
    "is_right",
    "options_fault",
]

SCORERS: dict[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        EXACT,
        CONTAINS,
        STARTS_WITH,
        ENDS_WITH,
        REGEX,
        NUMERIC,
        CHOICE,
        CHOICE_LOGPROBS,
        JSON,
        JSON_SCHEMA,
        TOOL_CALL,
        SIMILARITY,
        LEVENSHTEIN,
        REFUSAL,
        LENGTH,
        FINISH,
        SCRIPT,
        LANGUAGE,
        REPETITION,
        JUDGED,
    )
}


def is_right(scorer: str, expect: Expect | None, answer: str) -> bool:
    """Score one text with a scorer of `SCORERS` as it is by default. Raises: KeyError for an unknown scorer."""
    found = SCORERS[scorer]
    if not answer.strip():
        return False
    wanted = Wanted(expect, found.options(), threshold=found.threshold)
    return found.mark(wanted, Answer(text=answer)).is_right


def expect_fault(scorer: str, expect: Expect) -> str:
    """Why this scorer cannot work with this `expect`, empty when it can."""
    found = SCORERS[scorer]
    return found.fault(Wanted(expect, found.options(), threshold=found.threshold))


def options_fault(scorer: str, options: dict[str, Any]) -> str:
    """What is wrong with these options of a scorer, empty when nothing is."""
    try:
        SCORERS[scorer].options.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = ", ".join(SCORERS[scorer].options.model_fields) or "none"
        if first["type"] == "extra_forbidden":
            return f"option '{name}' is unknown; there are: {known}"
        return f"option '{name}': {first['msg']}"
    return ""
