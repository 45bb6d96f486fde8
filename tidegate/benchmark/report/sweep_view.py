"""The report of a sweep or a search: how latency and throughput change with load, and where the knee is."""

from collections.abc import Callable, Sequence

from tidegate.benchmark.definitions import PERCENTILE_NOTE
from tidegate.benchmark.figures import Percentile, Rate
from tidegate.benchmark.report.axes import linear_axis, log_axis, number, percent
from tidegate.benchmark.report.document import BenchmarkReport, MeasuredRun
from tidegate.benchmark.report.plot import Band, Dots, Layer, Line, Plot, Rule
from tidegate.benchmark.report.run_view import facts, judged, meanings, plan_text
from tidegate.benchmark.report.verdicts import verdict_of_levels
from tidegate.benchmark.report.view import Cell, Section, Table, View
from tidegate.benchmark.report.warnings import warned
from tidegate.benchmark.summary import RunSummary

SMALLEST_MS = 0.01


def view_of_levels(report: BenchmarkReport, knee: float | None, knee_words: str) -> View:
    """`knee` is the load beyond which more load brings little but waiting."""
    verdict = verdict_of_levels(report)
    levels = sorted(report.runs, key=lambda one: (one.load or 0, one.run.created_at))
    last = levels[-1]
    words = (verdict.sentence, knee_words)
    plots = (latency_by_load(report, levels, knee), throughput_by_load(report, levels, knee))
    return View(
        word=verdict.word,
        tone=verdict.tone,
        title=report.label or last.run.target,
        sentences=tuple(filter(None, words)),
        facts=tuple(
            fact for fact in facts(last.run, last.summary) if fact[0] not in ("Load", "Measured", "Schedule")
        ),
        warnings=_warnings(report, levels),
        sections=(
            Section("Load and what it costs", tables=(_table(report, levels),)),
            Section("Plots", plots=tuple(plot for plot in plots if plot)),
        ),
        definitions=meanings(last.summary),
        notes=(PERCENTILE_NOTE,),
        appendix=(("The plan of the highest load", plan_text(last.run)),),
        footer=f"{report.id}, {report.created_at:%Y-%m-%d %H:%M:%S %Z}. Written by Tidegate.",
    )


def _warnings(report: BenchmarkReport, levels: Sequence[MeasuredRun]) -> tuple[str, ...]:
    """Each kind once, in the words of the highest load that it holds for."""
    found: dict[str, list[tuple[str, str]]] = {}
    for one in levels:
        for warning in warned(one.run, one.summary):
            found.setdefault(warning.kind, []).append((f"{one.load or 0:g}", warning.text))
    return tuple(_warning(report, places, len(levels)) for places in found.values())


def _warning(report: BenchmarkReport, places: Sequence[tuple[str, str]], levels: int) -> str:
    loads, text = [load for load, _ in places], places[-1][1]
    is_same = len({said for _, said in places}) == 1
    if is_same and len(places) == levels:
        return text
    others = f" (likewise at {', '.join(loads[:-1])})" if len(loads) > 1 else ""
    return f"At {loads[-1]} {report.load_unit}{others}: {text}"


def _table(report: BenchmarkReport, levels: Sequence[MeasuredRun]) -> Table:
    has_slo = report.slo is not None
    columns = [report.load_unit, "answered", "tokens/s", "first token p50", "p95", "time per token p50"]
    rows = tuple(_row(one, has_slo=has_slo) for one in levels)
    return Table((*columns, *(("good",) if has_slo else ()), "note"), rows, "Times in milliseconds.")


def _row(one: MeasuredRun, *, has_slo: bool) -> tuple[Cell, ...]:
    summary = one.summary
    first = judged(summary, "ttft")
    good = (Cell(percent(summary.attainment.value) if summary.attainment else "–"),) if has_slo else ()
    note = "client-bound" if summary.not_gateable else one.overload
    return (
        Cell(f"{one.load or 0:g}"),
        Cell(f"{summary.requests.ok} of {summary.requests.planned}"),
        Cell(number(summary.output_tps.value), _range(summary.output_tps)),
        _percentile(first.p50),
        _percentile(first.p95),
        _percentile(summary.itl.p50),
        *good,
        Cell(note),
    )


def _percentile(one: Percentile | None) -> Cell:
    return Cell("–") if one is None else Cell(number(one.value), f"{number(one.low)} to {number(one.high)}")


def _range(one: Rate) -> str:
    return "" if one.low is None else f"{number(one.low)} to {number(one.high)}"


def latency_by_load(
    report: BenchmarkReport, levels: Sequence[MeasuredRun], knee: float | None
) -> Plot | None:
    """First token, p50 and p95 with their intervals."""
    curves: tuple[tuple[str, str, Callable[[RunSummary], Percentile | None]], ...] = (
        ("First token, p50", "s0", lambda summary: judged(summary, "ttft").p50),
        ("First token, p95", "s1", lambda summary: judged(summary, "ttft").p95),
    )
    layers: list[Layer] = []
    values: list[float] = []
    for name, css, of in curves:
        found = [
            (one.load or 0.0, max(point.value, SMALLEST_MS), point)
            for one in levels
            if (point := of(one.summary)) is not None and point.value is not None
        ]
        values += [value for _, value, _ in found]
        layers += _curve(name, css, found)
    if not values:
        return None
    limit = report.slo.limits().get("ttft") if report.slo else None
    if limit is not None:
        values.append(limit)
        layers.append(Rule(limit, "limit", "rule limit", is_vertical=False))
    x = linear_axis("Load", report.load_unit, [one.load or 0.0 for one in levels], from_zero=True)
    y = log_axis("Time to first token", "ms", values, smallest=SMALLEST_MS)
    summary = "Bands are 95 % intervals; each point is one run at one load."
    return Plot("sweep-latency", "Latency by load", summary, x, y, (*_knee(knee), *layers))


def _curve(name: str, css: str, found: Sequence[tuple[float, float, Percentile]]) -> list[Layer]:
    bands = tuple(
        (load, max(one.low, SMALLEST_MS), max(one.high, SMALLEST_MS))
        for load, _, one in found
        if one.low is not None and one.high is not None
    )
    points = tuple((load, value) for load, value, _ in found)
    texts = tuple(
        f"{name}\nat {load:g}: {number(value)} ms ({number(one.low)} to {number(one.high)} ms)\n{one.n} requests"
        for load, value, one in found
    )
    return [Band(css, bands), Line(name, css, points, texts=texts), Dots(name, f"big {css}", points, texts)]


def throughput_by_load(
    report: BenchmarkReport, levels: Sequence[MeasuredRun], knee: float | None
) -> Plot | None:
    """Tokens per second of all users together."""
    found = [(one.load or 0.0, one.summary.output_tps) for one in levels]
    if not any(rate.value for _, rate in found):
        return None
    points = tuple((load, rate.value) for load, rate in found)
    band = tuple(
        (load, rate.low, rate.high) for load, rate in found if rate.low is not None and rate.high is not None
    )
    texts = tuple(
        f"At {load:g} {report.load_unit}\n{number(rate.value)} tokens/s {_range(rate) and f'({_range(rate)})'}"
        for load, rate in found
    )
    x = linear_axis("Load", report.load_unit, [load for load, _ in points], from_zero=True)
    highest = [value for _, value in points] + [high for _, _, high in band]
    y = linear_axis("Output", "tokens/s", highest, from_zero=True)
    layers: tuple[Layer, ...] = (
        *_knee(knee), Band("s2", band), Line("Output tokens", "s2", points, texts=texts),
        Dots("Output tokens", "big s2", points, texts),
    )  # fmt: skip
    return Plot("sweep-throughput", "Throughput by load", "All users together.", x, y, layers, height=280)


def _knee(knee: float | None) -> tuple[Layer, ...]:
    return () if knee is None else (Rule(knee, "knee"),)
