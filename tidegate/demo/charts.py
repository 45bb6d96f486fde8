"""Inline SVG charts of one service: whose answers clients got, and how many requests did not end well. Pure.

Colours are CSS variables of the page, so that one drawing serves light and dark. Text is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from tidegate.demo.scenario import Outcome
from tidegate.demo.story import ActRecord, Sample, ServiceStory
from tidegate.domain import JournalEntry, ReleaseState

WIDTH, LEFT, RIGHT = 1000, 44, 14
MARK_ROWS, ROW_HEIGHT, CHARACTER_WIDTH = 5, 15, 6.6
MARKS_HEIGHT = 12 + MARK_ROWS * ROW_HEIGHT
SHARE_HEIGHT, GAP, RATE_HEIGHT, AXIS_HEIGHT = 190, 26, 84, 24
BIN_S = 1.0
BAD_LEGEND = '<tspan class="bad-text">failed or cut off</tspan>'
TICKS_S = (5, 10, 15, 20, 30, 60, 120, 300)
MAX_TICKS = 12


MARKED = frozenset(
    {ReleaseState.SHIFTING, ReleaseState.DONE, ReleaseState.ROLLING_BACK, ReleaseState.REJECTED}
)


@dataclass(frozen=True)
class Mark:
    """Something that happened at a moment: a line through the chart with a word on top."""

    seconds: float
    text: str
    kind: str
    """`step`, `good`, `bad` or `kill`."""


@dataclass(frozen=True)
class Bin:
    """Answers by version, and requests that failed or broke off, within one second."""

    start_s: float
    answered: dict[str, int]
    bad: int


@dataclass(frozen=True)
class _Scale:
    """Seconds to pixels."""

    until_s: float

    def x(self, seconds: float) -> float:
        inner = WIDTH - LEFT - RIGHT
        return LEFT + inner * min(max(seconds, 0.0), self.until_s) / self.until_s


def chart(service: ServiceStory, started_at: datetime, ended_at: datetime) -> Markup:
    """The whole drawing of one service."""
    versions = [act.version for act in service.acts]
    scale = _Scale(max(1.0, (ended_at - started_at).total_seconds()))
    bins = bins_of(service, started_at)
    top, rate_top = MARKS_HEIGHT, MARKS_HEIGHT + SHARE_HEIGHT + GAP
    height = rate_top + RATE_HEIGHT + AXIS_HEIGHT
    parts = [
        *_share_grid(top),
        *_share_bars(bins, versions, scale, top),
        *_wanted_lines(service.samples, versions, started_at, scale, top),
        *_rate(bins, scale, rate_top),
        *_marks(marks_of(service, started_at), scale, rate_top + RATE_HEIGHT),
        *_axis(scale, rate_top + RATE_HEIGHT),
    ]
    label = escape(f"{service.service}: share of answers by version, and failures, over time")
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}" class="chart">'
    return Markup(head + "".join(parts) + "</svg>")


def bins_of(service: ServiceStory, started_at: datetime) -> list[Bin]:
    """Cumulative samples as answers in each second; failures stand where their clients saw them end."""
    bins: dict[int, dict[str, int]] = {}
    before: dict[str, int] = {}
    for sample in service.samples:
        number = int((sample.at - started_at).total_seconds() / BIN_S)
        own = bins.setdefault(number, {})
        for version, answered in sample.answered.items():
            own[version] = own.get(version, 0) + answered - before.get(version, 0)
        before = before | sample.answered
    bad: dict[int, int] = {}
    for failure in service.failures:
        number = int((failure.ended_at - started_at).total_seconds() / BIN_S)
        bad[number] = bad.get(number, 0) + 1
    return [
        Bin(number * BIN_S, bins.get(number, {}), bad.get(number, 0))
        for number in sorted({*bins, *bad})
        if number >= 0
    ]


def marks_of(service: ServiceStory, started_at: datetime) -> list[Mark]:
    """Steps up the ladder, refusals, the kill, the way back."""
    marks: list[Mark] = []
    for act in service.acts:
        marks += [_mark(act, entry, started_at) for entry in act.entries if _is_told(entry)]
        if act.kill is not None:
            marks.append(Mark((act.kill.begun_at - started_at).total_seconds(), "killed", "kill"))
    return sorted(marks, key=lambda mark: mark.seconds)


def _is_told(entry: JournalEntry) -> bool:
    return entry.kind == "entered" and ReleaseState(entry.name) in MARKED


def _mark(act: ActRecord, entry: JournalEntry, started_at: datetime) -> Mark:
    at = (entry.at - started_at).total_seconds()
    match ReleaseState(entry.name):
        case ReleaseState.SHIFTING:
            # The version is said once; the steps that follow are its own.
            name = (
                ""
                if entry.data.get("step") and act.release.plan and act.release.plan.blue_set
                else act.version
            )
            return Mark(at, f"{name} {entry.data.get('weight', '?')} %".strip(), "step")
        case ReleaseState.DONE:
            return Mark(at, f"{act.version} live", "good")
        case _ if act.outcome is Outcome.REFUSED:
            return Mark(at, f"{act.version} refused", "bad")
        case _:
            return Mark(at, "goes back", "bad")


def _share_grid(top: float) -> list[str]:
    lines: list[str] = []
    for percent in (0, 50, 100):
        y = top + SHARE_HEIGHT * (1 - percent / 100)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        lines.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" class="tick end">{percent} %</text>')
    return lines


def _share_bars(bins: Sequence[Bin], versions: Sequence[str], scale: _Scale, top: float) -> list[str]:
    """Every second one column, split by who answered."""
    parts: list[str] = []
    for one in bins:
        total = sum(one.answered.values())
        y = top + SHARE_HEIGHT
        left, right = scale.x(one.start_s), scale.x(one.start_s + BIN_S)
        for number, version in enumerate(versions):
            count = one.answered.get(version, 0)
            if not count or right <= left:
                continue
            height = SHARE_HEIGHT * count / total
            y -= height
            title = escape(f"{version}: {count} of {total} answers in second {one.start_s:.0f}")
            parts.append(
                f'<rect x="{left:.1f}" y="{y:.1f}" width="{right - left + 0.2:.1f}" height="{height:.1f}" '
                f'class="v{number}"><title>{title}</title></rect>'
            )
    return parts


def _wanted_lines(
    samples: Sequence[Sample], versions: Sequence[str], started_at: datetime, scale: _Scale, top: float
) -> list[str]:
    """The boundary between versions as it was wanted: columns follow it as closely as chance allows."""
    parts: list[str] = []
    for number in range(1, len(versions)):
        points: list[str] = []
        last_y: float | None = None
        for sample in samples:
            if not sum(sample.weights.values()):
                continue
            below = sum(sample.weights.get(version, 0) for version in versions[:number])
            y = top + SHARE_HEIGHT * (1 - below / 100)
            x = scale.x((sample.at - started_at).total_seconds())
            if last_y is not None and y != last_y:
                points.append(f"{x:.1f},{last_y:.1f}")
            if y != last_y:
                points.append(f"{x:.1f},{y:.1f}")
            last_y = y
        if points and last_y is not None:
            points.append(f"{scale.x(scale.until_s):.1f},{last_y:.1f}")
            parts.append(f'<polyline points="{" ".join(points)}" class="wanted"/>')
    return parts


def _rate(bins: Sequence[Bin], scale: _Scale, top: float) -> list[str]:
    """Whole answers a second, with what failed or broke off in red on top."""
    highest = max((sum(one.answered.values()) + one.bad for one in bins), default=0)
    bottom = top + RATE_HEIGHT
    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}" class="grid"/>',
        f'<text x="{LEFT}" y="{top - 7}" class="tick">answers a second; {BAD_LEGEND}</text>',
    ]
    if not highest:
        return parts
    parts.append(f'<text x="{LEFT - 7}" y="{top + 8}" class="tick end">{highest}</text>')
    for one in bins:
        left, width = scale.x(one.start_s), scale.x(one.start_s + BIN_S) - scale.x(one.start_s)
        good = sum(one.answered.values())
        height = RATE_HEIGHT * good / highest
        if width <= 0:
            continue
        if good:
            parts.append(
                f'<rect x="{left:.1f}" y="{bottom - height:.1f}" width="{max(width - 1, 0.5):.1f}" '
                f'height="{height:.1f}" class="rate"><title>{good} answers in second {one.start_s:.0f}</title></rect>'
            )
        if one.bad:
            bad = max(5.0, RATE_HEIGHT * one.bad / highest)
            parts.append(
                f'<rect x="{left:.1f}" y="{bottom - height - bad:.1f}" width="{max(width - 1, 3):.1f}" '
                f'height="{bad:.1f}" class="bad"><title>{one.bad} failed or cut off</title></rect>'
            )
    return parts


def _marks(marks: Sequence[Mark], scale: _Scale, bottom: float) -> list[str]:
    """Vertical lines; a word takes the first row in which it touches no other, or is told by its line alone."""
    parts: list[str] = []
    ends = [float("-inf")] * MARK_ROWS
    for mark in marks:
        x, width = scale.x(mark.seconds), CHARACTER_WIDTH * len(mark.text)
        left = min(x + 3, WIDTH - RIGHT - width)
        row = next((number for number, end in enumerate(ends) if end <= left), None)
        top = 4 if row is None else 17 + ROW_HEIGHT * row
        title = escape(f"{mark.text} at {mark.seconds:.2f} s")
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" class="mark {mark.kind}">'
            f"<title>{title}</title></line>"
        )
        if row is not None:
            ends[row] = left + width + CHARACTER_WIDTH
            parts.append(
                f'<text x="{left:.1f}" y="{top - 4}" class="mark-text {mark.kind}">{escape(mark.text)}</text>'
            )
    return parts


def _axis(scale: _Scale, top: float) -> list[str]:
    step = next((tick for tick in TICKS_S if scale.until_s / tick <= MAX_TICKS), TICKS_S[-1])
    return [
        f'<text x="{scale.x(second):.1f}" y="{top + 17}" class="tick middle">{second} s</text>'
        for second in range(0, int(scale.until_s) + 1, step)
    ]
