"""After the measurement: keep it, write reports, say what came out, and give CI its exit code."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.bench_options import bad
from tidegate.cli.output import console, escape, print_json, say

if TYPE_CHECKING:
    from tidegate.benchmark.record import RunRecord
    from tidegate.benchmark.report.document import BenchmarkReport
    from tidegate.cli.bench_measuring import Job

ALL_FORMATS = ("json", "csv", "md", "html", "png")


@dataclass(frozen=True)
class Wanted:
    """What becomes of the result."""

    output_dir: Path | None
    is_stored: bool
    as_json: bool
    is_quiet: bool

    def check(self) -> None:
        """Before minutes of measuring, not after. Raises: InvalidInput."""
        if self.output_dir is None:
            return
        try:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            probe = self.output_dir / ".tidegate-probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise bad(
                "--output-dir",
                f"{self.output_dir} cannot be written to: {error.strerror}.",
                "Name another folder.",
            ) from None


def finish(report: "BenchmarkReport", job: "Job", base: "RunRecord | None", wanted: Wanted) -> int:
    """Returns the exit code. The comparison with a repeated run has a report of its own."""
    from tidegate.benchmark.report.verdicts import verdict_of_report

    kept = _keep(report, job, wanted)
    compared = compared_with(base, report.runs[0].run, job.limits) if base is not None else None
    written = write_reports(report, wanted.output_dir, ALL_FORMATS) if wanted.output_dir else []
    if compared is not None and wanted.output_dir:
        written += write_reports(compared, wanted.output_dir, ALL_FORMATS)
    verdict = verdict_of_report(compared or report)
    if wanted.as_json:
        print_json(as_answer(report, compared, verdict, kept, written))
        return int(verdict.exit)
    from tidegate.cli.bench_view import print_report

    print_report(report)
    if compared is not None:
        say("")
        print_report(compared)
    _say_where(report, kept, written, wanted)
    return int(verdict.exit)


def _keep(report: "BenchmarkReport", job: "Job", wanted: Wanted) -> Any:
    if not wanted.is_stored:
        return None
    from tidegate.cli.bench_store import keep

    return keep(report, job.target.ref, job.target.digest)


def compared_with(base: "RunRecord", candidate: "RunRecord", limits: Any = None) -> "BenchmarkReport":
    """A document of two runs that were taken apart."""
    from datetime import UTC, datetime
    from uuid import uuid4

    from tidegate.benchmark.compare import compare_runs
    from tidegate.benchmark.report.document import BenchmarkReport, MeasuredRun
    from tidegate.benchmark.summary import summarise

    runs = tuple(MeasuredRun(run=run, summary=summarise(run)) for run in (base, candidate))
    return BenchmarkReport(
        id=f"pair-{uuid4().hex[:12]}",
        what="pair",
        label=f"{candidate.label or candidate.id} against {base.label or base.id}"[:200],
        created_at=datetime.now(UTC),
        runs=runs,
        comparison=compare_runs(base, candidate, limits),
    )


def write_reports(report: "BenchmarkReport", folder: Path, formats: Any) -> list[Path]:
    """Each file whole or not at all, named by the id of the measurement."""
    from tidegate.benchmark.report.reports import FORMATS
    from tidegate.validation.report import write_whole

    written: list[Path] = []
    for name in formats:
        for ending, make in FORMATS[name]:
            written.append(write_whole(folder / f"{report.id}{ending}", make(report)))
    return written


def as_answer(
    report: "BenchmarkReport",
    compared: "BenchmarkReport | None",
    verdict: Any,
    kept: Any,
    written: list[Path],
) -> dict[str, Any]:
    """For `--json`: figures and verdict; every request stands in the files and in the store."""
    from tidegate.benchmark.report.reports import summary_of

    return {
        "id": report.id,
        "verdict": {"word": verdict.word, "sentence": verdict.sentence, "exit_code": int(verdict.exit)},
        **summary_of(report),
        "compared": summary_of(compared) if compared is not None else None,
        "kept": None if kept is None else {"where": kept.where, "note": kept.note},
        "written": [str(path) for path in written],
    }


def _say_where(report: "BenchmarkReport", kept: Any, written: list[Path], wanted: Wanted) -> None:
    say("")
    if kept is None:
        say("[dim]Not kept (--no-store).[/dim]")
    else:
        if kept.note:
            console(stderr=True).print(f"[yellow]{escape(kept.note)}[/yellow]")
        say(f"[dim]Kept as[/dim] {escape(report.id)} [dim]in {escape(kept.where)}[/dim]")
    if written:
        say(
            f"[dim]Reports:[/dim] {escape(wanted.output_dir)}/{escape(report.id)}.html [dim]and {len(written) - 1} more[/dim]"
        )
    elif kept is not None:
        say(f"[dim]Reports: tidegate bench export {escape(report.id)} --format html[/dim]")
