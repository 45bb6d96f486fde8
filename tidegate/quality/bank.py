"""Question banks: one JSON object per line. Every rejected line is named with its file and number.

    {"id": "capital-france", "topic": "capitals", "prompt": "...", "expect": "Paris", "scorer": "contains"}

`system` is optional; `expect` is text, a number, an object (for `json`) or a list of accepted answers.
"""

import hashlib
from collections import Counter
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality.question import Question


class Bank(BaseModel):
    """The questions of one file; `digest` is the SHA-256 of its bytes."""

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str
    questions: tuple[Question, ...]

    @property
    def topics(self) -> dict[str, int]:
        """Questions per topic, in order of appearance."""
        return dict(Counter(question.topic for question in self.questions))


STANDARD_BANK = Path(__file__).parent / "banks" / "standard.jsonl"
"""Thirty questions of general knowledge, for comparing two models where nobody named a bank of their subject."""


def read_bank(path: Path) -> Bank:
    """Read a bank of JSON lines; blank lines are skipped.

    Raises:
        NotFound: no such file.
        InvalidInput: a line that is no sound question, a repeated id, or no question at all.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no question bank {path}.", remedy="Name a bank of the bank folder."
        ) from error
    questions: list[Question] = []
    lines_of_ids: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        question = _question(line, path, number)
        if question.id in lines_of_ids:
            first = lines_of_ids[question.id]
            raise _bad(path, number, f"id '{question.id}' was used in line {first} already")
        lines_of_ids[question.id] = number
        questions.append(question)
    if not questions:
        raise _bad(path, 1, "the bank holds no question")
    return Bank(name=path.stem, digest=hashlib.sha256(content).hexdigest(), questions=tuple(questions))


def _question(line: bytes, path: Path, number: int) -> Question:
    try:
        return Question.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][:1])
        reason = first["msg"].removeprefix("Value error, ")
        raise _bad(path, number, f"{field + ': ' if field else ''}{reason}") from error


def _bad(path: Path, number: int, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{path}, line {number}: {reason}.", remedy="Correct the line.", file=str(path), line=number
    )
