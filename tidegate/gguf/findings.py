"""Findings: what is wrong with a file, where, why it matters and what to do. Rules are data (`rules/`)."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import TypeVar

from tidegate.gguf.limits import LIMITS, Limits

SHOWN_CHARACTERS = 80

H = TypeVar("H")


class Severity(StrEnum):
    """`error` refuses the file, `warning` is told to a person, `note` is information."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Category(StrEnum):
    """What part of the validation a rule belongs to."""

    INTEGRITY = "integrity"
    FORMAT = "format"
    SIZE = "size"
    MEMORY = "memory"
    NUMBERS = "numbers"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a file breaks a rule."""

    check: str
    severity: Severity
    category: Category
    message: str
    explanation: str
    remedy: str
    offset: int | None = None
    """Byte in the file where the trouble begins, when there is one."""
    subject: str = ""
    """Key, tensor or template the finding is about."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of damage. The id is stable: dashboards, policies and tests refer to it."""

    id: str
    severity: Severity
    category: Category
    explanation: str
    remedy: str

    def broken(
        self,
        message: str,
        *,
        offset: int | None = None,
        subject: str = "",
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule; its severity can be lowered or raised for a milder or worse case."""
        return Finding(
            check=self.id,
            severity=severity or self.severity,
            category=self.category,
            message=message,
            explanation=self.explanation,
            remedy=self.remedy,
            offset=offset,
            subject=quote(subject) if subject else "",
        )


def quote(text: str | bytes) -> str:
    """Text from a file, safe to print: ASCII only, escaped, cut to one line of moderate length."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    cut = shown[:SHOWN_CHARACTERS]
    escaped = cut.encode("unicode_escape").decode("ascii").replace("'", "\\'")
    return f"'{escaped}'" + ("..." if len(shown) > SHOWN_CHARACTERS else "")


def has_errors(findings: Iterable[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def capped(findings: Iterable[Finding], limits: Limits = LIMITS) -> tuple[Finding, ...]:
    """At most so many of one check and in all, so that a hostile file cannot flood a report.

    The first error of every check is always kept, whatever its position.
    """
    seen: Counter[tuple[str, Severity]] = Counter()
    kept: list[Finding] = []
    for found in findings:
        seen[found.check, found.severity] += 1
        count = seen[found.check, found.severity]
        is_first_error = count == 1 and found.severity is Severity.ERROR
        has_room = count <= limits.max_findings_per_check and len(kept) < limits.max_findings
        if is_first_error or has_room:
            kept.append(found)
    return tuple(kept)


def bounded(check: Callable[[H], Iterable[Finding]]) -> Callable[[H], tuple[Finding, ...]]:
    """Makes a check keep no more of its findings than a report shows: a hostile file could give it a million."""

    @wraps(check)
    def checked(header: H) -> tuple[Finding, ...]:
        return capped(check(header))

    return checked
