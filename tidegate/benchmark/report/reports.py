"""A benchmark document in every published form."""

from collections.abc import Callable, Mapping
from typing import Any

from tidegate.benchmark.report.document import BenchmarkReport
from tidegate.benchmark.report.run_view import view_of_run
from tidegate.benchmark.report.verdicts import verdict_of_report
from tidegate.benchmark.report.view import View


def view_of(report: BenchmarkReport) -> View:
    """What a report of this document says."""
    if report.comparison is not None and len(report.runs) == 2:
        from tidegate.benchmark.report.compare_view import view_of_comparison

        base, candidate = ((one.run, one.summary) for one in report.runs)
        return view_of_comparison(report.comparison, base, candidate)
    if report.what in ("sweep", "search"):
        from tidegate.benchmark.report.sweep_view import view_of_levels

        return view_of_levels(report, *knee_of_report(report))
    first = report.runs[0]
    return view_of_run(first.run, first.summary, report.wanted_share)


def knee_of_report(report: BenchmarkReport) -> tuple[float | None, str]:
    """Where more load begins to bring little but waiting, and the sentence that says so."""
    return None, ""


def summary_of(report: BenchmarkReport) -> dict[str, Any]:
    """What lists, trends and other parts of Tidegate read of a stored benchmark."""
    verdict = verdict_of_report(report)
    return {
        "what": report.what,
        "word": verdict.word,
        "sentence": verdict.sentence,
        "load_unit": report.load_unit,
        "runs": [{"load": one.load, **one.summary.model_dump(mode="json")} for one in report.runs],
        "comparison": report.comparison.model_dump(mode="json") if report.comparison else None,
        "search": report.search.model_dump(mode="json") if report.search else None,
    }


def as_json(report: BenchmarkReport) -> bytes:
    return (report.as_json() + "\n").encode()


def as_markdown(report: BenchmarkReport) -> bytes:
    from tidegate.benchmark.report.markdown import to_markdown

    return to_markdown(view_of(report)).encode()


def as_html(report: BenchmarkReport) -> bytes:
    from tidegate.benchmark.report.page import to_html

    return to_html(view_of(report)).encode()


def as_png(report: BenchmarkReport) -> bytes:
    from tidegate.benchmark.report.png import to_png

    view = view_of(report)
    return to_png(f"{view.word}: {view.title}", view.sentences[0] if view.sentences else "", view.plots)


def as_requests_csv(report: BenchmarkReport) -> bytes:
    from tidegate.benchmark.report.csv_tables import requests_csv

    return requests_csv(report).encode()


def as_figures_csv(report: BenchmarkReport) -> bytes:
    from tidegate.benchmark.report.csv_tables import figures_csv

    return figures_csv(report).encode()


FORMATS: Mapping[str, tuple[tuple[str, Callable[[BenchmarkReport], bytes]], ...]] = {
    "json": ((".json", as_json),),
    "csv": ((".requests.csv", as_requests_csv), (".figures.csv", as_figures_csv)),
    "md": ((".md", as_markdown),),
    "html": ((".html", as_html),),
    "png": ((".png", as_png),),
}
"""Endings of the files of each format, and what writes them."""
