"""Draws a plot as SVG: the same drawing for the page, for print, and for the PNG.

Marks live in an inner drawing that cuts at its border, so that the page can stretch them along x to zoom: strokes do
not scale, and a dot is a stroke of no length with round ends, which stays round. Every text is escaped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from tidegate.benchmark.report.axes import tick_text
from tidegate.benchmark.report.plot import Band, Cells, Dots, Layer, Line, Plot, Point, Rule, Span, Whisker
from tidegate.domain.plain import plain

RIGHT, TOP, BOTTOM = 14, 16, 44
LEFT, ROWS_LEFT = 62, 12
TICK_ROOM, ROW_LABEL_UP = 34, 12
SHADES = 8


@dataclass(frozen=True)
class Frame:
    """The area inside the axes, in pixels, and where values fall in it."""

    plot: Plot
    width: float
    height: float

    @property
    def left(self) -> float:
        return ROWS_LEFT if self.plot.y.kind == "rows" else LEFT

    @property
    def inner_width(self) -> float:
        return self.width - self.left - RIGHT

    @property
    def inner_height(self) -> float:
        return self.height - TOP - BOTTOM

    def x(self, value: float) -> float:
        return self.plot.x.place(value) * self.inner_width

    def y(self, value: float) -> float:
        return (1 - self.plot.y.place(value)) * self.inner_height


def draw(plot: Plot, width: int, *, style: str = "", css: str = "") -> Markup:
    """The whole drawing. `style` is for a drawing that stands alone, outside a page."""
    frame = Frame(plot, width, plot.height)
    marks = "".join(_layer(layer, frame) for layer in plot.layers)
    inner = (
        f'<svg class="area" x="{frame.left:g}" y="{TOP}" width="{frame.inner_width:g}" '
        f'height="{frame.inner_height:g}" overflow="hidden"><g class="marks">{marks}</g></svg>'
    )
    labels = "".join(_rule_label(layer, frame) for layer in plot.layers if isinstance(layer, Rule | Span))
    label = escape(plain(f"{plot.title}. {plot.summary}"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing {escape(css)}" role="img" aria-label="{label}" '
        f'width="{width}" height="{plot.height}" viewBox="0 0 {width} {plot.height}" '
        f'data-left="{frame.left:g}" data-width="{frame.inner_width:g}" data-top="{TOP}" '
        f'data-height="{frame.inner_height:g}">'
    )
    sheet = f"<style>{style}</style>" if style else ""
    return Markup(f'{head}{sheet}{_axes(frame)}{inner}<g class="rule-labels">{labels}</g></svg>')


def _axes(frame: Frame) -> str:
    plot, bottom = frame.plot, TOP + frame.inner_height
    right = frame.left + frame.inner_width
    drawn: list[str] = []
    for value in plot.y.ticks():
        y = TOP + frame.y(value)
        drawn.append(f'<line class="grid" x1="{frame.left:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        if plot.y.kind == "rows":
            name = escape(plain(plot.y.rows[round(value)]))
            drawn.append(f'<text class="row" x="{frame.left + 4:g}" y="{y - ROW_LABEL_UP:.1f}">{name}</text>')
        else:
            drawn.append(
                f'<text class="tick end" x="{frame.left - 8:g}" y="{y + 4:.1f}">{tick_text(value)}</text>'
            )
    drawn.append('<g class="x-ticks">')
    for value in _spaced(plot.x.ticks(), frame):
        x = frame.left + frame.x(value)
        drawn.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom:g}"/>')
        drawn.append(f'<text class="tick middle" x="{x:.1f}" y="{bottom + 17:g}">{tick_text(value)}</text>')
    drawn.append("</g>")
    drawn.append(
        f'<line class="axis" x1="{frame.left:g}" x2="{right:g}" y1="{bottom:g}" y2="{bottom:g}"/>'
        f'<text class="title middle" x="{frame.left + frame.inner_width / 2:g}" y="{bottom + 37:g}">'
        f"{escape(_title(plot.x.title, plot.x.unit))}</text>"
    )
    if plot.y.kind != "rows":
        drawn.append(
            f'<text class="title" x="4" y="{TOP - 5}">{escape(_title(plot.y.title, plot.y.unit))}</text>'
        )
    return "".join(drawn)


def _spaced(ticks: tuple[float, ...], frame: Frame) -> Iterable[float]:
    """Ticks whose texts do not touch at this width."""
    last = -1e9
    for value in ticks:
        if frame.x(value) - last >= TICK_ROOM:
            last = frame.x(value)
            yield value


def _title(title: str, unit: str) -> str:
    return f"{title} ({unit})" if unit else title


def _layer(layer: Layer, frame: Frame) -> str:
    match layer:
        case Dots():
            path = "".join(f"M{frame.x(x):.1f} {frame.y(y):.1f}h.01" for x, y in layer.points)
            return f'<path class="dots {layer.css}" data-name="{_name(layer.name)}" d="{path}"/>'
        case Line():
            path = _path(_stepped(layer.points) if layer.is_step else layer.points, frame)
            return f'<path class="curve {layer.css}" data-name="{_name(layer.name)}" d="{path}"/>'
        case Band():
            return _band(layer, frame)
        case Cells():
            return _cells(layer, frame)
        case Whisker():
            return _whisker(layer, frame)
        case Span():
            x, end = frame.x(layer.start), frame.x(layer.end)
            return (
                f'<rect class="span" x="{x:.1f}" y="0" width="{max(end - x, 0):.1f}" '
                f'height="{frame.inner_height:g}"/>'
            )
        case Rule():
            return _rule(layer, frame)


def _name(text: str) -> Markup:
    return escape(plain(text))


def _path(points: Iterable[Point], frame: Frame) -> str:
    return "".join(
        f"{'L' if number else 'M'}{frame.x(x):.1f} {frame.y(y):.1f}" for number, (x, y) in enumerate(points)
    )


def _stepped(points: tuple[Point, ...]) -> Iterable[Point]:
    yield from points[:1]
    for (_, before), (x, y) in pairwise(points):
        yield (x, before)
        yield (x, y)


def _band(band: Band, frame: Frame) -> str:
    low = tuple((x, low) for x, low, _ in band.points)
    high = tuple((x, high) for x, _, high in band.points)
    if band.is_step:
        low, high = tuple(_stepped(low)), tuple(_stepped(high))
    path = _path((*high, *reversed(low)), frame)
    return f'<path class="band {band.css}" d="{path}Z"/>' if path else ""


def _cells(layer: Cells, frame: Frame) -> str:
    drawn: list[str] = []
    for left, right, low, high, shade, _ in layer.cells:
        x, y = frame.x(left), frame.y(high)
        level = min(SHADES - 1, int(shade * SHADES))
        drawn.append(
            f'<rect class="h{level}" x="{x:.1f}" y="{y:.1f}" width="{frame.x(right) - x + 0.3:.1f}" '
            f'height="{frame.y(low) - y + 0.3:.1f}"/>'
        )
    return f'<g data-name="{_name(layer.name)}">{"".join(drawn)}</g>'


def _whisker(one: Whisker, frame: Frame) -> str:
    y, low, high = frame.y(one.row), frame.x(one.low), frame.x(one.high)
    return (
        f'<path class="whisker {one.css}" d="M{low:.1f} {y:.1f}H{high:.1f}M{low:.1f} {y - 5:.1f}v10'
        f'M{high:.1f} {y - 5:.1f}v10"/>'
        f'<path class="dots big {one.css}" d="M{frame.x(one.middle):.1f} {y:.1f}h.01"/>'
    )


def _rule(rule: Rule, frame: Frame) -> str:
    if rule.is_vertical:
        x = frame.x(rule.at)
        path = f"M{x:.1f} 0V{frame.inner_height:g}"
    else:
        # Longer than the area, so that it still crosses it when the page has zoomed.
        path = f"M0 {frame.y(rule.at):.1f}H{frame.inner_width:g}"
    return f'<path class="{rule.css}" d="{path}"/>'


def _rule_label(layer: Rule | Span, frame: Frame) -> str:
    at = layer.start if isinstance(layer, Span) else layer.at
    if isinstance(layer, Rule) and not layer.is_vertical:
        y = TOP + frame.y(layer.at) - 5
        return (
            f'<text class="note end" x="{frame.width - RIGHT - 4:g}" y="{y:.1f}">{_name(layer.label)}</text>'
        )
    x = frame.left + frame.x(at)
    is_right = x > frame.left + frame.inner_width * 0.75
    return (
        f'<text class="note{" end" if is_right else ""}" data-x="{at:.9g}" x="{x + (-4 if is_right else 4):.1f}" '
        f'y="{TOP + 12}">{_name(layer.label)}</text>'
    )
