"""A quality report as Markdown: verdict, rows, what differs side by side, and how it was asked."""

from collections.abc import Iterator, Sequence

from tidegate.domain import Verdict
from tidegate.domain.plain import markdown_code, markdown_text
from tidegate.quality.report.document import (
    QualityReport,
    differences,
    flaky_questions,
    wrong_answers,
)
from tidegate.quality.report.facts import facts, headline, share, slice_rows
from tidegate.quality.results import BankResult, QuestionResult

ANSWER_CHARACTERS, ROWS_SHOWN = 300, 50
MARKS = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "**fail**",
    Verdict.NOT_JUDGED: "not judged",
    Verdict.ERROR: "error",
}


def to_markdown(report: QualityReport) -> str:
    """The whole report. Everything that models and banks wrote is escaped."""
    lines = [f"# {markdown_text(headline(report))}", ""]
    lines += _table(("what", "value"), [(name, markdown_text(value)) for name, value in facts(report)])
    lines += ["", *_rows(report), *_topics(report), *_slices(report), *_differences(report)]
    if report.baseline is None:
        lines += _wrong(report.candidate)
    lines += _flaky(report)
    return "\n".join(lines).rstrip("\n") + "\n"


def _rows(report: QualityReport) -> Iterator[str]:
    if not report.rows:
        return
    yield "## Verdict"
    yield ""
    yield from _table(
        ("check", "verdict", "what was found"),
        [(markdown_code(row.check), MARKS[row.verdict], markdown_text(row.summary)) for row in report.rows],
    )
    yield ""
    for row in report.rows:
        if row.remedy:
            yield f"- {markdown_code(row.check)}: {markdown_text(row.remedy)}"
    if any(row.numbers for row in report.rows):
        yield ""
        yield from (
            f"- {markdown_code(row.check)}: {markdown_text(row.numbers)}"
            for row in report.rows
            if row.numbers
        )
    yield ""


def _topics(report: QualityReport) -> Iterator[str]:
    before = {} if report.baseline is None else report.baseline.topics()
    yield "## Topics"
    yield ""
    rows = [
        (
            markdown_text(topic),
            *(
                (f"{before[topic].right}/{before[topic].total}" if topic in before else "-",)
                if before
                else ()
            ),
            f"{score.right}/{score.total}",
        )
        for topic, score in report.candidate.topics().items()
    ]
    yield from _table(("topic", "baseline", "candidate") if before else ("topic", "right"), rows)
    yield ""


def _slices(report: QualityReport) -> Iterator[str]:
    rows = slice_rows(report)
    if not rows:
        return
    yield "## Slices that are shown and decide nothing"
    yield ""
    yield from _table(
        ("slice", "questions", "lost", "won", "p of worse, adjusted"),
        [
            (markdown_text(row.name), str(row.pairs), str(row.lost), str(row.won), f"{row.p:.3g}")
            for row in rows
        ],
    )
    yield ""


def _differences(report: QualityReport) -> Iterator[str]:
    found = differences(report)
    if report.baseline is None:
        return
    yield "## Answers that were scored differently"
    yield ""
    if not found:
        yield "None."
        yield ""
        return
    rows = [
        (
            markdown_text(one.id),
            "lost" if one.is_lost else "won",
            _short(one.prompt),
            _short(one.expect),
            f"{share(one.before.value)} {_answer(one.before)}",
            f"{share(one.after.value)} {_answer(one.after)}",
        )
        for one in found[:ROWS_SHOWN]
    ]
    yield from _table(("question", "", "asked", "expected", "baseline", "candidate"), rows)
    yield from _left_out(len(found))
    yield ""


def _wrong(result: BankResult) -> Iterator[str]:
    found = wrong_answers(result)
    yield "## Answers that are not right"
    yield ""
    if not found:
        yield "None."
        return
    yield from _table(
        ("question", "topic", "score", "answer"),
        [
            (markdown_text(one.id), markdown_text(one.topic), share(one.value), _answer(one))
            for one in found[:ROWS_SHOWN]
        ],
    )
    yield from _left_out(len(found))
    yield ""


def _flaky(report: QualityReport) -> Iterator[str]:
    names = flaky_questions(report)
    if names:
        yield "## Flaky questions"
        yield ""
        yield (
            "The same model, asked again, was scored otherwise: " + ", ".join(map(markdown_text, names)) + "."
        )


def _left_out(count: int) -> Iterator[str]:
    if count > ROWS_SHOWN:
        yield ""
        yield f"{count - ROWS_SHOWN} more are in the JSON report."


def _answer(result: QuestionResult) -> str:
    return _short(result.error or result.answer or "(nothing)")


def _short(text: str) -> str:
    return markdown_text(text[:ANSWER_CHARACTERS])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
