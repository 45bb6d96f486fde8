"""Sub-commands of `tidegate bench`: compare, list, show and export stored or written runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tidegate.cli.output import JsonFlag, ago, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.domain import Measurement

RUN_HELP = "An id, its beginning, or a file; of a sweep ID@8, of a pair ID@base."
FORMAT_NAMES = ("json", "csv", "md", "html", "png")


def join(app: typer.Typer) -> None:
    """Put them beside `bench URL`."""
    app.command("compare")(compare)
    app.command("list")(list_runs)
    app.command("show")(show)
    app.command("export")(export)


def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help=RUN_HELP)],
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="Likewise; what is judged.")],
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="ttft_p95=1.25", help="Allowed ratio of a metric; may be repeated."),
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-o", metavar="DIR", help="Write all reports there.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare two runs: by how much is the second slower, how sure is that, and is it allowed.

    Runs decide most when both were sent the same requests in the same blocks: measured with --against, or with the
    same options and seed. By default p50 TTFT may be 15 %, p95 TTFT 25 % and p50 time per token 15 % slower.

    Exit codes: 0 no regression, 1 a regression is shown, 2 wrong input, 3 not judged.

    Examples:

      tidegate bench compare load-3f2a load-91bc

      tidegate bench compare base.json new.json --limit ttft_p95=1.1 --limit itl_p50=1.05,1 --output-dir out
    """
    from tidegate.benchmark.report.verdicts import verdict_of_report
    from tidegate.cli.bench_finish import ALL_FORMATS, Wanted, as_answer, compared_with, write_reports
    from tidegate.cli.bench_limits import read_limits
    from tidegate.cli.bench_store import find_run
    from tidegate.cli.bench_view import print_report

    limits = read_limits(limit or ())
    Wanted(output_dir, is_stored=False, as_json=as_json, is_quiet=False).check()
    report = compared_with(find_run(base), find_run(candidate), limits)
    written = write_reports(report, output_dir, ALL_FORMATS) if output_dir else []
    verdict = verdict_of_report(report)
    if as_json:
        print_json(as_answer(report, None, verdict, None, written))
    else:
        print_report(report)
        if written:
            say(
                f"\n[dim]Reports:[/dim] {escape(output_dir)}/{escape(report.id)}.html [dim]and {len(written) - 1} more[/dim]"
            )
    raise typer.Exit(int(verdict.exit))


def list_runs(
    limit: Annotated[int, typer.Option("--limit", help="So many, the newest first.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List what was measured here, the newest first.

    Examples:

      tidegate bench list --limit 50

      tidegate bench list --json
    """
    import time

    from tidegate.cli.bench_options import whole
    from tidegate.cli.bench_store import listed, plain_summary

    found = listed(whole("--limit", limit, 20, 1000))
    if as_json:
        print_json([plain_summary(one) for one in found])
        return
    if not found:
        say("Nothing was measured here yet. Begin with: tidegate bench http://HOST:PORT/v1")
        return
    now = time.time()
    rows = [_row(one, now) for one in found]
    print_table(
        ("ID", "TAKEN", "WHAT", "LABEL", "TARGET", "RESULT", "FIRST TOKEN P50/P95 MS", "TOKENS/S"), rows
    )


def _row(one: "Measurement", now: float) -> tuple[str, ...]:
    from tidegate.domain.plain import plain

    runs: list[dict[str, Any]] = one.summary.get("runs") or [one.summary]
    last = runs[-1]
    first: dict[str, Any] = last.get("ttft_planned") or last.get("ttft") or {}
    times = "/".join(_value(first.get(share)) for share in ("p50", "p95"))
    service = f"{one.org}/{one.service}" if one.org and one.service else str(last.get("target") or "")
    cells = (
        one.id, ago(one.taken_at.timestamp(), now), str(one.summary.get("what") or "run"), one.label, service,
        str(one.summary.get("word") or ""), times, _value(last.get("output_tps")),
    )  # fmt: skip
    return tuple(escape(plain(cell, 60)) for cell in cells)


def _value(figure: Any) -> str:
    """Of a percentile or a rate that may be missing."""
    from tidegate.benchmark.report.axes import number

    value: Any = cast("dict[str, Any]", figure).get("value") if isinstance(figure, dict) else None
    return number(value) if isinstance(value, int | float) else "–"


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    as_json: JsonFlag = False,
) -> None:
    """Show one measurement again, as it was told when it ended.

    Examples:

      tidegate bench show load-3f2a

      tidegate bench show out/load-3f2a91bc.json --json
    """
    from tidegate.benchmark.report.verdicts import verdict_of_report
    from tidegate.cli.bench_finish import as_answer
    from tidegate.cli.bench_view import print_report

    report = _found(run)
    if as_json:
        print_json(as_answer(report, None, verdict_of_report(report), None, []))
        return
    print_report(report)


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help=RUN_HELP)],
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", "-f", metavar="json|csv|md|html|png", help="May be repeated; html by default."
        ),
    ] = None,
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", metavar="DIR", help="Where to.")] = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write reports of a stored measurement, or of a JSON file, again.

    Examples:

      tidegate bench export load-3f2a --format html --format png

      tidegate bench export sweep-91bc --format csv --output-dir out
    """
    from tidegate.cli.bench_finish import Wanted, write_reports
    from tidegate.cli.bench_options import bad

    wanted = list(dict.fromkeys(formats or ["html"]))
    for name in wanted:
        if name not in FORMAT_NAMES:
            raise bad("--format", f"There is no format '{name}'.", f"Use one of {', '.join(FORMAT_NAMES)}.")
    Wanted(output_dir, is_stored=False, as_json=as_json, is_quiet=False).check()
    written = write_reports(_found(run), output_dir, wanted)
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        say(escape(path))


def _found(name: str) -> Any:
    """A document, or one run of it where a load is named."""
    from tidegate.benchmark.report.document import BenchmarkReport
    from tidegate.cli.bench_store import LEVEL_MARK, find, find_run

    if LEVEL_MARK in name and not Path(name).is_file():
        return BenchmarkReport.of_run(find_run(name))
    return find(name)
