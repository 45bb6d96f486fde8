"""Tells in the terminal how the demonstration went: a table for each service, the kill, the totals, what next."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.demo.scenario import Outcome
from tidegate.demo.story import Story
from tidegate.demo.summary import ActSummary, StorySummary

COLUMNS = ("RELEASE", "EXPECTED", "ACTUAL", "SENT", "FAILED", "CUT OFF", "SWITCH", "BACK")


def print_verdict(console: Console, story: Story, summary: StorySummary) -> None:
    """Everything in 80 columns; `tidegate demo --json` and the report tell the same."""
    for service in story.services:
        acts = [act for act in summary.acts if act.service == service.service]
        console.print()
        console.print(_table(service.service, acts))
        for act in acts:
            for line in remarks(act):
                console.print(Text(f"  {act.version}: {line}", style="dim"), soft_wrap=True)
    console.print()
    console.print(Text(totals_line(story, summary)), soft_wrap=True)
    for problem in summary.problems:
        console.print(Text(f"✗ {problem}", style="red"), soft_wrap=True)
    if not summary.problems:
        console.print(Text(f"✓ {summary.headline}", "green"), soft_wrap=True)


def print_directions(
    console: Console, urls: dict[str, str], report: Path, *, is_up: bool, prefix: str
) -> None:
    """What a person can do now. `prefix` names the home where it is not the default one."""
    console.print()
    console.print(Text(f"report    {report}"), soft_wrap=True)
    if not is_up:
        console.print(
            Text("The stack was stopped. Start it again with: " + prefix + "tidegate up"), soft_wrap=True
        )
        return
    console.print(Text(f"gateway   {urls['gateway']}"), soft_wrap=True)
    console.print(
        Text(f"prefect   {urls['prefect']}   (its password: {prefix}tidegate keys prefect)"), soft_wrap=True
    )
    console.print(
        Text(f"Next: {prefix}tidegate status, {prefix}tidegate releases list, {prefix}tidegate down."),
        soft_wrap=True,
    )


def remarks(act: ActSummary) -> list[str]:
    """What the numbers of one release do not say."""
    lines: list[str] = []
    if act.topics:
        lost = ", ".join(f"{name} {change}" for name, change in act.topics.items())
        lines.append(f"topics lost: {lost}; no user met it")
    if act.detection_s is not None and act.rollback_s is not None:
        lines.append(
            f"killed; after {duration(act.detection_s)} the release decided to go back, "
            f"and {duration(act.rollback_s)} later every gateway had"
        )
    if act.explained:
        number = "1 request was" if act.explained == 1 else f"{act.explained} requests were"
        only = "" if act.unexplained else ", and nothing else was lost"
        lines.append(f"{number} in flight on the set we killed{only}")
    if act.problem:
        lines.append(act.problem)
    return lines


def totals_line(story: Story, summary: StorySummary) -> str:
    totals = summary.totals
    bad = totals.failed + totals.truncated
    text = (
        f"{totals.sent} requests in {story.elapsed_s:.0f} s: {totals.ok} ok, {totals.failed} failed, "
        f"{totals.truncated} cut off"
    )
    if bad:
        text += f" ({summary.explained} in flight on a killed set, {summary.unexplained} unexplained)"
    return f"{text}."


def duration(seconds: float | None) -> str:
    """`41 ms`, `2.4 s`; empty for what did not happen."""
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if abs(seconds) < 1 else f"{seconds:.1f} s"


def _table(service: str, acts: Sequence[ActSummary]) -> Table:
    table = Table(
        title=service, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 3 else "right", no_wrap=True)
    for act in acts:
        table.add_row(
            act.version,
            act.expected.value,
            Text(act.outcome.value, style=_style(act)),
            str(act.requests),
            str(act.failed),
            str(act.truncated),
            duration(act.switch_s),
            duration(act.rollback_s),
        )
    return table


def _style(act: ActSummary) -> str:
    if not act.is_as_expected:
        return "bold red"
    return "green" if act.outcome is Outcome.LIVE else "yellow"
