"""Recommendation and Markdown; nothing is started here."""

import pytest

from tidegate.domain import Verdict
from tidegate.gguf import Category, Severity, finding
from tidegate.validation import (
    STRUCTURE_CHECKS,
    CategoryResult,
    ModelSummary,
    Recommendation,
    ReportedFinding,
    ValidationReport,
    recommend,
    to_markdown,
)
from tidegate.validation.artifact import CHECK_OF


def _category(category: Category, verdict: Verdict, *findings: ReportedFinding) -> CategoryResult:
    return CategoryResult(
        category=category, check=CHECK_OF[category], verdict=verdict, summary="s", findings=findings
    )


def _all(**verdicts: Verdict) -> tuple[CategoryResult, ...]:
    return tuple(_category(category, verdicts.get(category.value, Verdict.PASS)) for category in CHECK_OF)


def _warning() -> ReportedFinding:
    from dataclasses import asdict

    return ReportedFinding(**asdict(finding("S-FTYPE", "m", severity=Severity.WARNING)))


def test_all_passed_is_deployed():
    assert recommend(_all()) is Recommendation.DEPLOY


def test_a_warning_is_told():
    rows = (*_all()[:-1], _category(Category.TEMPLATE, Verdict.PASS, _warning()))
    assert recommend(rows) is Recommendation.DEPLOY_WITH_WARNINGS


@pytest.mark.parametrize(
    "category", [category for category in CHECK_OF if category is not Category.INTEGRITY]
)
@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.ERROR, Verdict.NOT_JUDGED])
def test_whatever_did_not_pass_is_not_deployed(category: Category, verdict: Verdict):
    assert recommend(_all(**{category.value: verdict})) is Recommendation.DO_NOT_DEPLOY


def test_a_digest_that_nobody_asked_for_does_not_refuse_but_a_wrong_one_does():
    assert recommend(_all(integrity=Verdict.NOT_JUDGED)) is Recommendation.DEPLOY
    assert recommend(_all(integrity=Verdict.FAIL)) is Recommendation.DO_NOT_DEPLOY


def test_no_categories_are_never_deployed():
    assert recommend(()) is Recommendation.DO_NOT_DEPLOY


def test_every_category_has_its_own_check():
    assert len(STRUCTURE_CHECKS) == len(Category)


def test_markdown_keeps_markup_and_control_codes_of_the_file_out():
    hostile = ReportedFinding(
        check="K-NUL", severity=Severity.ERROR, category=Category.FORMAT,
        message="a | b <script>x</script> [c](http://d) \x1b[31m `e`", explanation="E.", remedy="R.", offset=7,
    )  # fmt: skip
    report = ValidationReport(
        path="/tmp/\x1b[2Jm`.gguf", digest="a" * 64, expected_digest=None, size_bytes=1,
        recommendation=Recommendation.DO_NOT_DEPLOY,
        categories=(_category(Category.FORMAT, Verdict.FAIL, hostile),), evidence=[],
        model=ModelSummary(architecture="llama", name="x`|\n# y", parameters=1, tensors=1, tensor_types=("F16",)),
        policy_digest="p", wall_seconds=0.1,
    )  # fmt: skip
    text = to_markdown(report)
    assert "\x1b" not in text
    assert "<script>" not in text
    assert "[c](" not in text
    assert "\n# y" not in text
    assert text.startswith("# Validation: Do not deploy")
    assert "byte 7" in text
