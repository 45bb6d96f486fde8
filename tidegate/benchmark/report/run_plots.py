"""The plots of one run: latency over time, its distribution, the gaps between chunks, and what was under way."""

import math
from collections.abc import Callable, Sequence

from tidegate.benchmark.record import Outcome, Phase, RequestRecord, RunRecord
from tidegate.benchmark.report.axes import Axis, linear_axis, log_axis, number
from tidegate.benchmark.report.plot import Cells, Dots, Layer, Line, Plot, Point, Rule, Span
from tidegate.benchmark.report.thinning import Curve, cumulative, thinned
from tidegate.statistics import percentile_interval

MS, S = 1e6, 1e9
SMALLEST_MS = 0.01
TIME_CELLS, GAP_ROWS = 60, 22
SHARES = (0.5, 0.9, 0.95, 0.99)

Milliseconds = Callable[[RequestRecord], float | None]


def first_token_ms(request: RequestRecord) -> float | None:
    """From the planned time where there is one, as a user who comes at that time waits for it."""
    return _since_start(request, request.chunk_ns[0]) if request.chunk_ns else None


def answer_ms(request: RequestRecord) -> float | None:
    """Until the last chunk with content; an answer in one piece: until its end."""
    last = request.chunk_ns[-1] if request.chunk_ns else request.end_ns
    return _since_start(request, last) if last is not None else None


def _since_start(request: RequestRecord, stamp: int) -> float | None:
    return None if request.start_ns is None else (stamp - request.start_ns) / MS


def latency_over_time(run: RunRecord, slo: dict[str, float]) -> Plot | None:
    """Every request where it began, so that a stall or a warm-up that was too short is seen."""
    begun = [request for request in run.requests if request.start_ns is not None]
    good = [request for request in begun if request.is_ok]
    bad = [request for request in begun if not request.is_ok]
    first, whole = _dots(good, first_token_ms), _dots(good, answer_ms)
    values = [y for _, y in (*first, *whole)]
    if not begun or not (values or bad):
        return None
    y = log_axis("Latency", "ms", [*values, *slo.values()] or [1.0], smallest=SMALLEST_MS)
    lost = tuple((_begin_s(request), y.high / 1.06) for request in bad)
    layers: list[Layer] = [*_phases(run)]
    layers += [Dots("Whole answer", "s1", thinned(whole)), Dots("First token", "s0", thinned(first))]
    if lost:
        texts = tuple(f"Not answered\n{request.error or request.outcome.value}" for request in bad)
        kept = tuple(zip(lost, texts, strict=True))[:600]
        layers.append(Dots("Failed", "bad", tuple(one for one, _ in kept), tuple(text for _, text in kept)))
    layers += [Rule(ms, f"{name} limit", "rule limit", is_vertical=False) for name, ms in slo.items()]
    x = linear_axis("Time since the start of the run", "s", [0.0, *map(_end_s, begun)])
    from_what = "the time the schedule wanted it" if run.is_open_loop else "its sending"
    summary = f"One dot a request, at {from_what}: {len(good)} answered, {len(bad)} not."
    return Plot("latency", "Latency over time", summary, x, y, tuple(layers))


def distribution(run: RunRecord) -> Plot | None:
    """Share of the planned requests that were answered within a time: failures never are, so the curve stays low."""
    planned = run.measured()
    curves: list[Curve] = []
    for name, css, of in (("First token", "s0", first_token_ms), ("Whole answer", "s1", answer_ms)):
        times = [_or_never(request, of) for request in planned]
        if any(map(math.isfinite, times)):
            curves.append(cumulative(name, css, times, len(planned)))
    if not curves:
        return None
    x = log_axis("Within", "ms", [ms for one in curves for ms, _ in one.points], smallest=SMALLEST_MS)
    y = Axis("Requests", "%", 0, 103)
    layers: list[Layer] = []
    told: list[str] = []
    for curve in curves:
        layers.append(Line(curve.name, curve.css, curve.points, is_step=True))
        layers += _percentile_marks(curve)
        if estimate := percentile_interval(curve.values, 0.5):
            told.append(f"half of them have their {curve.name.lower()} within {number(estimate.value)} ms")
    told_text = f": {', '.join(told)}" if told else ""
    summary = (
        f"{len(planned)} planned requests; what failed never arrives{told_text}. "
        "Marks are percentiles with their 95 % intervals, where there are requests enough."
    )
    return Plot("distribution", "How long requests take", summary, x, y, tuple(layers))


def _percentile_marks(curve: Curve) -> list[Layer]:
    """The order-statistic interval lies along x, at the height of its share."""
    marks: list[Layer] = []
    for share in SHARES:
        estimate = percentile_interval(curve.values, share)
        if estimate is None or not math.isfinite(estimate.high):
            continue
        text = (
            f"{curve.name}, p{share * 100:g}\n{number(estimate.value)} ms "
            f"({number(estimate.low)} to {number(estimate.high)} ms)\nof {estimate.samples} requests"
        )
        at = 100 * share
        low, high = max(estimate.low, SMALLEST_MS), max(estimate.high, SMALLEST_MS)
        marks.append(Line("", f"interval {curve.css}", ((low, at), (high, at))))
        marks.append(Dots(curve.name, f"big {curve.css}", ((max(estimate.value, SMALLEST_MS), at),), (text,)))
    return marks


def gap_map(run: RunRecord) -> Plot | None:
    """All gaps between chunks by time and length: a stall of all streams is a column that reaches up."""
    gaps = [
        (later / S, (later - earlier) / MS)
        for request in run.measured()
        for earlier, later in zip(request.chunk_ns, request.chunk_ns[1:], strict=False)
    ]
    if len(gaps) < 2:
        return None
    longest = max(gap for _, gap in gaps)
    smallest = max(min(gap for _, gap in gaps), 0.05)
    y = log_axis("Gap between chunks", "ms", [smallest, longest], smallest=0.05)
    start, end = min(at for at, _ in gaps), max(at for at, _ in gaps)
    width = max(end - start, 1e-6) / TIME_CELLS
    x = linear_axis("Time since the start of the run", "s", [start, end])
    counts: dict[tuple[int, int], int] = {}
    for at, gap in gaps:
        cell = min(int((at - start) / width), TIME_CELLS - 1), _row(y, gap)
        counts[cell] = counts.get(cell, 0) + 1
    most = math.log1p(max(counts.values()))
    cells = tuple(
        _cell(y, start + column * width, width, row, count, math.log1p(count) / most)
        for (column, row), count in sorted(counts.items())
    )
    summary = f"{len(gaps)} gaps, the longest {number(longest)} ms. Darker: more of them."
    return Plot("gaps", "Gaps between chunks", summary, x, y, (Cells("Gaps", cells),))


def _row(y: Axis, gap: float) -> int:
    return min(max(int(y.place(max(gap, y.low)) * GAP_ROWS), 0), GAP_ROWS - 1)


def _cell(
    y: Axis, left: float, width: float, row: int, count: int, shade: float
) -> tuple[float, float, float, float, float, str]:
    ratio = y.high / y.low
    low, high = y.low * ratio ** (row / GAP_ROWS), y.low * ratio ** ((row + 1) / GAP_ROWS)
    text = f"{count} gap{'s' if count != 1 else ''} of {number(low)} to {number(high)} ms\n{left:.1f} to {left + width:.1f} s"
    return (left, left + width, low, high, min(shade, 0.999), text)


def under_way(run: RunRecord) -> Plot | None:
    """Requests in flight over time: whether the load was what was asked for, and whether a queue grew."""
    steps: list[tuple[int, int]] = []
    for request in run.requests:
        if request.sent_ns is not None:
            steps.append((request.sent_ns, 1))
            if request.end_ns is not None:
                steps.append((request.end_ns, -1))
    if not steps:
        return None
    flying, points, most = 0, list[Point](), 0
    for at, change in sorted(steps):
        flying += change
        most = max(most, flying)
        points.append((at / S, float(flying)))
    x = linear_axis("Time since the start of the run", "s", [0.0, points[-1][0]])
    y = linear_axis("Requests in flight", "", [0.0, float(most)], from_zero=True)
    line = Line("In flight", "s0", _coarse(points, x), is_step=True)
    summary = f"At most {most} at once."
    return Plot("in-flight", "Requests in flight", summary, x, y, (*_phases(run), line), height=240)


def _coarse(points: Sequence[Point], x: Axis, columns: int = 500) -> tuple[Point, ...]:
    """The highest of each column: peaks are what matters."""
    best: dict[int, Point] = {}
    for point in points:
        column = int(x.place(point[0]) * columns)
        if column not in best or point[1] >= best[column][1]:
            best[column] = point
    return tuple(best[column] for column in sorted(best))


def _dots(requests: Sequence[RequestRecord], of: Milliseconds) -> list[Point]:
    return [(_begin_s(request), value) for request in requests if (value := of(request)) is not None]


def _or_never(request: RequestRecord, of: Milliseconds) -> float:
    value = of(request) if request.outcome is Outcome.OK else None
    return math.inf if value is None else value


def _begin_s(request: RequestRecord) -> float:
    return (request.start_ns or 0) / S


def _end_s(request: RequestRecord) -> float:
    return (request.end_ns or request.start_ns or 0) / S


def _phases(run: RunRecord) -> list[Layer]:
    """Where the measured window is not: shaded."""
    start, end = (stamp / S for stamp in run.window_ns)
    last = max((_end_s(request) for request in run.requests), default=end)
    shaded: list[Layer] = []
    if start > 0 and any(request.phase is Phase.WARMUP for request in run.requests):
        shaded.append(Span(0, start, "warm-up"))
    if last > end:
        shaded.append(Span(end, last, "cool-down"))
    return shaded
