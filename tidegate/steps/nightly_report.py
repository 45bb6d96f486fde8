"""One organization's night as Markdown: what is wrong first, then the course of each figure."""

from collections.abc import Sequence

from tidegate.domain import Verdict
from tidegate.steps.gate_report import MARKS
from tidegate.steps.night_figures import WATCHED, sparkline
from tidegate.steps.nightly import NightlyResult
from tidegate.steps.reporting import markdown_table

SHOWN_NIGHTS = 30
_ORDER = (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_JUDGED, Verdict.PASS)


def nightly_markdown(org: str, results: Sequence[NightlyResult]) -> str:
    """The worst service first; for each its verdict, the last thirty nights, and what was found."""
    ordered = sorted(results, key=lambda result: _ORDER.index(result.verdict))
    rows = [
        {"service": result.service, "verdict": MARKS[result.verdict], "what was found": result.summary}
        for result in ordered
    ]
    parts = [f"# Night of {org}", "", markdown_table(["service", "verdict", "what was found"], rows), ""]
    for result in ordered:
        parts += _service(result)
    return "\n".join(parts)


def _service(result: NightlyResult) -> list[str]:
    parts = [f"## {result.service}", ""]
    if result.digest:
        parts += [f"Serves `{result.digest[:12]}`, night {len(result.nights) or 1} of this baseline.", ""]
    rows = course(result)
    if rows:
        parts += [markdown_table(["figure", "tonight", "median", "last nights"], rows), ""]
    table = [
        {
            "check": row.check,
            "verdict": MARKS[row.verdict],
            "what was found": row.summary,
            "what to do": row.remedy,
        }
        for row in sorted(result.evidence, key=lambda row: _ORDER.index(row.verdict))
    ]
    if table:
        parts += [markdown_table(["check", "verdict", "what was found", "what to do"], table), ""]
    return parts


def course(result: NightlyResult) -> list[dict[str, str]]:
    """One row per figure that the nights have: tonight, the median, and a line of the last thirty."""
    from statistics import median

    rows: list[dict[str, str]] = []
    for watched in WATCHED:
        values = [value for night in result.nights if (value := watched.of(night.figures)) is not None]
        if values:
            rows.append(
                {
                    "figure": watched.name,
                    "tonight": watched.shown(values[-1]),
                    "median": watched.shown(median(values)),
                    "last nights": sparkline(values[-SHOWN_NIGHTS:]),
                }
            )
    return rows
