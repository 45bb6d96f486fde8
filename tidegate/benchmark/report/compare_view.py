"""The report of two runs: the verdict in words, ratios with intervals against their margins, and both distributions."""

import math
from collections.abc import Sequence

from tidegate.benchmark.compare import BOOTSTRAP
from tidegate.benchmark.compared import Comparison, MetricComparison
from tidegate.benchmark.definitions import definitions
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.report.axes import Axis, linear_axis, log_axis, number, percent
from tidegate.benchmark.report.plot import Dots, Layer, Line, Plot, Rule, Whisker
from tidegate.benchmark.report.run_plots import answer_ms, first_token_ms
from tidegate.benchmark.report.run_view import facts, meanings, plan_text
from tidegate.benchmark.report.thinning import cumulative
from tidegate.benchmark.report.verdicts import verdict_of_comparison
from tidegate.benchmark.report.view import Cell, Meaning, Section, Table, View
from tidegate.benchmark.report.warnings import CLIENT, warned
from tidegate.benchmark.summary import RunSummary
from tidegate.domain import Verdict

TONES = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.NOT_JUDGED: "open", Verdict.ERROR: "bad"}
WORDS = {
    Verdict.PASS: "inside",
    Verdict.FAIL: "too slow",
    Verdict.NOT_JUDGED: "not judged",
    Verdict.ERROR: "error",
}
ROW_HEIGHT = 62
RATIO_MEANING = Meaning(
    "Ratio",
    "The candidate's quantile over the base's. 1.10 means 10 % slower. Where both were sent the same requests in the "
    "same blocks, it is the geometric mean over the pairs of blocks, and the interval is Student's t on their "
    "logarithms: requests under load depend on each other, blocks do not.",
    "exp(mean(ln(candidate block / base block)))",
)
MARGIN_MEANING = Meaning(
    "Verdict",
    "inside: the whole interval is on the safe side of what is allowed. too slow: the whole interval is beyond it. "
    "not judged: the interval holds the limit, so more must be measured. Only 'inside' passes.",
)


def view_of_comparison(
    found: Comparison, base: tuple[RunRecord, RunSummary], candidate: tuple[RunRecord, RunSummary]
) -> View:
    """Base first, candidate second, as everywhere."""
    verdict = verdict_of_comparison(found)
    names = names_of(found)
    title = f"{names[1]} against {names[0]}"
    plots = (ratio_plot(found), distributions(base[0], candidate[0], names), *block_plots(found, names))
    about = Section("The two runs", tables=(_side_by_side(base, candidate, names),))
    return View(
        word=verdict.word,
        tone=verdict.tone,
        title=title,
        # What keeps the runs from being compared is the same for every figure: it is said once.
        sentences=(verdict.sentence, *(f"{row.summary}." for row in found.metrics if not found.obstacles)),
        facts=_facts(base, candidate, names),
        warnings=_warnings(found, base, candidate, names),
        sections=(
            Section("By how much", tables=(_table(found),), plots=tuple(plot for plot in plots[:1] if plot)),
            about,
            Section("Plots", plots=tuple(plot for plot in plots[1:] if plot)),
        ),
        definitions=(RATIO_MEANING, MARGIN_MEANING, *meanings(candidate[1])),
        notes=(),
        appendix=(
            (f"The plan of {names[0]}", plan_text(base[0])),
            (f"The plan of {names[1]}", plan_text(candidate[0])),
        ),
        footer=f"Base {found.base}, candidate {found.candidate}. Written by Tidegate.",
    )


def names_of(found: Comparison) -> tuple[str, str]:
    """Labels where they tell them apart, else ids."""
    labels = found.base_label, found.candidate_label
    return labels if all(labels) and labels[0] != labels[1] else (found.base, found.candidate)


def _facts(
    base: tuple[RunRecord, RunSummary], candidate: tuple[RunRecord, RunSummary], names: tuple[str, str]
) -> tuple[tuple[str, str], ...]:
    ours, theirs = dict(facts(*base)), dict(facts(*candidate))
    told: list[tuple[str, str]] = []
    for name, text in ours.items():
        other = theirs.get(name, "")
        told.append((name, text if text == other else f"{names[0]}: {text}; {names[1]}: {other}"))
    return tuple(told)


def _warnings(
    found: Comparison,
    base: tuple[RunRecord, RunSummary],
    candidate: tuple[RunRecord, RunSummary],
    names: tuple[str, str],
) -> tuple[str, ...]:
    told = [f"Not comparable: {obstacle}." for obstacle in found.obstacles]
    told += found.notes
    ours, theirs = (_of_run(*one, found) for one in (base, candidate))
    told += [text for text in ours if text in theirs]
    told += [f"{names[0]}: {text}" for text in ours if text not in theirs]
    told += [f"{names[1]}: {text}" for text in theirs if text not in ours]
    return tuple(told)


def _of_run(run: RunRecord, summary: RunSummary, found: Comparison) -> tuple[str, ...]:
    """A client that was the limit is an obstacle, and told as one."""
    return tuple(one.text for one in warned(run, summary) if one.kind != CLIENT or not found.obstacles)


def _table(found: Comparison) -> Table:
    rows = tuple(_row(row) for row in found.metrics)
    return Table(("", "base", "candidate", "ratio", "allowed", "verdict"), rows, "Times in milliseconds.")


def _row(row: MetricComparison) -> tuple[Cell, ...]:
    interval = "" if row.low is None else f"{number(row.low)} to {number(row.high)}"
    pairs = f"{row.pairs} block pairs" if row.method != BOOTSTRAP and row.pairs else ""
    return (
        Cell(row.label, row.summary),
        Cell(number(row.base_ms)),
        Cell(number(row.candidate_ms)),
        Cell(number(row.ratio), "\n".join(filter(None, (interval, pairs)))),
        Cell("–" if row.allowed_ratio is None else f"up to {number(row.allowed_ratio)}"),
        Cell(WORDS[row.verdict], tone=TONES[row.verdict]),
    )


def _side_by_side(
    base: tuple[RunRecord, RunSummary], candidate: tuple[RunRecord, RunSummary], names: tuple[str, str]
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in ("ttft", "ttft_planned", "itl", "e2e", "stall"):
        for share in ("p50", "p95"):
            cells = [_value(summary, name, share) for _, summary in (base, candidate)]
            if any(cell.text != "–" for cell in cells):
                rows.append((Cell(f"{definitions()[name].title}, {share} (ms)"), *cells))
    rows.append(
        (
            Cell("Output tokens per second"),
            *(Cell(number(one.output_tps.value)) for _, one in (base, candidate)),
        )
    )
    rows.append(
        (Cell("Failed requests"), *(Cell(percent(one.error_share.value)) for _, one in (base, candidate)))
    )
    return Table(("", *names), tuple(rows))


def _value(summary: RunSummary, name: str, share: str) -> Cell:
    one = getattr(summary, name)
    point = getattr(one, share) if one is not None else None
    return (
        Cell("–")
        if point is None
        else Cell(number(point.value), f"{number(point.low)} to {number(point.high)}")
    )


def ratio_plot(found: Comparison) -> Plot | None:
    """One row a metric: its interval, 1 for equal, and the margin that must not be reached."""
    rows = [row for row in found.metrics if row.ratio is not None]
    if not rows:
        return None
    layers: list[Layer] = [Rule(1.0, "equal", "rule even")]
    values: list[float] = [1.0]
    for number_, row in enumerate(reversed(rows)):
        low, middle, high = (_bounded(value) for value in (row.low, row.ratio, row.high))
        values += [low, high, *((row.allowed_ratio,) if row.allowed_ratio else ())]
        if row.allowed_ratio:
            at = row.allowed_ratio
            text = (f"{row.label}\nallowed up to {number(at)} times the base",)
            layers.append(Line("", "limit-mark bad", ((at, number_ - 0.35), (at, number_ + 0.35))))
            layers.append(Dots("Allowed", "bad", ((at, number_),), text))
        layers.append(
            Whisker(row.label, TONES[row.verdict], number_, low, middle, high, f"{row.label}\n{row.summary}")
        )
    x = Axis("Candidate over base", "", min(values) / 1.04, max(values) * 1.04, "log")
    names = tuple(row.label for row in reversed(rows))
    y = Axis("Figure", "", -0.6, len(rows) - 0.35, "rows", names)
    height = 70 + ROW_HEIGHT * len(rows)
    summary = "Left of 1 the candidate is faster. An interval wholly left of its red margin passes."
    return Plot("ratios", "Ratios with their margins", summary, x, y, tuple(layers), height, can_zoom=False)


def _bounded(value: float | None) -> float:
    if value is None or not math.isfinite(value):
        return 100.0
    return min(max(value, 0.01), 100.0)


def distributions(base: RunRecord, candidate: RunRecord, names: tuple[str, str]) -> Plot | None:
    """Both curves in one picture; failures never arrive."""
    layers: list[Layer] = []
    values: list[float] = []
    for run, name, css in ((base, names[0], "s0"), (candidate, names[1], "s1")):
        planned = run.measured()
        times = [
            _or_never(first_token_ms(one) or answer_ms(one)) if one.is_ok else math.inf for one in planned
        ]
        if any(map(math.isfinite, times)):
            curve = cumulative(name, css, times, len(planned))
            values += [x for x, _ in curve.points]
            layers.append(Line(name, css, curve.points, is_step=True))
    if not values:
        return None
    x = log_axis("First token within", "ms", values, smallest=0.01)
    summary = "Share of the planned requests with a first token within a time. What failed never arrives."
    return Plot("both", "Both distributions", summary, x, Axis("Requests", "%", 0, 103), tuple(layers))


def _or_never(value: float | None) -> float:
    return math.inf if value is None else value


def block_plots(found: Comparison, names: tuple[str, str]) -> Sequence[Plot]:
    """The pairs of blocks that the verdict rests on."""
    plots: list[Plot] = []
    for row in found.metrics:
        if len(row.blocks) < 2:
            continue
        sides = (
            tuple((float(one.block + 1), one.base) for one in row.blocks),
            tuple((float(one.block + 1), one.candidate) for one in row.blocks),
        )
        layers: list[Layer] = []
        for name, css, points in zip(names, ("s0", "s1"), sides, strict=True):
            layers += [Line(name, css, points), Dots(name, f"big {css}", points)]
        x = linear_axis("Block", "", [point[0] for point in sides[0]])
        y = linear_axis(row.label, "ms", [value for side in sides for _, value in side], from_zero=True)
        summary = "A drift of the machine moves both; a slower candidate lies above in most pairs."
        title = f"{row.label}, block by block"
        plots.append(Plot(f"blocks-{row.metric}", title, summary, x, y, tuple(layers), height=240))
    return plots
