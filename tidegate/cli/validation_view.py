"""How the terminal tells of validations: verdict, reasons with what to do, the eight categories, and one table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.cli.output import escape, print_table, say, table_console
from tidegate.cli.validation_run import Done, is_without_fault

if TYPE_CHECKING:
    from rich.table import Table

    from tidegate.validation import ValidationReport
    from tidegate.validation.reasons import Reason

STATUS_COLOURS = {
    "passed": "green",
    "warning": "yellow",
    "failed": "red",
    "error": "red",
    "not judged": "magenta",
    "not checked": "dim",
}
REASONS_SHOWN = 12
WHY_SHOWN = 4


def print_one(done: Done) -> None:
    """Everything about one file that a person decides by."""
    if done.report is None:
        _print_error(done)
        return
    report = done.report
    _print_verdict(report)
    _print_reasons(report)
    _print_unasked(report)
    _print_categories(report)
    _print_needs(report)


def print_many(results: Sequence[Done]) -> None:
    """One table for all, then the reasons of those that are not deployed without a word."""
    for done in results:
        if done.report is None:
            _print_error(done)
        elif not is_without_fault(done):
            _print_verdict(done.report)
            _print_reasons(done.report)
            say("")
    rows = [_row(done, name) for done, name in zip(results, _short_names(results), strict=True)]
    print_table(("FILE", "VERDICT", "CHECKS", "SIZE", "MEMORY", "WHY"), rows)
    good = sum(map(is_without_fault, results))
    is_quick = any(done.report is not None and done.report.is_fine_at_a_glance for done in results)
    say(
        f"\n{good} of {len(results)} {'have nothing wrong in the header' if is_quick else 'may be deployed'}."
    )


def _print_error(done: Done) -> None:
    if done.error is not None:
        say(f"[red]Not validated[/red]  {_text(done.path)}: {_text(done.error.message)}")
        say(f"  {_text(done.error.remedy)}\n")


def _text(text: object) -> str:
    """Text of a file for the terminal."""
    from tidegate.domain.plain import plain

    return escape(plain(str(text)))


def _verdict(report: "ValidationReport") -> str:
    from tidegate.validation.reasons import headline

    is_bad = not report.passed and not report.is_fine_at_a_glance
    colour = "red" if is_bad else "green" if report.recommendation.value == "deploy" else "yellow"
    return f"[{colour}]{headline(report)}[/{colour}]"


def _print_verdict(report: "ValidationReport") -> None:
    from tidegate.validation.reasons import subject_of, verdict_sentence

    say(
        f"[bold]{_verdict(report)}: {_text(subject_of(report))}[/bold]  [dim]{_text(report.model_path)}[/dim]"
    )
    say(f"{_text(verdict_sentence(report))}")


def _print_reasons(report: "ValidationReport") -> None:
    from tidegate.validation.reasons import Weight, reasons

    found = reasons(report)
    refusing = [reason for reason in found if reason.weight is Weight.REFUSES]
    if report.is_fine_at_a_glance:
        found = [reason for reason in found if reason.weight is Weight.WARNS]
    unjudged = [reason for reason in found if reason.weight is Weight.NOT_JUDGED]
    # Where something refuses the file, the rest was mostly not judged because of that: one line is enough.
    told = refusing or unjudged
    told = [*told, *(reason for reason in found if reason.weight is Weight.WARNS)]
    for reason in told[:REASONS_SHOWN]:
        say("")
        _print(_reason_grid(reason))
    if len(told) > REASONS_SHOWN:
        say(f"\n[dim]{len(told) - REASONS_SHOWN} more: the reports list them (--output-dir).[/dim]")
    if refusing and unjudged:
        _print_list("Without a result then", unjudged)


def _print_list(title: str, listed: "Sequence[Reason]") -> None:
    from tidegate.validation.reasons import grouped_names

    say(f"\n[dim]{title}:[/dim] {_text(grouped_names(reason.rule for reason in listed))}")


def _print_unasked(report: "ValidationReport") -> None:
    from tidegate.validation.reasons import Weight, reasons

    unasked = [reason for reason in reasons(report) if reason.weight is Weight.NOT_ASKED]
    if unasked:
        _print_list("Not judged, and not needed", unasked)


def _reason_grid(reason: "Reason") -> "Table":
    """Two columns that wrap each by itself, at any width."""
    from rich.table import Table

    colour = {"refuses": "red", "not judged": "magenta", "warns": "yellow"}[reason.weight.value]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=12)
    grid.add_column(overflow="fold")
    grid.add_row(
        f"[{colour} bold]{_text(reason.rule)}[/{colour} bold]", f"[bold]{_text(reason.message)}[/bold]"
    )
    more = len(reason.places) - 1 + reason.more
    facts = {
        "where": reason.places[0].where + (f", and {more} more" if more else ""),
        "meaning": reason.meaning,
        "to do": reason.remedy,
    }
    for name, text in facts.items():
        if text:
            grid.add_row(f"[dim]{name}[/dim]", _text(text))
    return grid


def _print_categories(report: "ValidationReport") -> None:
    from rich.table import Table

    from tidegate.validation.reasons import category_views

    say("")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for view in category_views(report):
        colour = STATUS_COLOURS[view.status_title]
        told = view.told[0] if view.told else ""
        more = f" [dim](+{len(view.messages) - 1})[/dim]" if len(view.messages) > 1 else ""
        grid.add_row(
            view.title, f"[{colour}]{view.status_title}[/{colour}]", f"[dim]{_text(told)}[/dim]{more}"
        )
    _print(grid)


def _print_needs(report: "ValidationReport") -> None:
    """What it takes to serve it, and where that is cheapest."""
    from tidegate.domain.plain import plural, size
    from tidegate.validation.charts import chosen_gpus

    memory = report.memory
    if memory is None:
        return
    most = " at most" if memory.is_upper_bound else ""
    text = (
        f"Needs{most} {size(memory.total_bytes)} of memory for {plural(memory.parallel, 'sequence')} of "
        f"{memory.context_tokens} tokens."
    )
    cheapest = next((fit for fit in chosen_gpus(report.gpu_fit) if fit.fits), None)
    if cheapest is not None:
        price = "" if cheapest.price_usd_per_hour is None else f", ${cheapest.price_usd_per_hour:.2f}/h"
        text += f" Cheapest GPU that it fits: {cheapest.gpu}{price}."
    say(f"\n{_text(text)} [dim]Took {report.wall_seconds:.1f} s.[/dim]")


def _short_names(results: Sequence[Done]) -> list[str]:
    """Names of files where they tell them apart, else whole paths."""
    names = [done.path.name for done in results]
    are_enough = len(set(names)) == len(names)
    return [_text(done.path.name if are_enough else done.path) for done in results]


def _row(done: Done, name: str) -> tuple[str, ...]:
    from tidegate.domain.plain import size
    from tidegate.validation.reasons import Weight, reasons

    if done.report is None:
        why = done.error.message if done.error else ""
        return (name, "[red]Not validated[/red]", "", "", "", _text(why))
    report = done.report
    found = reasons(report)
    order = (Weight.REFUSES, Weight.NOT_JUDGED, Weight.WARNS, Weight.NOT_ASKED)
    heaviest = next((weight for weight in order if any(reason.weight is weight for reason in found)), None)
    rules = [reason.rule for reason in found if reason.weight is heaviest]
    more = f" +{len(rules) - WHY_SHOWN}" if len(rules) > WHY_SHOWN else ""
    return (
        name,
        _verdict(report),
        f"{report.summary.passed}/{report.summary.total_checks}",
        size(report.size_bytes),
        "" if report.memory is None else size(report.memory.total_bytes),
        _text(", ".join(rules[:WHY_SHOWN])) + more,
    )


def _print(grid: "Table") -> None:
    table_console().print(grid)
