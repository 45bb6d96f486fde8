"""Why a file was refused or warned about, in the order in which its trainer wants to read it. Pure.

Every report for people is written from this: first what refuses, then what nobody could judge, then warnings.
Texts are as they were found; each format escapes them its own way.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.gguf import Severity
from tidegate.validation.report import (
    Recommendation,
    ReportedFinding,
    ValidationCategory,
    ValidationReport,
    ValidationResult,
    ValidationStatus,
)

HEADLINES: dict[Recommendation, str] = {
    Recommendation.DEPLOY: "Deploy",
    Recommendation.DEPLOY_WITH_WARNINGS: "Deploy, with warnings",
    Recommendation.DO_NOT_DEPLOY: "Do not deploy",
    Recommendation.ROLL_BACK: "Do not deploy; roll back",
}
QUICK_HEADLINE = "Nothing wrong in the header"
CATEGORY_TITLES: dict[ValidationCategory, str] = {
    ValidationCategory.FILE_INTEGRITY: "File integrity",
    ValidationCategory.FORMAT: "Format",
    ValidationCategory.SIZE: "Size",
    ValidationCategory.MEMORY: "Memory",
    ValidationCategory.INFERENCE: "Inference",
    ValidationCategory.RESPONSE_QUALITY: "Response quality",
    ValidationCategory.LATENCY: "Latency",
    ValidationCategory.REGRESSION: "Regression",
}
STATUS_TITLES: dict[ValidationStatus, str] = {
    ValidationStatus.PASSED: "passed",
    ValidationStatus.WARNING: "warning",
    ValidationStatus.FAILED: "failed",
    ValidationStatus.NOT_JUDGED: "not judged",
    ValidationStatus.ERROR: "error",
}
_WORST_FIRST = (
    ValidationStatus.FAILED,
    ValidationStatus.ERROR,
    ValidationStatus.NOT_JUDGED,
    ValidationStatus.WARNING,
    ValidationStatus.PASSED,
)
PLACES_SHOWN = 5
MANY_OF_A_FAMILY = 4


class Weight(StrEnum):
    """What a reason does to the file."""

    REFUSES = "refuses"
    NOT_JUDGED = "not judged"
    WARNS = "warns"
    NOTES = "notes"
    NOT_ASKED = "not asked"
    """Nobody gave what the check compares with, such as a digest, or it is for another kind of file."""


@dataclass(frozen=True, slots=True)
class Place:
    """One spot of the file with what is wrong there."""

    message: str
    subject: str = ""
    offset: int | None = None

    @property
    def where(self) -> str:
        """`key or tensor, byte 1234`; empty when the trouble has no place."""
        parts = [self.subject] if self.subject else []
        return ", ".join([*parts, f"byte {self.offset}"] if self.offset is not None else parts)


@dataclass(frozen=True, slots=True)
class Reason:
    """One kind of trouble with all places where it was found."""

    rule: str
    """Id of the rule, or of the check where no rule was broken."""
    check_name: str
    category: ValidationCategory
    weight: Weight
    places: tuple[Place, ...]
    more: int
    """Places beyond those listed."""
    meaning: str
    remedy: str

    @property
    def message(self) -> str:
        return self.places[0].message


@dataclass(frozen=True, slots=True)
class CategoryView:
    """One of the eight categories as a row."""

    category: ValidationCategory
    status: ValidationStatus | None
    """None when the profile has no check of this category."""
    results: tuple[ValidationResult, ...]

    @property
    def title(self) -> str:
        return CATEGORY_TITLES[self.category]

    @property
    def status_title(self) -> str:
        return "not checked" if self.status is None else STATUS_TITLES[self.status]

    @property
    def messages(self) -> tuple[str, ...]:
        """What its checks say, the worst first."""
        return tuple(result.message for result in sorted(self.results, key=_rank) if result.message)

    @property
    def told(self) -> tuple[str, ...]:
        """What did not pass; where all did, the first thing that was found."""
        own = [
            result
            for result in self.results
            if result.status is not ValidationStatus.PASSED and _is_needed(result)
        ]
        return tuple(result.message for result in sorted(own, key=_rank)) or self.messages[:1]

    @property
    def also(self) -> tuple[str, ...]:
        """The rest: what passed, and what nobody needed."""
        told = self.told
        return tuple(message for message in self.messages if message not in told)


def subject_of(report: ValidationReport) -> str:
    """What the report is about, as people call it: `pipit v2`, or the name of the file."""
    name = " ".join(part for part in (report.model_name, report.version) if part)
    return name or report.model_path.replace("\\", "/").rstrip("/").rpartition("/")[2] or report.model_path


def headline(report: ValidationReport) -> str:
    """The verdict in a few words."""
    return QUICK_HEADLINE if report.is_fine_at_a_glance else HEADLINES[report.recommendation]


def verdict_sentence(report: ValidationReport) -> str:
    """One or two sentences under the headline: how many reasons there are, and what to do with the live model."""
    weights = Counter(reason.weight for reason in reasons(report))
    refusing, unjudged = weights[Weight.REFUSES], weights[Weight.NOT_JUDGED]
    if report.passed:
        text = "No check refuses it."
        if weights[Weight.WARNS]:
            text += f" {_started(_count(weights[Weight.WARNS], 'warning'))} should be read first."
        if weights[Weight.NOT_ASKED]:
            text += f" {_started(_count(weights[Weight.NOT_ASKED], 'check'))} had nothing to judge by."
        return text
    if report.is_fine_at_a_glance:
        return "This was a quick look. It never suffices to deploy: validate with the profile standard before that."
    if refusing:
        text = f"{_started(_count(refusing, 'reason'))} to refuse it."
        if unjudged:
            text += f" {_started(_count(unjudged, 'check'))} had no result then."
    elif unjudged:
        text = f"{_started(_count(unjudged, 'check'))} had no result, which never counts as passed."
    else:
        text = "Nothing was checked."
    if report.recommendation is Recommendation.ROLL_BACK and report.rollback_version:
        return f"{text} Serve {report.rollback_version} instead."
    return f"{text} Leave the live version as it is."


def _count(number: int, noun: str) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return f"{words[number] if number < len(words) else number} {noun}{'' if number == 1 else 's'}"


def _started(text: str) -> str:
    return text[:1].upper() + text[1:]


def reasons(report: ValidationReport) -> list[Reason]:
    """Everything that keeps the file back or should be known, worst first; kinds of trouble are told once."""
    found = [reason for result in report.results for reason in _of_result(result)]
    order = list(Weight)
    return sorted(found, key=lambda reason: order.index(reason.weight))


def grouped_names(names: Iterable[str]) -> str:
    """`gguf.memory, inference (6 checks)`: checks of one family as one word where there are many."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.partition(".")[0], []).append(name)
    return ", ".join(
        f"{family} ({len(own)} checks)" if len(own) >= MANY_OF_A_FAMILY else ", ".join(own)
        for family, own in families.items()
    )


def category_views(report: ValidationReport) -> tuple[CategoryView, ...]:
    """All eight, in their order, also those that the profile leaves out."""
    return tuple(_view(category, report.results) for category in ValidationCategory)


def _rank(result: ValidationResult) -> int:
    """The worst first; what nobody needed says least."""
    return _WORST_FIRST.index(result.status) if _is_needed(result) else len(_WORST_FIRST)


def _is_needed(result: ValidationResult) -> bool:
    return result.is_needed or result.status is not ValidationStatus.NOT_JUDGED


def _view(category: ValidationCategory, results: Sequence[ValidationResult]) -> CategoryView:
    own = tuple(result for result in results if result.category is category)
    status = min(own, key=_rank).status if own else None
    return CategoryView(category, status, own)


def _of_result(result: ValidationResult) -> Iterable[Reason]:
    grouped: dict[tuple[str, Severity], list[ReportedFinding]] = {}
    for finding in result.findings:
        grouped.setdefault((finding.check, finding.severity), []).append(finding)
    has_cause = any(severity is Severity.ERROR for _, severity in grouped)
    is_warned = result.status is ValidationStatus.WARNING and not grouped
    if result.status is ValidationStatus.NOT_JUDGED or is_warned or (result.is_refusing and not has_cause):
        yield _of_message(result)
    for findings in grouped.values():
        yield _of_findings(result, findings)


def _of_message(result: ValidationResult) -> Reason:
    """A check that says itself what is wrong, without a place in the file."""
    weight = Weight.REFUSES
    if result.status is ValidationStatus.NOT_JUDGED:
        weight = Weight.NOT_JUDGED if result.is_needed else Weight.NOT_ASKED
    elif result.status is ValidationStatus.WARNING:
        weight = Weight.WARNS
    return Reason(
        rule=result.check_name,
        check_name=result.check_name,
        category=result.category,
        weight=weight,
        places=(Place(result.message),),
        more=0,
        meaning="",
        remedy=result.remedy,
    )


def _of_findings(result: ValidationResult, findings: Sequence[ReportedFinding]) -> Reason:
    first = findings[0]
    weights = {Severity.ERROR: Weight.REFUSES, Severity.WARNING: Weight.WARNS, Severity.NOTE: Weight.NOTES}
    return Reason(
        rule=first.check,
        check_name=result.check_name,
        category=result.category,
        weight=weights[first.severity],
        places=tuple(
            Place(found.message, _unquoted(found.subject), found.offset) for found in findings[:PLACES_SHOWN]
        ),
        more=max(0, len(findings) - PLACES_SHOWN),
        meaning=first.explanation,
        remedy=first.remedy,
    )


def _unquoted(subject: str) -> str:
    """Subjects are stored quoted; in a report they stand in a code span of their own."""
    return subject[1:-1] if len(subject) > 2 and subject[0] == subject[-1] == "'" else subject
