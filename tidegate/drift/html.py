"""Writes what was measured as one HTML page that needs nothing else: no network, no script, no font.

Texts of models and files are hostile: they are made plain, then escaped by the template engine; a content policy in
the page forbids scripts and every load on top of that.
"""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from tidegate.domain import Evidence
from tidegate.domain.plain import plain, size
from tidegate.drift.bounds_report import BoundsReport
from tidegate.drift.markdown import (
    TITLES,
    headline,
    how_told,
    is_warning,
    noise_told,
    subject_of,
    to_text,
    word_of,
)
from tidegate.drift.report import DriftReport, Estimate, Histogram
from tidegate.drift.rows import interval

TEMPLATE = "report.html.j2"
LOWEST_DRAWN, HIGHEST_DRAWN = 1e-5, 10.0
MARKS = (
    ("q8_0", 0.0014),
    ("q6_K", 0.0055),
    ("q5_K_M", 0.011),
    ("q4_K_M", 0.031),
    ("q3_K_M", 0.10),
    ("q2_K", 0.45),
)
"""What quantizations of Llama-3 8B cost: a scale that people know."""


def to_html(report: DriftReport | BoundsReport, rows: Sequence[Evidence]) -> str:
    """The whole page."""
    return _template().render(
        report=report,
        sets=() if isinstance(report, BoundsReport) else report.sets,
        sides=()
        if isinstance(report, BoundsReport)
        else (("Baseline", report.base), ("Candidate", report.candidate)),
        notes=_notes(report),
        rows=[(row, word_of(row), word_of(row).lower().replace(" ", "-")) for row in rows],
        headline=headline(rows),
        subject=subject_of(report),
        titles=TITLES,
        interval=interval,
        scale=scale,
        histogram=histogram,
        is_warning=is_warning,
    )


def _notes(report: DriftReport | BoundsReport) -> list[str]:
    if isinstance(report, BoundsReport):
        return list(to_text(report))
    noise = [] if report.noise is None else [noise_told(report.noise)]
    return [*noise, *([how_told(report)] if report.sets else [])]


def scale(found: Estimate) -> Markup:
    """The interval of a divergence on a logarithmic scale, beside what quantizations cost."""
    marks = "".join(
        f'<line x1="{_place(value):.2f}%" x2="{_place(value):.2f}%" y1="8" y2="26" class="mark"/>'
        f'<text x="{_place(value):.2f}%" y="40" class="tick">{name}</text>'
        for name, value in MARKS
    )
    low = found.mean if found.low is None else found.low
    high = found.mean if found.high is None else found.high
    drawn = (
        f'<line x1="0" x2="100%" y1="17" y2="17" class="axis"/>{marks}'
        f'<line x1="{_place(low):.2f}%" x2="{_place(high):.2f}%" y1="17" y2="17" class="interval"/>'
        f'<circle cx="{_place(found.mean):.2f}%" cy="17" r="5" class="estimate"/>'
    )
    told = escape(f"{interval(found, 'nats')} a token, between quantizations of a known model")
    return Markup(f'<svg class="scale" role="img" aria-label="{told}">{drawn}</svg>')


def _place(value: float) -> float:
    low, high = math.log(LOWEST_DRAWN), math.log(HIGHEST_DRAWN)
    return 2 + 96 * (math.log(min(max(value, LOWEST_DRAWN), HIGHEST_DRAWN)) - low) / (high - low)


def histogram(found: Histogram) -> Markup:
    """Tokens by their divergence: bars of equal width, with the edges in words."""
    whole, count = sum(found.counts) or 1, len(found.counts)
    most = max(found.counts) or 1
    drawn: list[str] = []
    for number, tokens in enumerate(found.counts):
        height = 90 * tokens / most
        low, high = found.edges[number], found.edges[number + 1]
        title = f"{low:g} to {high:g} nats: {tokens} tokens ({tokens / whole:.1%})"
        drawn.append(
            f'<rect x="{100 * number / count + 0.3:.2f}%" width="{100 / count - 0.6:.2f}%" y="{95 - height:.1f}" '
            f'height="{max(height, 0.5):.1f}" rx="2" class="bar"><title>{title}</title></rect>'
        )
        if number % 2 == 0:
            drawn.append(
                f'<text x="{100 * number / count + 0.3:.2f}%" y="110" class="tick start">{low:g}</text>'
            )
    told = escape(f"Histogram of the divergence of {whole} tokens in nats")
    return Markup(f'<svg class="histogram" role="img" aria-label="{told}">{"".join(drawn)}</svg>')


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain, size=size)  # pyright: ignore[reportUnknownMemberType] - untyped there
    return environment.get_template(TEMPLATE)
