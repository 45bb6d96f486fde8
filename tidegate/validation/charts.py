"""Drawings of a validation report as inline SVG. Pure: numbers in, drawings out.

Places are percentages and text has a fixed size, so that one drawing serves a phone and a wide screen; colours
are CSS classes of the page, for light and dark. The same numbers stand in words beside every drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from tidegate.domain.plain import plain, size
from tidegate.validation.report import GpuFit, TensorGroup

GPUS_SHOWN = 12
SMALL_GPUS_SHOWN = 3
MAP_WIDTH, MAP_HEIGHT = 720.0, 300.0
LABELLED_WIDTH, LABELLED_HEIGHT, TWO_LINES_HEIGHT = 64.0, 28.0, 48.0
COLOURS = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the tensor map."""

    group: TensorGroup
    x: float
    y: float
    width: float
    height: float


def bar(value: float, longest: float, css: str, mark: float | None = None) -> Markup:
    """One bar of a table row, with a tick at `mark`. The row says the number, so readers aloud skip the drawing."""
    scale = 100 / longest if longest > 0 else 0.0
    tick = ""
    if mark is not None:
        place = min(mark * scale, 99.6)
        tick = f'<line x1="{place:.2f}%" x2="{place:.2f}%" y1="0" y2="18" class="limit"/>'
    width = max(min(value * scale, 100.0), 0.4)
    drawn = f'<rect y="3" width="{width:.2f}%" height="12" rx="3" class="{css}"/>{tick}'
    return Markup(f'<svg class="bar" aria-hidden="true">{drawn}</svg>')


def stacked(parts: Sequence[tuple[str, int]]) -> Markup:
    """One bar divided into parts, each in the colour of its place."""
    whole = sum(count for _, count in parts) or 1
    drawn: list[str] = []
    place = 0.0
    for number, (name, count) in enumerate(parts):
        share = 100 * count / whole
        title = escape(f"{name}: {size(count)}, {share:.0f} %")
        drawn.append(
            f'<rect x="{place:.2f}%" width="{max(share, 0.2):.2f}%" height="30" class="c{number % COLOURS}">'
            f"<title>{title}</title></rect>"
        )
        place += share
    told = escape(", ".join(f"{name} {size(count)}" for name, count in parts))
    return Markup(f'<svg class="stack" role="img" aria-label="{told}">{"".join(drawn)}</svg>')


def chosen_gpus(fits: Sequence[GpuFit]) -> list[GpuFit]:
    """The cheapest that fit, and the largest that do not, so that a reader sees where the border is."""
    good = sorted((fit for fit in fits if fit.fits), key=_cost)
    bad = sorted((fit for fit in fits if not fit.fits), key=lambda fit: -fit.memory_gib)
    chosen = good[: GPUS_SHOWN - min(len(bad), SMALL_GPUS_SHOWN)]
    return [*chosen, *bad[: GPUS_SHOWN - len(chosen)]]


def _cost(fit: GpuFit) -> tuple[float, float, str]:
    price = fit.price_usd_per_hour
    return (float("inf") if price is None else price, fit.memory_gib, fit.gpu)


def tensor_map(groups: Sequence[TensorGroup]) -> Markup:
    """A map of the file: the area of a box is its share of the bytes, the colour its part of the model."""
    colours = colours_of(groups)
    drawn = "".join(_box(box, colours[box.group.kind]) for box in squarified(groups))
    told = escape(
        ", ".join(f"{plain(group.kind)} {plain(group.type)} {size(group.bytes)}" for group in groups)
    )
    return Markup(f'<svg class="map" role="img" aria-label="{told}">{drawn}</svg>')


def colours_of(groups: Sequence[TensorGroup]) -> dict[str, int]:
    """The colour of each part of the model, by its first place."""
    kinds = dict.fromkeys(group.kind for group in groups)
    return {kind: number % COLOURS for number, kind in enumerate(kinds)}


def _box(box: Box, colour: int) -> str:
    """Nested, so that a label is cut at the border of its box however narrow the screen is."""
    group = box.group
    name = f"{plain(group.kind)} {plain(group.type)}"
    title = escape(f"{name}: {size(group.bytes)} in {group.tensors} tensors")
    x, y = 100 * box.x / MAP_WIDTH, 100 * box.y / MAP_HEIGHT
    width, height = 100 * box.width / MAP_WIDTH, 100 * box.height / MAP_HEIGHT
    label = ""
    if box.width >= LABELLED_WIDTH and box.height >= LABELLED_HEIGHT:
        label = f'<text x="8" y="18" class="on strong">{escape(name)}</text>'
        if box.height >= TWO_LINES_HEIGHT:
            label += f'<text x="8" y="36" class="on">{escape(size(group.bytes))}</text>'
    return (
        f'<svg x="{x:.2f}%" y="{y:.2f}%" width="{width:.2f}%" height="{height:.2f}%"><title>{title}</title>'
        f'<rect width="100%" height="100%" class="c{colour} edge"/>{label}</svg>'
    )


def squarified(groups: Sequence[TensorGroup]) -> list[Box]:
    """Boxes as near to squares as they can be (Bruls, Huizing and van Wijk), the largest first."""
    left = sorted((group for group in groups if group.bytes > 0), key=lambda group: -group.bytes)
    whole = sum(group.bytes for group in left)
    scale = MAP_WIDTH * MAP_HEIGHT / whole if whole else 0.0
    boxes: list[Box] = []
    x, y, width, height = 0.0, 0.0, MAP_WIDTH, MAP_HEIGHT
    while left and min(width, height) > 0:
        is_wide, side = width >= height, min(width, height)
        count = _row_length([group.bytes * scale for group in left], side)
        row, left = left[:count], left[count:]
        row_bytes = sum(group.bytes for group in row)
        # The last row takes what is left: floating point would not fill the map to its edge, or go beyond it.
        depth, place = min(row_bytes * scale / side, max(width, height)) if left else max(width, height), 0.0
        for group in row:
            length = side * group.bytes / row_bytes
            at = (x, y + place, depth, length) if is_wide else (x + place, y, length, depth)
            boxes.append(Box(group, *at))
            place += length
        if is_wide:
            x, width = x + depth, width - depth
        else:
            y, height = y + depth, height - depth
    return boxes


def _row_length(areas: Sequence[float], side: float) -> int:
    """As many as make the worst box of the row squarer than with one more."""
    best, count = float("inf"), 1
    for number in range(1, len(areas) + 1):
        row = areas[:number]
        depth = sum(row) / side
        worst = max(max(depth * depth / area, area / (depth * depth)) for area in row)
        if worst > best:
            break
        best, count = worst, number
    return count
