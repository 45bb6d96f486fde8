"""CSV: one row a request, or one row a figure. What a server said can become no formula of a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from tidegate.benchmark.chunks import chunking_of
from tidegate.benchmark.figures import SHARES, Distribution, Rate, Share
from tidegate.benchmark.latencies import latencies
from tidegate.benchmark.record import RequestRecord
from tidegate.benchmark.report.document import BenchmarkReport, MeasuredRun
from tidegate.domain.plain import plain

FORMULA = ("=", "+", "-", "@", "\t", "\r")
TIMES = ("ttft_ms", "ttft_planned_ms", "ttft_answer_ms", "e2e_ms", "e2e_planned_ms", "itl_ms", "stall_ms")
REQUEST_COLUMNS = (
    "run", "load", "index", "block", "phase", "outcome", "status", "planned_ms", "sent_ms", "headers_ms", "end_ms",
    *TIMES, "chunks", "tokens", "token_source", "prompt_tokens", "cached_tokens", "finish_reason", "model", "error",
)  # fmt: skip
FIGURE_COLUMNS = ("run", "load", "figure", "statistic", "value", "low", "high", "n", "unit")


def requests_csv(report: BenchmarkReport) -> str:
    """Every planned request of every run, times in milliseconds from the start of its run."""
    rows = (row for measured in report.runs for row in _request_rows(measured))
    return _csv(REQUEST_COLUMNS, rows)


def _request_rows(measured: MeasuredRun) -> Iterable[list[Any]]:
    run = measured.run
    chunking = chunking_of(run.requests)
    for request in run.requests:
        found = latencies(request, chunking)
        stamps = (request.planned_ns, request.sent_ns, request.headers_ns, request.end_ns)
        yield [
            run.id, measured.load, request.index, request.block, request.phase.value, request.outcome.value,
            request.status, *map(_ms, stamps), *(_rounded(getattr(found, name)) for name in TIMES),
            *_told(request),
        ]  # fmt: skip


def _told(request: RequestRecord) -> Sequence[Any]:
    return (
        len(request.chunk_ns), request.tokens, request.token_source, request.prompt_tokens, request.cached_tokens,
        request.finish_reason, request.model, request.error,
    )  # fmt: skip


def figures_csv(report: BenchmarkReport) -> str:
    """Every figure of every run with its interval; what has too few requests is left out."""
    rows = (row for measured in report.runs for row in _figure_rows(measured))
    return _csv(FIGURE_COLUMNS, rows)


def _figure_rows(measured: MeasuredRun) -> Iterable[list[Any]]:
    summary = measured.summary
    head = [summary.id, measured.load]
    for name, one in summary.distributions().items():
        for row in _distribution_rows(name, one):
            yield [*head, *row]
    for name, value in summary:
        if isinstance(value, Rate):
            yield [*head, name, "mean", value.value, value.low, value.high, value.n, value.unit]
        elif isinstance(value, Share):
            yield [*head, name, "share", value.value, value.low, value.high, value.n, ""]


def _distribution_rows(name: str, one: Distribution) -> Iterable[list[Any]]:
    if one.mean is not None:
        yield [name, "mean", one.mean, one.mean_low, one.mean_high, one.n, one.unit]
        yield [name, "max", one.maximum, None, None, one.n, one.unit]
    for share in SHARES:
        for statistic, found in (
            (share, getattr(one, share)),
            (f"{share}_adjusted", one.adjusted.get(share)),
        ):
            if found is not None:
                value = "inf" if found.is_beyond else found.value
                yield [name, statistic, value, found.low, found.high, found.n, one.unit]


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = plain(value)
    return f"'{shown}" if shown.startswith(FORMULA) else shown


def _ms(stamp: int | None) -> float | None:
    return None if stamp is None else round(stamp / 1e6, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
