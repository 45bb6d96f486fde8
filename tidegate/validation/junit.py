"""Writes validation reports as JUnit XML, which every CI system shows: one suite for each category of each file."""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from tidegate.domain.plain import plain
from tidegate.validation.reasons import CATEGORY_TITLES, Reason, reasons, subject_of
from tidegate.validation.report import (
    ValidationCategory,
    ValidationReport,
    ValidationResult,
    ValidationStatus,
)

Tags = list[str]


def to_junit(reports: Sequence[ValidationReport]) -> str:
    """One document for all reports."""
    results = [result for report in reports for result in report.results]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    seconds = sum(report.wall_seconds for report in reports)
    lines.append(f'<testsuites name="tidegate validate"{_counts(results)} time="{seconds:.3f}">')
    for report in reports:
        for category in ValidationCategory:
            lines += _suite(report, category)
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _suite(report: ValidationReport, category: ValidationCategory) -> Tags:
    own = [result for result in report.results if result.category is category]
    name = _attribute(f"{CATEGORY_TITLES[category]}: {subject_of(report)}")
    stamp = report.timestamp.strftime("%Y-%m-%dT%H:%M:%S")
    lines = [f'  <testsuite name={name}{_counts(own)} timestamp="{stamp}">', "    <properties>"]
    for key, value in _properties(report).items():
        lines.append(f"      <property name={_attribute(key)} value={_attribute(value)}/>")
    lines.append("    </properties>")
    told = reasons(report)
    for result in own:
        lines += _case(report, result, [reason for reason in told if reason.check_name == result.check_name])
    return [*lines, "  </testsuite>"]


def _properties(report: ValidationReport) -> dict[str, str]:
    return {
        "file": report.model_path,
        "digest": report.digest,
        "recommendation": report.recommendation.value,
        "profile": report.profile,
        "policy": report.policy_digest,
    }


def _case(report: ValidationReport, result: ValidationResult, told: Sequence[Reason]) -> Tags:
    head = f"    <testcase name={_attribute(result.check_name)} classname={_attribute(subject_of(report))}"
    message = _attribute(result.message)
    body = _text("\n".join(_told(reason) for reason in told) or f"{result.message}\n{result.remedy}".strip())
    match result.status:
        case ValidationStatus.PASSED:
            return [f"{head}/>"]
        case ValidationStatus.WARNING:
            inner = f"<system-out>{body}</system-out>"
        case ValidationStatus.FAILED:
            inner = f'<failure message={message} type="{result.category.value}">{body}</failure>'
        case ValidationStatus.ERROR:
            inner = f'<error message={message} type="{result.category.value}">{body}</error>'
        case ValidationStatus.NOT_JUDGED if result.is_needed:
            # CI shows skipped tests as harmless. What nobody could judge keeps the file from being deployed.
            inner = f'<error message={message} type="not_judged">{body}</error>'
        case ValidationStatus.NOT_JUDGED:
            inner = f"<skipped message={message}/>"
    return [f"{head}>", f"      {inner}", "    </testcase>"]


def _told(reason: Reason) -> str:
    places = "".join(f"\n  {place.where}: {place.message}" for place in reason.places if place.where)
    more = f"\n  and {reason.more} more" if reason.more else ""
    return "\n".join(
        part
        for part in (f"{reason.rule}: {reason.message}{places}{more}", reason.meaning, reason.remedy)
        if part
    )


def _counts(results: Sequence[ValidationResult]) -> str:
    """Attributes of a suite: `not_judged` that was needed counts as an error, what nobody asked for as skipped."""
    failures = sum(result.status is ValidationStatus.FAILED for result in results)
    skipped = sum(result.status is ValidationStatus.NOT_JUDGED and not result.is_needed for result in results)
    refusing = sum(result.is_refusing for result in results)
    return f' tests="{len(results)}" failures="{failures}" errors="{refusing - failures}" skipped="{skipped}"'


def _text(text: str) -> str:
    """Lines stay; XML has no way to write most control codes, so they are shown as escapes."""
    return escape("\n".join(plain(line) for line in text.split("\n")))


def _attribute(text: str) -> str:
    return quoteattr(plain(text))
