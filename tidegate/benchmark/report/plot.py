"""What a plot is: two axes and layers of marks. Drawing, hovering and zooming know nothing else."""

from dataclasses import dataclass

from tidegate.benchmark.report.axes import Axis

Point = tuple[float, float]


@dataclass(frozen=True)
class Dots:
    """Single measurements. `texts`, when given, says more about each while it is pointed at."""

    name: str
    css: str
    points: tuple[Point, ...]
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A curve; a `step` goes level to the next point, as a cumulative distribution does."""

    name: str
    css: str
    points: tuple[Point, ...]
    is_step: bool = False
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Band:
    """Between two curves: an interval along the way. Not pointed at: the curve inside it is."""

    css: str
    points: tuple[tuple[float, float, float], ...]
    """x, low, high"""
    is_step: bool = False


@dataclass(frozen=True)
class Cells:
    """A heat map: equal columns and rows, each cell with a shade from 0 to 1 and what it stands for."""

    name: str
    cells: tuple[tuple[float, float, float, float, float, str], ...]
    """x from, x to, y from, y to, shade, text"""


@dataclass(frozen=True)
class Rule:
    """A line across the plot, at one x or at one y, with its name."""

    at: float
    label: str
    css: str = "rule"
    is_vertical: bool = True


@dataclass(frozen=True)
class Whisker:
    """An interval on a row, its estimate in the middle."""

    name: str
    css: str
    row: float
    low: float
    middle: float
    high: float
    text: str


@dataclass(frozen=True)
class Span:
    """A shaded stretch of time, such as the warm-up."""

    start: float
    end: float
    label: str


Layer = Dots | Line | Band | Cells | Rule | Whisker | Span


@dataclass(frozen=True)
class Plot:
    """`summary` says in words what a reader of the drawing sees: for readers aloud, and under the title."""

    id: str
    title: str
    summary: str
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    height: int = 320
    can_zoom: bool = True

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """Names of series with their colours; a plot of one series needs none."""
        found = {
            one.name: one.css for one in reversed(self.layers) if isinstance(one, Dots | Line) and one.name
        }
        series = tuple((name, css.rpartition(" ")[2]) for name, css in reversed(found.items()))
        return series if len(series) > 1 else ()
