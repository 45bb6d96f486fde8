"""Reports: read back as they were written, and harmless whatever banks and models wrote."""

from datetime import UTC, datetime

import pytest

from tests.unit.quality.asked import bank_of, model
from tidegate.domain import InvalidInput, Verdict
from tidegate.domain.policy import QualityPolicy
from tidegate.quality import Answer, Question, judge_quality, run_bank
from tidegate.quality.report import QualityReport, comparison_report, run_report, to_html, to_markdown
from tidegate.quality.report.document import asked_questions, differences

AT = datetime(2026, 11, 26, 8, tzinfo=UTC)
BANK = bank_of(60)
HOSTILE = "<script>alert(1)</script> | [x](javascript:y) \x1b[31m `tick`\n# heading"


def comparison(text: str = "no") -> QualityReport:
    def wrong(question: Question) -> Answer:
        is_wrong = question.id in ("q1", "q2", "q3", "q4", "q5", "q6")
        return Answer(text=text if is_wrong else question.prompt.removeprefix("say "))

    ours, theirs = (
        run_bank(BANK, wrong, label="new"),
        run_bank(BANK, model(lambda name: name != "q9"), label="old"),
    )
    rows = judge_quality(ours, theirs, QualityPolicy(margin=0.05))
    return comparison_report(ours, theirs, rows, {"margin": 0.05}, AT, questions=asked_questions(BANK, ours))


def test_a_report_is_read_back_as_it_was_written():
    report = comparison()
    assert QualityReport.from_json(report.as_json()) == report
    assert report.verdict is Verdict.NOT_JUDGED


def test_the_same_content_has_the_same_id():
    assert comparison().id != comparison("nope").id
    assert comparison().id == comparison().id


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1}'])
def test_what_is_no_report_is_refused(text: str):
    with pytest.raises(InvalidInput, match="no quality report"):
        QualityReport.from_json(text)


def test_a_report_of_a_later_version_is_refused():
    later = comparison().model_copy(update={"schema_version": 99})
    with pytest.raises(InvalidInput, match="schema version 99"):
        QualityReport.from_json(later.as_json())


def test_lost_answers_stand_before_won_ones():
    found = differences(comparison())
    assert [one.is_lost for one in found] == [True] * 6 + [False]
    assert found[-1].id == "q9"
    assert found[0].prompt == "say 1"


def test_markdown_says_verdict_rows_topics_and_what_differs():
    text = to_markdown(comparison())
    assert text.startswith("# new against old: ")
    for part in ("quality.regression", "## Topics", "59/60", "Answers that were scored differently", "lost"):
        assert part in text


def test_a_run_alone_lists_what_is_not_right():
    result = run_bank(BANK, model(lambda name: name != "q3"), label="mine")
    rows = judge_quality(result, None, QualityPolicy())
    report = run_report(BANK, result, rows, {}, AT)
    for text in (to_markdown(report), to_html(report)):
        assert "Answers that are not right" in text
        assert "q3" in text


def test_what_a_model_wrote_is_no_markup_in_any_report():
    report = comparison(HOSTILE)
    page, text = to_html(report), to_markdown(report)
    assert "<script>alert" not in page
    assert "\x1b" not in page + text
    assert "\n# heading" not in text
    assert "[x](javascript" not in text


def test_a_page_loads_nothing():
    page = to_html(comparison())
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page
