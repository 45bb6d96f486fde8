"""Recommendation and Markdown; nothing is started here."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidegate.domain import Gate, Verdict, fold
from tidegate.gguf import Category, Severity, finding
from tidegate.validation import (
    CATEGORY_OF,
    STRUCTURE_CHECKS,
    ModelSummary,
    Recommendation,
    ReportedFinding,
    ValidationReport,
    ValidationResult,
    ValidationStatus,
    recommend,
    summarize,
    to_markdown,
)
from tidegate.validation.artifact import CHECK_OF

PASSED, NOT_JUDGED = ValidationStatus.PASSED, ValidationStatus.NOT_JUDGED


def _result(
    category: Category, status: ValidationStatus, *findings: ReportedFinding, is_needed: bool = True
) -> ValidationResult:
    return ValidationResult(
        category=CATEGORY_OF[category], check_name=CHECK_OF[category], status=status, message="s",
        findings=findings, is_needed=is_needed,
    )  # fmt: skip


def _all(**statuses: ValidationStatus) -> tuple[ValidationResult, ...]:
    return tuple(_result(category, statuses.get(category.value, PASSED)) for category in CHECK_OF)


def _report(*results: ValidationResult) -> ValidationReport:
    return ValidationReport(
        model_path="/m.gguf", timestamp=datetime(2026, 1, 2, tzinfo=UTC), digest="a" * 64, size_bytes=1,
        recommendation=recommend(results), summary=summarize(results), results=results, policy_digest="p",
        wall_seconds=0.1,
    )  # fmt: skip


def _warning() -> ReportedFinding:
    from dataclasses import asdict

    return ReportedFinding(**asdict(finding("S-FTYPE", "m", severity=Severity.WARNING)))


def test_all_passed_is_deployed():
    assert recommend(_all()) is Recommendation.DEPLOY


def test_a_warning_is_told():
    rows = (*_all()[:-1], _result(Category.TEMPLATE, ValidationStatus.WARNING, _warning()))
    assert recommend(rows) is Recommendation.DEPLOY_WITH_WARNINGS
    assert summarize(rows).overall_status is ValidationStatus.WARNING


@pytest.mark.parametrize("category", CHECK_OF)
@pytest.mark.parametrize("status", [ValidationStatus.FAILED, ValidationStatus.ERROR, NOT_JUDGED])
def test_whatever_did_not_pass_is_not_deployed(category: Category, status: ValidationStatus):
    rows = _all(**{category.value: status})
    assert recommend(rows) is Recommendation.DO_NOT_DEPLOY
    assert summarize(rows).overall_status is status


def test_a_digest_that_nobody_asked_for_is_a_warning_and_no_evidence():
    rows = (*_all()[1:], _result(Category.INTEGRITY, NOT_JUDGED, is_needed=False))
    report = _report(*rows)
    assert report.recommendation is Recommendation.DEPLOY_WITH_WARNINGS
    assert report.passed
    assert report.summary.not_judged == 1
    assert fold(Gate.STRUCTURE, report.evidence, STRUCTURE_CHECKS).verdict is Verdict.NOT_JUDGED


def test_no_results_are_never_deployed():
    assert recommend(()) is Recommendation.DO_NOT_DEPLOY
    assert summarize(()).overall_status is NOT_JUDGED
    assert "Nothing was checked" in _report().get_rollback_recommendation()


def test_every_category_of_rules_has_its_own_check():
    assert len(STRUCTURE_CHECKS) == len(Category)


def test_a_refusal_names_its_reasons():
    report = _report(*_all(numbers=ValidationStatus.FAILED, memory=NOT_JUDGED))
    assert [result.check_name for result in report.failed_checks] == ["gguf.numbers"]
    assert "gguf.numbers" in report.get_rollback_recommendation()
    assert not report.passed


def test_saved_reports_are_whole_and_leave_nothing_else(tmp_path: Path):
    report = _report(*_all())
    report.save_json(tmp_path / "out" / "report.json")
    report.save_markdown(tmp_path / "out" / "report.md")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.json", "report.md"]
    read = ValidationReport.model_validate_json((tmp_path / "out" / "report.json").read_text())
    assert read == report


def test_markdown_keeps_markup_and_control_codes_of_the_file_out():
    hostile = ReportedFinding(
        check="K-NUL", severity=Severity.ERROR, category=Category.FORMAT,
        message="a | b <script>x</script> [c](http://d) \x1b[31m `e`", explanation="E.", remedy="R.", offset=7,
    )  # fmt: skip
    report = _report(_result(Category.FORMAT, ValidationStatus.FAILED, hostile)).model_copy(
        update={
            "model_path": "/tmp/\x1b[2Jm`.gguf",
            "model": ModelSummary(
                architecture="llama", name="x`|\n# y", parameters=1, tensors=1, tensor_types=("F16",)
            ),
        }
    )
    text = to_markdown(report)
    assert "\x1b" not in text
    assert "<script>" not in text
    assert "[c](" not in text
    assert "\n# y" not in text
    assert text.startswith("# Do not deploy")
    assert "byte 7" in text
