"""Turns drawings into one PNG, the same on every machine: with a font that travels with us, and no system's."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup, escape

from tidegate.benchmark.report.drawing import draw
from tidegate.benchmark.report.plot import Plot
from tidegate.domain.plain import plain

FONT = Path(__file__).with_name("plot-font.ttf")
WIDTH, HEAD, GAP = 900, 62, 58
ZOOM = 2.0
LONGEST = 118
PAPER = "#ffffff"
STYLE = """
text { font-family: "DejaVu Sans"; font-size: 13px; fill: #16202c; }
.tick, .note { fill: #515d6b; font-size: 12px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
.head { font-size: 18px; } .sub { fill: #515d6b; font-size: 12.5px; } .plot-title { font-size: 15px; }
.grid { stroke: #e8ecf0; } .axis { stroke: #8a94a0; } path { fill: none; }
.dots { stroke-width: 4; stroke-linecap: round; stroke-opacity: 0.65; } .dots.big { stroke-width: 8; stroke-opacity: 1; }
.curve { stroke-width: 2; } .curve.interval { stroke-width: 4; stroke-opacity: 0.45; } .whisker { stroke-width: 2; }
.s0 { stroke: #2a66a8; } .s1 { stroke: #b0621a; } .s2 { stroke: #14807a; } .bad { stroke: #ab231c; } .good { stroke: #12693f; }
.open { stroke: #4d5a78; } .band { stroke: none; fill-opacity: 0.18; } .band.s0 { fill: #2a66a8; } .band.s1 { fill: #b0621a; }
.rule { stroke: #515d6b; stroke-dasharray: 5 4; } .rule.limit { stroke: #ab231c; } .rule.even { stroke-dasharray: none; }
.span { fill: #515d6b; fill-opacity: 0.1; }
.h0 { fill: #dbe8f6; } .h1 { fill: #c0d7ef; } .h2 { fill: #a0c1e4; } .h3 { fill: #7ea8d6; } .h4 { fill: #5c8dc5; }
.h5 { fill: #3f73b0; } .h6 { fill: #285a95; } .h7 { fill: #153f73; }
"""


def to_png(title: str, subtitle: str, plots: Sequence[Plot]) -> bytes:
    """The plots below each other, with the title of the run above them."""
    import resvg_py

    return resvg_py.svg_to_bytes(
        svg_string=poster(title, subtitle, plots),
        background=PAPER,
        zoom=ZOOM,
        skip_system_fonts=True,
        font_files=[str(FONT)],
    )


def poster(title: str, subtitle: str, plots: Sequence[Plot]) -> str:
    """One drawing that holds all of them."""
    drawn: list[str] = [
        f'<text class="head" x="14" y="28">{_text(title)}</text>',
        f'<text class="sub" x="14" y="49">{_text(subtitle)}</text>',
    ]
    top = HEAD
    for plot in plots:
        drawn.append(f'<text class="plot-title" x="14" y="{top + 24}">{_text(plot.title)}</text>')
        drawn.append(f'<text class="sub" x="14" y="{top + 42}">{_text(plot.summary)}</text>')
        drawn.append(_legend(plot, top + 24))
        drawn.append(
            f'<svg x="0" y="{top + GAP}" width="{WIDTH}" height="{plot.height}">{draw(plot, WIDTH)}</svg>'
        )
        top += GAP + plot.height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 8}" '
        f'viewBox="0 0 {WIDTH} {top + 8}"><style>{STYLE}</style>{"".join(drawn)}</svg>'
    )


def _legend(plot: Plot, y: float) -> str:
    drawn: list[str] = []
    x = WIDTH - 14.0
    for name, css in reversed(plot.legend):
        x -= 9.0 * len(name)
        drawn.append(f'<text class="tick" x="{x:.0f}" y="{y}">{_text(name)}</text>')
        drawn.append(f'<path class="dots big {css}" d="M{x - 12:.0f} {y - 4}h.01"/>')
        x -= 34
    return "".join(drawn)


def _text(text: str) -> Markup:
    return escape(plain(text, LONGEST))
