"""What a report says, on the terminal: verdict, warnings, and the figures that matter, each with its interval."""

from typing import TYPE_CHECKING

from tidegate.cli.output import escape, say, table_console

if TYPE_CHECKING:
    from tidegate.benchmark.report.document import BenchmarkReport
    from tidegate.benchmark.report.view import Cell, Section, View

COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "open": "magenta"}
WIDE = 110
TERMINAL_SECTIONS = ("How long users wait", "How much is served", "By how much", "Load and what it costs")


def print_report(report: "BenchmarkReport") -> None:
    """As reports say it, without plots and without the long explanations."""
    from tidegate.benchmark.report.reports import view_of

    print_view(view_of(report))


def print_view(view: "View") -> None:
    colour = COLOURS[view.tone]
    say(f"[bold {colour}]{_text(view.word)}[/bold {colour}]  [bold]{_text(view.title)}[/bold]")
    for sentence in view.sentences:
        say(_text(sentence))
    facts = "; ".join(
        f"{name} {text}" for name, text in view.facts if name in ("Endpoint", "Load", "Prompt cache")
    )
    if facts:
        say(f"[dim]{_text(facts)}[/dim]")
    for warning in view.warnings:
        say(f"[yellow]![/yellow] {_text(warning)}")
    for section in view.sections:
        if section.title in TERMINAL_SECTIONS:
            _print_section(section)


def _print_section(section: "Section") -> None:
    from rich.table import Table

    for it in section.tables:
        say("")
        grid = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for number, column in enumerate(it.columns):
            grid.add_column(_text(column), justify="left" if number == 0 else "right", overflow="fold")
        for row in it.rows:
            grid.add_row(*(_cell(cell, is_first=number == 0) for number, cell in enumerate(row)))
        table_console().print(grid)


def _cell(cell: "Cell", *, is_first: bool) -> str:
    text = _text(cell.text)
    if cell.tone:
        text = f"[{COLOURS[cell.tone]}]{text}[/{COLOURS[cell.tone]}]"
    if not cell.note or is_first:
        return text
    notes = "\n".join(f"[dim]{_text(line)}[/dim]" for line in cell.note.split("\n"))
    return f"{text}\n{notes}" if text else notes


def _text(text: object) -> str:
    """Text that may be a server's, for the terminal."""
    from tidegate.domain.plain import plain

    return escape(plain(str(text)))
