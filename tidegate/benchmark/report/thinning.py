"""Fewer points for the same picture: a page of a long run must stay small, and its worst requests must stay in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.benchmark.report.plot import Point

MOST_DOTS = 2500
WORST_KEPT = 250
MOST_STEPS = 320
TAIL_STEPS = 80
SMALLEST_MS = 0.01


@dataclass(frozen=True)
class Curve:
    """A cumulative distribution in percent, with all its values, failures as infinity."""

    name: str
    css: str
    points: tuple[Point, ...]
    values: tuple[float, ...]


def thinned(points: Sequence[Point], most: int = MOST_DOTS) -> tuple[Point, ...]:
    """All points, or the worst of them and every k-th of the rest."""
    if len(points) <= most:
        return tuple(points)
    worst = sorted(range(len(points)), key=lambda place: points[place][1])[-WORST_KEPT:]
    step = math.ceil(len(points) / (most - WORST_KEPT))
    return tuple(points[place] for place in sorted({*worst, *range(0, len(points), step)}))


def cumulative(name: str, css: str, values: Sequence[float], planned: int) -> Curve:
    """Share of `planned` with a value of at most x; infinite ones never come."""
    ordered = sorted(values)
    finite = [max(value, SMALLEST_MS) for value in ordered if math.isfinite(value)]
    places = _places(len(finite))
    points = [(finite[place], 100 * (place + 1) / planned) for place in places]
    first = [(points[0][0], 0.0)] if points else []
    return Curve(name, css, (*first, *points), tuple(ordered))


def _places(count: int) -> list[int]:
    """Every one of the tail, and evenly many before it."""
    if count <= MOST_STEPS:
        return list(range(count))
    body, tail = count - TAIL_STEPS, range(count - TAIL_STEPS, count)
    step = body / (MOST_STEPS - TAIL_STEPS)
    return sorted({*(int(number * step) for number in range(MOST_STEPS - TAIL_STEPS)), *tail})
