"""One HTML page that needs nothing else: no network, no font, and one script of our own, which its policy names by hash.

Everything that came from a server is hostile. It is made plain (no control codes, no hidden direction), then escaped
by the template engine; data for the script is JSON in which no markup can begin.
"""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from tidegate.benchmark.report.drawing import draw
from tidegate.benchmark.report.plot import Cells, Dots, Line, Plot, Whisker
from tidegate.benchmark.report.view import View
from tidegate.domain.plain import plain, plain_lines

FOLDER = Path(__file__).parent
TEMPLATE = "page.html.j2"
DIGITS = 6


def to_html(view: View) -> str:
    """The whole page."""
    css, js = _asset("page.css"), _asset("page.js")
    return _template().render(
        view=view,
        draw=draw,
        data_of=data_of,
        css=Markup(css),
        js=Markup(js),
        css_hash=_hash(css),
        js_hash=_hash(js),
    )


def data_of(plot: Plot) -> Markup:
    """What the script needs of a plot. `<` is written as an escape, so that no text can end the element."""
    data = {
        "x": _axis(plot.x),
        "y": _axis(plot.y),
        "zoom": plot.can_zoom,
        "layers": [found for layer in plot.layers if (found := _layer(layer)) is not None],
    }
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _axis(axis: Any) -> dict[str, Any]:
    return {name: getattr(axis, name) for name in ("title", "unit", "low", "high", "kind")}


def _layer(layer: Any) -> dict[str, Any] | None:
    """Layers that can be pointed at. Lines without a name are marks of intervals, whose dot says the rest."""
    match layer:
        case Line(name="") | Dots(points=()):
            return None
        case Dots() | Line():
            kind = "line" if isinstance(layer, Line) else "dots"
            found: dict[str, Any] = {"kind": kind, "name": plain(layer.name)}
            found["points"] = [[_short(x), _short(y)] for x, y in layer.points]
            return found | ({"texts": [_lines(text) for text in layer.texts]} if layer.texts else {})
        case Cells():
            cells = [[*map(_short, one[:4]), one[4], _lines(one[5])] for one in layer.cells]
            return {"kind": "cells", "name": plain(layer.name), "cells": cells}
        case Whisker():
            points = [[_short(layer.middle), _short(layer.row)]]
            return {
                "kind": "dots",
                "name": plain(layer.name),
                "points": points,
                "texts": [_lines(layer.text)],
            }
        case _:
            return None


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _lines(text: str) -> str:
    return plain_lines(text)


@cache
def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content policy names a style or a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain, plain_lines=plain_lines)  # pyright: ignore[reportUnknownMemberType] - untyped there
    return environment.get_template(TEMPLATE)
