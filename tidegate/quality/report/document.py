"""What is kept of a quality run or of a comparison. Pure; the JSON of it is read back by later comparisons."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from tidegate.domain import Evidence, InvalidInput, Verdict
from tidegate.domain.evidence import WORST_FIRST
from tidegate.quality.agreement import Agreement, flaky
from tidegate.quality.bank import Bank
from tidegate.quality.pairs import Pairs
from tidegate.quality.results import BankResult, QuestionResult

SCHEMA_VERSION = 1
PROMPT_CHARACTERS = 2000
MAX_BYTES = 256 * 1024**2


class AskedQuestion(BaseModel):
    """What was asked, as far as a reader of the report needs it."""

    model_config = ConfigDict(frozen=True)

    prompt: str
    expect: str = ""


class QualityReport(BaseModel):
    """One run of a bank, or two results side by side. It holds prompts and answers, and no secret."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    id: str
    what: Literal["run", "comparison"]
    created_at: AwareDatetime
    label: str = ""
    candidate: BankResult
    baseline: BankResult | None = None
    rows: tuple[Evidence, ...] = ()
    floor: dict[str, Any] | None = Field(
        default=None, description="How often the baseline differs from itself."
    )
    policy: dict[str, Any] = Field(default_factory=dict, description="Limits that the rows were judged by.")
    questions: dict[str, AskedQuestion] = Field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst of all rows: only what passes everywhere passes."""
        found = {row.verdict for row in self.rows}
        return next((one for one in WORST_FIRST if one in found), Verdict.NOT_JUDGED)

    def as_json(self) -> str:
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises: InvalidInput for text that is no such report, or one of a later version."""
        if len(text) > MAX_BYTES:
            raise InvalidInput(
                "The file is too large for a quality report.",
                remedy="Compare fewer questions in one report.",
                field="RESULT",
            )
        try:
            found = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(
                f"This is no quality report ({where + ': ' if where else ''}{first['msg']}).",
                remedy="Name a JSON file that tidegate quality wrote, or an id of: tidegate quality list.",
                field="RESULT",
            ) from error
        if found.schema_version > SCHEMA_VERSION:
            raise InvalidInput(
                f"The report has schema version {found.schema_version}; this Tidegate reads up to {SCHEMA_VERSION}.",
                remedy="Use the version of Tidegate that wrote it, or a later one.",
                field="RESULT",
            )
        return found

    def summary(self) -> dict[str, Any]:
        """What a list needs, and what a ledger is searched by."""
        return {
            "what": self.what,
            "bank": self.candidate.bank,
            "bank_digest": self.candidate.bank_digest,
            "target": self.candidate.target,
            "questions": self.candidate.total,
            "right": self.candidate.right,
            "missing": self.candidate.missing,
            "mean_score": self.candidate.mean_value,
            "verdict": self.verdict.value if self.rows else None,
            "baseline": None
            if self.baseline is None
            else {
                "target": self.baseline.target,
                "digest": self.baseline.model_digest,
                "right": self.baseline.right,
                "mean_score": self.baseline.mean_value,
            },
            "rows": [
                {"check": row.check, "verdict": row.verdict.value, "summary": row.summary}
                for row in self.rows
            ],
        }


class Difference(BaseModel):
    """One question that both answered differently well, for a table."""

    id: str
    topic: str
    prompt: str
    expect: str
    before: QuestionResult
    after: QuestionResult

    @property
    def is_lost(self) -> bool:
        return (self.after.value or 0.0) < (self.before.value or 0.0)


def differences(report: QualityReport) -> list[Difference]:
    """Questions whose scores differ: lost ones first, the largest loss on top."""
    if report.baseline is None:
        return []
    pairs = [pair for pair in Pairs.of(report.candidate, report.baseline).complete if pair.difference != 0]
    empty = AskedQuestion(prompt="")
    return [
        Difference(
            id=pair.id,
            topic=pair.ours.topic,
            prompt=report.questions.get(pair.id, empty).prompt,
            expect=report.questions.get(pair.id, empty).expect,
            before=pair.theirs,
            after=pair.ours,
        )
        for pair in sorted(pairs, key=lambda pair: (pair.difference, pair.id))
    ]


def wrong_answers(result: BankResult) -> list[QuestionResult]:
    """Answers that are not right, and questions without an answer."""
    return [entry for entry in result.results if entry.is_right is not True and not entry.needs_judge]


def flaky_questions(report: QualityReport) -> list[str]:
    both = [report.candidate] if report.baseline is None else [report.candidate, report.baseline]
    return sorted({name for result in both for name in flaky(result)})


def run_report(
    bank: Bank,
    result: BankResult,
    rows: Sequence[Evidence],
    policy: dict[str, Any],
    at: datetime,
    label: str = "",
) -> QualityReport:
    """Of one target."""
    return QualityReport(
        id=_id(result, None, at),
        what="run",
        created_at=at,
        label=label or result.label,
        candidate=result,
        rows=tuple(rows),
        policy=policy,
        questions=asked_questions(bank, result),
    )


def comparison_report(
    candidate: BankResult,
    baseline: BankResult,
    rows: Sequence[Evidence],
    policy: dict[str, Any],
    at: datetime,
    *,
    questions: dict[str, AskedQuestion],
    floor: Agreement | None = None,
    label: str = "",
) -> QualityReport:
    """Of two results."""
    return QualityReport(
        id=_id(candidate, baseline, at),
        what="comparison",
        created_at=at,
        label=label,
        candidate=candidate,
        baseline=baseline,
        rows=tuple(rows),
        floor=None if floor is None else floor.as_data(),
        policy=policy,
        questions=questions,
    )


def asked_questions(bank: Bank, result: BankResult) -> dict[str, AskedQuestion]:
    included = {entry.id for entry in result.results}
    return {
        question.id: AskedQuestion(
            prompt=question.prompt[:PROMPT_CHARACTERS],
            expect="" if question.expect is None else str(question.expect)[:PROMPT_CHARACTERS],
        )
        for question in bank.questions
        if question.id in included
    }


def _id(candidate: BankResult, baseline: BankResult | None, at: datetime) -> str:
    """The same content has the same id, so that storing it twice is storing it once."""
    parts = [
        candidate.model_dump_json(),
        "" if baseline is None else baseline.model_dump_json(),
        at.isoformat(),
    ]
    return f"quality-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:12]}"
