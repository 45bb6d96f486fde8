"""Writes validation reports as SARIF 2.1.0, the format that code scanners and pull requests read.

One run holds all files. A finding is a result of its rule with its byte in the file; a check that says itself
what is wrong is a result of the rule with its own name. What passed is a result of the kind `pass`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from tidegate import __version__
from tidegate.domain.plain import plain
from tidegate.gguf import Severity
from tidegate.validation.report import (
    ReportedFinding,
    ValidationReport,
    ValidationResult,
    ValidationStatus,
)

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
KINDS = {
    ValidationStatus.PASSED: ("pass", "none"),
    ValidationStatus.WARNING: ("fail", "warning"),
    ValidationStatus.FAILED: ("fail", "error"),
    ValidationStatus.NOT_JUDGED: ("open", "none"),
    ValidationStatus.ERROR: ("fail", "error"),
}

Data = dict[str, Any]


def to_sarif(reports: Sequence[ValidationReport]) -> str:
    """One log for all reports."""
    rules: dict[str, Data] = {}
    artifacts = list({report.model_path: _artifact(report) for report in reports}.values())
    paths = dict.fromkeys(report.model_path for report in reports)
    number_of = {path: number for number, path in enumerate(paths)}
    results = [row for report in reports for row in _results(report, number_of[report.model_path], rules)]
    places = {name: number for number, name in enumerate(rules)}
    run: Data = {
        "tool": {
            "driver": {
                "name": "Tidegate",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": list(rules.values()),
            }
        },
        "columnKind": "unicodeCodePoints",
        "artifacts": artifacts,
        "invocations": [_invocation(report) for report in reports],
        "results": [{**row, "ruleIndex": places[row["ruleId"]]} for row in results],
    }
    return json.dumps({"$schema": SCHEMA, "version": VERSION, "runs": [run]}, indent=2) + "\n"


def _artifact(report: ValidationReport) -> Data:
    data: Data = {
        "location": {"uri": _uri(report.model_path)},
        "length": report.size_bytes,
        "roles": ["analysisTarget"],
    }
    if report.digest:
        data["hashes"] = {"sha-256": plain(report.digest)}
    return data


def _invocation(report: ValidationReport) -> Data:
    """Successful when every check could be made, whatever it found."""
    return {
        "executionSuccessful": report.summary.errors == 0,
        "endTimeUtc": report.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "properties": {
            "file": plain(report.model_path),
            "recommendation": report.recommendation.value,
            "profile": report.profile,
            "policyDigest": report.policy_digest,
        },
    }


def _uri(path: str) -> str:
    """Relative paths stay relative, so that a log made in a checkout points into it."""
    pure = PurePosixPath(path.replace("\\", "/"))
    quoted = quote(str(pure).encode("utf-8", "surrogateescape"))
    return f"file://{quoted}" if pure.is_absolute() else quoted


def _results(report: ValidationReport, number: int, rules: dict[str, Data]) -> Iterator[Data]:
    for result in report.results:
        errors = [found for found in result.findings if found.severity is Severity.ERROR]
        is_told = bool(errors) or (result.status is ValidationStatus.WARNING and result.findings)
        if not is_told:
            rules.setdefault(result.check_name, _rule_of_check(result))
            yield _of_check(report, result, number)
        for found in result.findings:
            rules.setdefault(found.check, _rule_of_finding(found))
            yield _of_finding(report, found, number)


def _of_check(report: ValidationReport, result: ValidationResult, number: int) -> Data:
    kind, level = KINDS[result.status]
    return {
        "ruleId": result.check_name,
        "kind": kind,
        "level": level,
        "message": {"text": _sentences(result.message, result.remedy) or result.status.value},
        "locations": [{"physicalLocation": _place(report, number)}],
    }


def _of_finding(report: ValidationReport, found: ReportedFinding, number: int) -> Data:
    place = _place(report, number)
    if found.offset is not None and found.offset >= 0:
        place["region"] = {"byteOffset": found.offset, "byteLength": 0}
    location: Data = {"physicalLocation": place}
    if found.subject:
        location["logicalLocations"] = [{"fullyQualifiedName": plain(found.subject), "kind": "member"}]
    return {
        "ruleId": found.check,
        "kind": "fail",
        "level": LEVELS[found.severity],
        "message": {"text": _sentences(found.message, found.remedy)},
        "locations": [location],
        # The same trouble in the next export is the same alert, wherever its bytes have moved.
        "partialFingerprints": {"ruleAndSubject/v1": f"{found.check}:{plain(found.subject)}"},
    }


def _place(report: ValidationReport, number: int) -> Data:
    return {"artifactLocation": {"uri": _uri(report.model_path), "index": number}}


def _rule_of_check(result: ValidationResult) -> Data:
    return {
        "id": result.check_name,
        "shortDescription": {"text": f"Check {result.check_name} of the category {result.category.value}."},
        "help": {"text": "docs/validation.md says what it looks at and how its limits are set."},
        "properties": {"category": result.category.value},
    }


def _rule_of_finding(found: ReportedFinding) -> Data:
    meaning = plain(found.explanation)
    return {
        "id": found.check,
        "shortDescription": {"text": meaning or found.check},
        "fullDescription": {"text": meaning or found.check},
        "help": {"text": _sentences(meaning, f"What to do: {found.remedy}" if found.remedy else "")},
        "defaultConfiguration": {"level": LEVELS[found.severity]},
        "properties": {"category": found.category.value},
    }


def _sentences(*texts: str) -> str:
    return " ".join(plain(text) for text in texts if text)
