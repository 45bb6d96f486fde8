"""How right and how light the load generator is, against a server with known truth.

    python -m benchmarks.load_generator [--rates 5 60 100 120 200] [--seconds 8]
    python -m benchmarks.load_generator --guidellm VENV/bin/python --aiperf VENV/bin/python

Constant rates of streams of 64 tokens (TTFT 50 ms, a token every 10 ms), then 4 tokens in a chunk, then a stall
of 1.5 s in each stream. The truth is what the server really wrote, on the same clock. With the interpreters of
environments where guidellm or aiperf is installed these are measured against the same server in the same run.

| figure | meaning |
|---|---|
| TTFT bias | mean of (client's TTFT - server's time from reading the request to writing its first chunk) |
| error p95, p99 | percentile of the client's TTFT minus the same percentile of the truth; `each` is the p99 of the absolute errors of single requests, which only a tool that tells single requests has |
| ITL bias | mean of the client's over the mean of the truth |
| late p99 | sent minus planned |
| CPU | of the load process while it ran, start left out, per chunk |
| start | from starting the command to the first request that the server read |

Numbers of a busy machine mean little: the load average is printed with them.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.load_generator_tools import Found, ask_aiperf, ask_guidellm, ask_ours
from tidegate.benchmark.truth import RequestTruth, RunningTruth, Shape, start_truth_server
from tidegate.statistics import percentile

TOKENS = 64
SHAPES = {
    "": Shape(ttft=50, gap=10, tokens=TOKENS),
    "four": Shape(ttft=50, gap=10, tokens=TOKENS, tokens_per_chunk=4),
    "stall": Shape(ttft=50, gap=10, tokens=TOKENS, stall_ms=1500),
}
COLUMNS = (
    ("tool", 9), ("case", 9), ("sent/s", 7), ("TTFT truth", 10), ("bias ms", 8), ("p95", 7), ("p99", 7),
    ("each p99", 8), ("ITL %", 7), ("late p99", 8), ("gap max", 8), ("CPU us", 7), ("RSS MB", 7),
    ("start s", 8), ("said", 12),
)  # fmt: skip
Tool = Callable[[RunningTruth, str, float, float, Path], Found]


@dataclass(frozen=True)
class Row:
    """One tool in one case; what it does not tell is None."""

    tool: str
    case: str
    rate: float
    achieved: float
    truth_ttft_ms: float
    ttft_bias_ms: float | None
    p95_error_ms: float | None
    p99_error_ms: float | None
    each_p99_ms: float | None
    itl_bias_percent: float | None
    late_p99_ms: float | None
    largest_gap_ms: float | None
    true_largest_gap_ms: float | None
    cpu_us_per_chunk: float
    peak_rss_mb: float
    start_s: float
    said: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[5, 60, 100, 120, 200])
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each run (default 8)")
    parser.add_argument("--guidellm", type=Path, help="Python of an environment with guidellm")
    parser.add_argument("--aiperf", type=Path, help="Python of an environment with aiperf")
    parser.add_argument(
        "--peer-rates", type=float, nargs="+", help="rates at which the others are measured (default: all)"
    )
    arguments = parser.parse_args()
    peers: dict[str, Tool] = {}
    if arguments.guidellm:
        peers["guidellm"] = lambda *what: ask_guidellm(arguments.guidellm, *what)
    if arguments.aiperf:
        peers["aiperf"] = lambda *what: ask_aiperf(arguments.aiperf, *what)
    cases = [(f"{rate:g}/s", "", rate) for rate in arguments.rates]
    cases += [("4 tokens", "four", 20.0), ("stall", "stall", 5.0)]
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(" ".join(f"{name:>{width}}" for name, width in COLUMNS))
    rows: list[Row] = []
    with start_truth_server(SHAPES) as truth, tempfile.TemporaryDirectory() as folder:
        for case, shape, rate in cases:
            tools: dict[str, Tool] = {"tidegate": ask_ours}
            if not shape and arguments.peer_rates and rate not in arguments.peer_rates:
                chosen = tools
            else:
                chosen = tools | peers
            for name, tool in chosen.items():
                row = measure(name, tool, truth, case, shape, rate, arguments.seconds, Path(folder))
                rows.append(row)
                print(_line(row), flush=True)
    _compare(rows)
    print(json.dumps({"date": datetime.now(UTC).isoformat(), "load": os.getloadavg()[0],
                      "cores": os.cpu_count(), "rows": [asdict(row) for row in rows]}))  # fmt: skip
    return 0


def measure(
    name: str,
    tool: Tool,
    truth: RunningTruth,
    case: str,
    shape: str,
    rate: float,
    seconds: float,
    folder: Path,
) -> Row:
    """One run of one tool, held against what the server wrote meanwhile."""
    truth.forget()
    found = tool(truth, shape, rate, seconds, folder)
    seen = [record for record in truth.truth(shape) if record.was_whole]
    # Our own runs leave warm-up out; the others count every request.
    records = [record for record in seen if not found.seeds or record.seed in found.seeds]
    ttft = [record.ttft_ns / 1e6 for record in records if record.ttft_ns is not None]
    return Row(
        tool=name,
        case=case,
        rate=rate,
        achieved=_rate(records),
        truth_ttft_ms=fmean(ttft),
        ttft_bias_ms=found.ttft_mean_ms - fmean(ttft) if found.ttft_mean_ms is not None else None,
        p95_error_ms=_difference(found.ttft_p95_ms, percentile(ttft, 0.95)),
        p99_error_ms=_difference(found.ttft_p99_ms, _p99(ttft)),
        each_p99_ms=_each(found, records),
        itl_bias_percent=_itl_bias(found, records),
        late_p99_ms=found.late_p99_ms,
        largest_gap_ms=found.largest_gap_ms,
        true_largest_gap_ms=max((record.largest_gap_ms or 0 for record in records), default=None),
        cpu_us_per_chunk=found.cpu_s / max(1, sum(len(record.content_ns) for record in seen)) * 1e6,
        peak_rss_mb=found.peak_rss_mb,
        start_s=(min(record.received_ns for record in truth.truth()) - found.began_ns) / 1e9,
        said=found.said,
    )


def _rate(records: Sequence[RequestTruth]) -> float:
    times = sorted(record.received_ns for record in records)
    return (len(times) - 1) / ((times[-1] - times[0]) / 1e9) if len(times) > 1 else 0.0


def _p99(values: Sequence[float]) -> float | None:
    """Also of fewer than a hundred: it is compared with the same figure of the tool."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))] if ordered else None


def _difference(ours: float | None, truth: float | None) -> float | None:
    return ours - truth if ours is not None and truth is not None else None


def _each(found: Found, records: Sequence[RequestTruth]) -> float | None:
    errors = [
        abs(found.ttft_by_seed[record.seed] - record.ttft_ns / 1e6)
        for record in records
        if record.seed in found.ttft_by_seed and record.ttft_ns is not None
    ]
    return _p99(errors)


def _itl_bias(found: Found, records: Sequence[RequestTruth]) -> float | None:
    truth = [record.itl_ms for record in records if record.itl_ms is not None]
    return (found.itl_mean_ms / fmean(truth) - 1) * 100 if found.itl_mean_ms is not None and truth else None


def _line(row: Row) -> str:
    cells: list[Any] = [
        row.tool, row.case, row.achieved, row.truth_ttft_ms, row.ttft_bias_ms, row.p95_error_ms, row.p99_error_ms,
        row.each_p99_ms, row.itl_bias_percent, row.late_p99_ms, row.largest_gap_ms, row.cpu_us_per_chunk,
        row.peak_rss_mb, row.start_s, row.said,
    ]  # fmt: skip
    texts = [
        "-" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells
    ]
    return " ".join(f"{text:>{width}}" for text, (_, width) in zip(texts, COLUMNS, strict=True))


def _compare(rows: Sequence[Row]) -> None:
    """Each other tool as a multiple of ours, case by case."""
    ours = {row.case: row for row in rows if row.tool == "tidegate"}
    for row in rows:
        base = ours[row.case]
        if row is base:
            continue
        ratios = {
            "TTFT bias": _ratio(row.ttft_bias_ms, base.ttft_bias_ms),
            "p99 error": _ratio(row.p99_error_ms, base.p99_error_ms),
            "CPU": _ratio(row.cpu_us_per_chunk, base.cpu_us_per_chunk),
            "RSS": _ratio(row.peak_rss_mb, base.peak_rss_mb),
            "start": _ratio(row.start_s, base.start_s),
        }
        told = ", ".join(f"{name} x {ratio:.1f}" for name, ratio in ratios.items() if ratio is not None)
        print(f"{row.tool} against tidegate at {row.case}: {told}")


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    return abs(theirs) / abs(ours) if theirs is not None and ours else None


if __name__ == "__main__":
    sys.exit(main())
