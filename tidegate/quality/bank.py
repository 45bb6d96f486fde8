"""Question banks: our own JSON lines, and the files of other tools as they are (`tidegate.quality.formats`).

    {"id": "capital-france", "topic": "capitals", "prompt": "...", "expect": "Paris", "scorer": "contains"}

`system` is optional; `expect` is text, a number, an object (for `json`) or a list of accepted answers. What else a
question may hold is told by `Question`. Every rejected line is named with its file and number, all of them at once.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality.formats import NATIVE, SUFFIXES, BankOptions, Place, read_questions
from tidegate.quality.question import GROUP, Question, ScorerSpec, flat
from tidegate.quality.scorers.judged import JUDGE


class Bank(BaseModel):
    """The questions of one file.

    `digest` is the SHA-256 of the file's bytes for our own format; for others it is that of the questions that were made
    of it, because they may come from several files and depend on how the file was read.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    digest: str
    questions: tuple[Question, ...]
    format: str = NATIVE
    notes: tuple[str, ...] = Field(default=(), description="What a reader of results should know.")
    places: dict[str, Place] = Field(default_factory=dict, description="File and line of each question.")

    @property
    def topics(self) -> dict[str, int]:
        """Questions per topic, in order of appearance."""
        return dict(Counter(question.topic for question in self.questions))

    @property
    def tags(self) -> dict[str, int]:
        """Questions per tag, the most frequent first."""
        return dict(Counter(tag for question in self.questions for tag in question.tags).most_common())

    @property
    def scorers(self) -> dict[str, int]:
        """How many questions use each scorer, the most frequent first."""
        used = Counter(name for question in self.questions for name in {s.name for s in flat(question.specs)})
        return dict(used.most_common())

    @property
    def clusters(self) -> int:
        """How many groups of questions that share a template or a document; one that shares nothing is its own."""
        named = {question.cluster for question in self.questions if question.cluster}
        return len(named) + sum(question.cluster is None for question in self.questions)

    def without_judges(self) -> "Bank":
        """The bank without what only a judge can tell: its scorers, and the questions that have no other.

        Raises: InvalidInput when nothing is left.
        """
        if not any(question.counted_judges for question in self.questions):
            return self
        kept = tuple(_without_judge(question) for question in self.questions if not question.is_judged_alone)
        if not kept:
            raise InvalidInput(
                f"Every question of {self.name} is decided by a judge alone.",
                remedy="Name a judge for this run, or add a scorer that needs none.",
            )
        left_out = len(self.questions) - len(kept)
        note = f"no judge is asked: {left_out} questions that only a judge could tell are left out"
        return self.model_copy(
            update={"questions": kept, "digest": _digest(kept), "notes": (*self.notes, note)}
        )


STANDARD_BANK = Path(__file__).parent / "banks" / "standard.jsonl"
"""Thirty questions of general knowledge, for comparing two models where nobody named a bank of their subject."""
GENERAL_BANK = Path(__file__).parent / "banks" / "general.jsonl"
"""Some hundred questions with tags over many abilities; clusters mark what shares a template."""


def read_bank(path: Path, options: BankOptions | None = None) -> Bank:
    """Read a bank of any known format; it is told by the content unless the options name it.

    Raises:
        NotFound: no such file.
        InvalidInput: rows that are no sound questions, a repeated id, or no question at all.
    """
    name, reading = read_questions(path, options or BankOptions())
    if not reading.questions:
        raise InvalidInput(
            f"{path}, line 1: the bank holds no question.",
            remedy="Correct the line.",
            file=str(path),
            line=1,
        )
    questions = tuple(reading.questions)
    notes = tuple(text if count == 1 else f"{text} ({count} times)" for text, count in reading.notes.items())
    return Bank(
        name=path.stem,
        digest=hashlib.sha256(path.read_bytes()).hexdigest() if name == NATIVE else _digest(questions),
        questions=questions,
        format=name,
        notes=notes,
        places=reading.places,
    )


def find_bank(folder: Path, name: str) -> Path:
    """The file of a bank that a policy names: `pipit` is `pipit.jsonl`, or the one file of that name that there is.

    Raises: NotFound, InvalidInput.
    """
    known = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    found = [path for path in (folder / name, *known) if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise NotFound(
            f"There is no question bank {known[0]}.",
            remedy=f"Name a bank of the bank folder; its file may end in {', '.join(SUFFIXES)}.",
        )
    if len(found) > 1:
        raise InvalidInput(
            f"There are several banks of the name '{name}': {', '.join(path.name for path in found)}.",
            remedy="Name the file with its suffix in the policy, or remove one.",
            field="quality.bank",
        )
    return found[0]


def native_line(question: Question) -> str:
    """A question as a line of our own format."""
    data: dict[str, Any] = question.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if question.messages:
        data.pop("prompt", None)
        data["messages"] = [turn.model_dump(mode="json", exclude_none=True) for turn in question.messages]
    return json.dumps(data, ensure_ascii=False)


def _digest(questions: tuple[Question, ...]) -> str:
    lines = "\n".join(native_line(question) for question in questions)
    return hashlib.sha256(lines.encode()).hexdigest()


def _without_judge(question: Question) -> Question:
    if not question.counted_judges:
        return question
    return question.model_copy(update={"scorers": _kept(question.scorers)})


def _kept(specs: tuple[ScorerSpec, ...]) -> tuple[ScorerSpec, ...]:
    kept: list[ScorerSpec] = []
    for spec in specs:
        if spec.name == GROUP:
            inner = _kept(spec.scorers)
            counts = any(one.weight > 0 for one in inner)
            kept += [spec.model_copy(update={"scorers": inner})] if counts else []
        elif spec.name != JUDGE:
            kept.append(spec)
    return tuple(kept)
