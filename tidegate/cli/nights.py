"""`tidegate nightly`: look at what is live now, read earlier nights, take a new level as the baseline."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.judging import JudgingCommands, exit_code
from tidegate.cli.output import (
    BAD_INPUT,
    JsonFlag,
    as_data,
    console,
    escape,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from tidegate.steps.nightly import NightlyResult

app = typer.Typer(
    cls=JudgingCommands, help="Nightly runs: is what serves still as good as it was?", no_args_is_help=True
)
COLOURS = {"pass": "green", "fail": "red", "error": "red", "not_judged": "yellow"}


@app.command()
def run(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[ORG/SERVICE]...", help="None means all that are live.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Look at live services now, as the nightly flow does: question bank, latency, drift, trend, cost.

    The night is recorded. Exit code 0 when nothing is worse, 1 for a regression or an error, 3 when something could
    not be judged. Nothing is rolled back from here.

    Examples:

      tidegate nightly run

      tidegate nightly run swaggystacks/support-chat --json
    """
    from datetime import UTC, datetime

    from tidegate import wiring
    from tidegate.domain import TidegateError
    from tidegate.steps import nightly

    ports = wiring.load()
    refs = nightly.parsed_services(ports, services or ()) or nightly.services_with_traffic(ports)
    night = f"by hand {datetime.now(UTC).isoformat(timespec='seconds')}"
    results: list[NightlyResult] = []
    for ref in refs:
        if not as_json:
            console(stderr=True).print(f"[dim]asking {ref} ...[/dim]")
        try:
            results.append(nightly.check_live_service(ports, ref, night))
        except TidegateError as error:
            results.append(nightly.unreachable(str(ref), error))
    if as_json:
        print_json([_as_data(result) for result in results])
    elif not results:
        say("Nothing is live. Release a version first: tidegate release ORG/SERVICE MODEL:VERSION")
    for result in () if as_json else results:
        _print(result)
    raise typer.Exit(exit_code(result.verdict for result in results))


@app.command()
def history(
    service: Annotated[str, typer.Argument(metavar="ORG/SERVICE")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=400, help="Newest nights.")] = 30,
    as_json: JsonFlag = False,
) -> None:
    """Show the nights of a service, of all files that it served, newest first.

    Examples:

      tidegate nightly history swaggystacks/support-chat

      tidegate nightly history swaggystacks/support-chat --limit 90 --json
    """
    from tidegate import wiring
    from tidegate.domain import ServiceRef
    from tidegate.steps import nightly

    ports, ref = wiring.load(), ServiceRef.parse(service)
    ports.service(ref)
    nights = nightly.all_nights(ports, ref, limit)
    if as_json:
        print_json([as_data(night) for night in nights])
        return
    if not nights:
        say(f"No night of {escape(ref)} is recorded yet: tidegate nightly run {escape(ref)}")
        return
    columns = ("night (UTC)", "file", "right", "same answers", "TTFT p50", "ITL p50", "USD per million")
    rows = [
        (
            f"{night.at:%Y-%m-%d %H:%M}",
            night.figures.digest[:12],
            _share(night.figures.score),
            _share(night.figures.same_answers),
            _number(night.figures.ttft_p50_ms, " ms"),
            _number(night.figures.itl_p50_ms, " ms"),
            _number(night.figures.usd_per_million_accepted_tokens, ""),
        )
        for night in nights
    ]
    print_table(columns, rows)


@app.command()
def accept(service: Annotated[str, typer.Argument(metavar="ORG/SERVICE")]) -> None:
    """Take the service as it is now: the next night is the first of a new baseline, and trends begin anew.

    For a change that is meant to stay, such as another engine or GPU. Earlier nights stay in the history.

    Example:

      tidegate nightly accept swaggystacks/support-chat
    """
    from tidegate import wiring
    from tidegate.cli.connect import current_user
    from tidegate.domain import ServiceRef
    from tidegate.steps import nightly

    ports, ref = wiring.load(), ServiceRef.parse(service)
    if not nightly.accept_nights(ports, ref, current_user()):
        console(stderr=True).print(
            f"[yellow]{escape(ref)} has no baseline yet: its next night becomes it.[/yellow]"
        )
        raise typer.Exit(BAD_INPUT)
    say(f"The next night of {escape(ref)} becomes its baseline.")


def _print(result: "NightlyResult") -> None:
    from tidegate.steps.nightly_report import course

    colour = COLOURS[result.verdict.value]
    word = result.verdict.value.replace("_", " ")
    say(f"[bold]{escape(result.service)}[/bold]  [{colour}]{word}[/{colour}]  {escape(result.summary)}")
    for row in course(result):
        say(f"  {row['figure']}: {row['tonight']}  [dim]median {row['median']}[/dim]  {row['last nights']}")
    for row in result.evidence:
        if row.verdict.value in ("fail", "error"):
            say(f"  [red]{escape(row.check)}[/red]  {escape(row.summary)}")
            if row.remedy:
                say(f"    [dim]{escape(row.remedy)}[/dim]")


def _as_data(result: "NightlyResult") -> dict[str, Any]:
    return {
        "service": result.service,
        "digest": result.digest,
        "verdict": result.verdict.value,
        "summary": result.summary,
        "evidence": [as_data(row) for row in result.evidence],
        "nights": [as_data(night) for night in result.nights],
    }


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g}{unit}"
