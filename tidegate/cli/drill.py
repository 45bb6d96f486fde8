"""`tidegate drill`: break the stack on purpose, and see what clients get."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import (
    FAILED,
    NEEDS_PERSON,
    OK,
    JsonFlag,
    console,
    escape,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from datetime import datetime

    from tidegate.domain import ServiceRef
    from tidegate.drill import Drill, Report

COLOURS = {"kept": "green", "broken": "red", "not judged": "yellow"}
CODES = {"kept": OK, "broken": FAILED, "not judged": NEEDS_PERSON}


def drill(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Drills; none means the short list.")
    ] = None,
    is_list: Annotated[bool, typer.Option("--list", help="Say what there is and play nothing.")] = False,
    is_all: Annotated[bool, typer.Option("--all", help="Play every drill.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write a report: .md or .json.")
    ] = None,
    service: Annotated[
        str, typer.Option("--service", metavar="ORG/SERVICE", help="Whose policy the drills take.")
    ] = "swaggystacks/support-chat",
    allow: Annotated[
        str,
        typer.Option("--allow", metavar="ORG/SERVICE", help="Name a service that is not marked for drills."),
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Break one thing at a time under client traffic and compare with what must come of it.

    Every drill runs on a stack of its own in a temporary home, which it removes: nothing that serves is touched.
    A request that is lost although a healthy way to an answer existed breaks the drill.

    Exit code 0 when all were kept, 1 when one is broken, 2 for wrong input, 3 when one could not be judged.

    Examples:

      tidegate drill --list

      tidegate drill kill-flow kill-envoy

      tidegate drill --all --report out/drills.md
    """
    from tidegate.domain import InvalidInput
    from tidegate.drill import find_drills

    if names and is_all:
        raise InvalidInput(
            "Name drills, or say --all, not both.", remedy="Leave one of them out.", field="name"
        )
    if report is not None and report.suffix not in (".md", ".json"):
        raise InvalidInput(
            f"{report} ends neither in .md nor in .json.",
            remedy="For example --report out/drills.md.",
            field="report",
        )
    chosen = find_drills(names or (), is_all=is_all or is_list)
    if is_list:
        _list(chosen, as_json=as_json)
    else:
        _play(chosen, service, allow, report, as_json=as_json)


def _list(chosen: "tuple[Drill, ...]", *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "name": one.name,
                    "fault": one.fault,
                    "expected": one.expected,
                    "promised_s": one.promised_s,
                    "place": one.place.value,
                    "short_list": one.is_short,
                }
                for one in chosen
            ]
        )
        return
    rows = [
        (one.name, one.place.value, "yes" if one.is_short else "", one.fault, one.expected) for one in chosen
    ]
    print_table(("name", "stack", "short list", "fault", "what must come of it"), rows)


def _play(chosen: "tuple[Drill, ...]", service: str, allow: str, path: Path | None, *, as_json: bool) -> None:
    import signal
    from datetime import UTC, datetime

    from tidegate.access import load_organizations
    from tidegate.demo.machine import describe_machine
    from tidegate.domain import ServiceRef
    from tidegate.drill import may_drill, run_drills
    from tidegate.drill.judgement import worst
    from tidegate.drill.report import as_data, headline
    from tidegate.settings import load_settings

    settings, ref = load_settings(), ServiceRef.parse(service)
    may_drill(load_organizations(settings.organizations_dir, settings.policies_dir), ref, allow)
    machine, at = describe_machine(), datetime.now(UTC)
    # Told to end, it ends what it started; by itself Python would leave a whole stack behind.
    signal.signal(signal.SIGTERM, _end)
    progress = console(stderr=True)
    reports = run_drills(chosen, lambda line: progress.print(f"[dim]{escape(line)}[/dim]"), ref=ref)
    _keep(reports, ref)
    if path is not None:
        _write(path, reports, at, machine)
    if as_json:
        print_json(as_data(reports, at, machine))
    else:
        _show(reports)
        say(escape(headline(reports)))
        if path is not None:
            say(f"report    {escape(path)}")
    raise typer.Exit(CODES[worst(reports).value])


def _keep(reports: "list[Report]", ref: "ServiceRef") -> None:
    """In the audit log of this installation, when it has one: the drills themselves ran on a stack of their own."""
    from tidegate.cli.connect import current_user
    from tidegate.cli.error_notes import existing_ledger
    from tidegate.drill.judgement import worst

    verdicts = {one.drill.name: one.verdict.value for one in reports}
    with existing_ledger() as ledger:
        if ledger is not None:
            who, told = current_user(), {"drills": verdicts}
            ledger.note_deed("drill.played", actor=who, ref=ref, subject=worst(reports).value, evidence=told)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _show(reports: "list[Report]") -> None:
    from tidegate.drill.report import COLUMNS, row

    rows: list[tuple[str, ...]] = []
    for one in reports:
        cells = [escape(cell) for cell in row(one)]
        cells[1] = f"[{COLOURS[one.verdict.value]}]{cells[1]}[/]"
        rows.append(tuple(cells))
    print_table(COLUMNS, rows)
    for one in reports:
        for reason in one.reasons:
            say(f"  {one.drill.name}: [{COLOURS[one.verdict.value]}]{escape(reason)}[/]")


def _write(path: Path, reports: "list[Report]", at: "datetime", machine: dict[str, str]) -> None:
    import json

    from tidegate.drill.report import as_data, markdown

    is_json = path.suffix == ".json"
    text = json.dumps(as_data(reports, at, machine), indent=2) if is_json else markdown(reports, at, machine)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
