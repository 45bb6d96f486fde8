"""How results of `tidegate quality` are shown and written."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.output import escape, print_table, say
from tidegate.domain import InvalidInput, Measurement, Verdict

if TYPE_CHECKING:
    from tidegate.cli.quality_asking import Kept
    from tidegate.quality.report import QualityReport

COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.NOT_JUDGED: "yellow", Verdict.ERROR: "red"}
SHAPES = ("md", "html", "json")
DIFFERENCES_SHOWN, ANSWER_CHARACTERS = 20, 60


def print_report(kept: "Kept") -> None:
    """Verdict first, then the answers that differ, then what was done."""
    from tidegate.domain.plain import plain
    from tidegate.quality.report.facts import facts, headline

    report = kept.report
    colour = COLOURS[report.verdict] if report.rows else "bold"
    say(f"[{colour}]{escape(plain(headline(report)))}[/{colour}]")
    for row in report.rows:
        mark = COLOURS[row.verdict]
        say(
            f"  [{mark}]{row.verdict.value.replace('_', ' ')}[/{mark}]  {escape(row.check)}: {escape(plain(row.summary))}"
        )
    _print_differences(report)
    print_table(("", ""), [(escape(name), escape(plain(value))) for name, value in facts(report)])
    if kept.where:
        say(f"[dim]Kept in {escape(kept.where)}: tidegate quality show {report.id}[/dim]")


def _print_differences(report: "QualityReport") -> None:
    from tidegate.domain.plain import plain
    from tidegate.quality.report.document import differences

    found = differences(report)
    if not found:
        return
    rows = [
        (
            escape(plain(one.id, ANSWER_CHARACTERS)),
            "[red]lost[/red]" if one.is_lost else "[green]won[/green]",
            escape(plain(one.before.answer or "(nothing)", ANSWER_CHARACTERS)),
            escape(plain(one.after.answer or "(nothing)", ANSWER_CHARACTERS)),
        )
        for one in found[:DIFFERENCES_SHOWN]
    ]
    print_table(("QUESTION", "", "BASELINE", "CANDIDATE"), rows)
    if len(found) > DIFFERENCES_SHOWN:
        say(f"[dim]{len(found) - DIFFERENCES_SHOWN} more are in the reports (--output-dir).[/dim]")


def text_of(report: "QualityReport", shape: str) -> str:
    """Raises: InvalidInput for a form that there is not."""
    from tidegate.quality.report import to_html, to_markdown

    if shape not in SHAPES:
        raise InvalidInput(
            f"'{shape}' is no format.", remedy=f"Use one of: {', '.join(SHAPES)}.", field="--format"
        )
    if shape == "json":
        return report.as_json() + "\n"
    return to_markdown(report) if shape == "md" else to_html(report)


def write_reports(reports: "Sequence[Kept]", folder: Path) -> list[Path]:
    """JSON, Markdown and HTML of each, whole or not at all."""
    from tidegate.validation.report import write_whole

    return [
        write_whole(folder / f"{kept.report.id}.{shape}", text_of(kept.report, shape))
        for kept in reports
        for shape in SHAPES
    ]


def row_of(measured: Measurement) -> tuple[str, ...]:
    """One line of the list."""
    summary: dict[str, Any] = measured.summary
    before: dict[str, Any] | None = summary.get("baseline")
    what = str(summary.get("target", ""))
    if before is not None:
        what = f"{what} against {before.get('target', '')}"
    told = f"{summary.get('right')}/{summary.get('questions')}"
    return (
        measured.id,
        f"{measured.taken_at:%Y-%m-%d %H:%M}",
        escape(measured.label or what),
        escape(str(summary.get("bank", ""))),
        told if before is None else f"{before.get('right')} -> {told}",
        str(summary.get("verdict") or "-").replace("_", " "),
    )
