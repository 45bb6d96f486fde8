"""`tidegate demo`: try the product. It touches no live traffic unasked."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.output import JsonFlag


def demo(
    org: Annotated[str, typer.Option("--org", help="Only this organization's part.")] = "",
    report: Annotated[
        Path, typer.Option("--report", metavar="PATH", help="Where to write the report.")
    ] = Path("report.html"),
    keep_up: Annotated[
        bool, typer.Option("--keep-up/--down", help="Leave the stack up afterwards, or stop it.")
    ] = True,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a live picture.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Release good and bad demo models under load, kill one, and see what users get.

    Starts the stack if needed, in a home that holds only demonstrations; what you released yourself is
    never touched. Exit code 1 when a release ends otherwise than it must, or a request is lost.

    Examples:

      tidegate demo

      tidegate demo --plain --down --report out/report.html
    """
    from tidegate.demo import run_demo

    raise typer.Exit(run_demo(as_json=as_json, plain=plain, keep_up=keep_up, report=report, org=org))
