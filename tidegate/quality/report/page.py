"""A quality report as one HTML page that needs nothing else: no network, no script, no font.

What banks and models wrote is hostile: it is made plain, then escaped by the template engine, and a content policy
in the page forbids scripts and every load on top of that.
"""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tidegate.domain.plain import plain, plain_lines
from tidegate.quality.report.document import QualityReport, differences, flaky_questions, wrong_answers
from tidegate.quality.report.facts import facts, headline, share, slice_rows

TEMPLATE = "page.html.j2"
ROWS_SHOWN = 200


def to_html(report: QualityReport) -> str:
    """The whole page."""
    return _template().render(
        report=report,
        headline=headline(report),
        facts=facts(report),
        differences=differences(report)[:ROWS_SHOWN],
        wrong=[] if report.baseline else wrong_answers(report.candidate)[:ROWS_SHOWN],
        slices=slice_rows(report),
        flaky=flaky_questions(report),
        before={} if report.baseline is None else report.baseline.topics(),
        after=report.candidate.topics(),
        questions=report.questions,
        share=share,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain, plain_lines=plain_lines)  # pyright: ignore[reportUnknownMemberType] - untyped there
    return environment.get_template(TEMPLATE)
