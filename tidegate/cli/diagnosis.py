"""`tidegate doctor`: what this installation needs, one line each, with a remedy for what is wrong."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import FAILED, JsonFlag, console, escape, print_json, say

if TYPE_CHECKING:
    from tidegate.cli.checkup import Finding

MARKS = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "problem": "[red]✗[/red]"}


def doctor(
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are problems too.")] = False,
    org: Annotated[
        str, typer.Option("--org", help="Ask what this organization lacks to release, live at its platforms.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Find what is wrong, and say what to do.

    No compiler is needed: engine and gateway are installed as binaries. Exit code 1 when there is a problem.

    Examples:

      tidegate doctor

      tidegate doctor --json

      tidegate doctor --org swaggystacks
    """
    from tidegate.cli.checkup import run_checkup

    checkup = run_checkup()
    if org:
        from tidegate.cli.organization_checkup import run_organization_checkup

        checkup = run_organization_checkup(org)

    # Checks may take a second each: show them as they come.
    findings: list[Finding] = []
    for finding in checkup:
        findings.append(finding)
        if not as_json:
            say(f"{MARKS[finding.level]} {escape(finding.name):<22} {escape(finding.text)}")
            if finding.remedy:
                say(f"  {'':<22} [dim]{escape(finding.remedy)}[/dim]")
    bad = [item for item in findings if item.level == "problem" or (strict and item.level == "warning")]
    if as_json:
        print_json({"healthy": not bad, "findings": [item.as_dict() for item in findings]})
    elif bad:
        console(stderr=True).print(f"[red]{len(bad)} to mend.[/red]")
    elif warnings := sum(item.level == "warning" for item in findings):
        say(f"[yellow]Nothing to mend at once; {warnings} to look at.[/yellow]")
    else:
        say("[green]All is well.[/green]")
    if bad:
        sys.stdout.flush()
        raise typer.Exit(FAILED)
