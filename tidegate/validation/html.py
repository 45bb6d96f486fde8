"""Writes a validation report as one HTML page that needs nothing else: no network, no script, no font.

Everything that came from the file is hostile. It is made plain (no control codes, no hidden direction), then
escaped by the template engine; a content policy in the page forbids scripts and every load on top of that.
"""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tidegate.domain.plain import amount, plain, plain_lines, plural, size
from tidegate.validation import charts
from tidegate.validation.baseline_view import baseline_view
from tidegate.validation.markdown import memory_parts
from tidegate.validation.reasons import (
    Weight,
    category_views,
    grouped_names,
    headline,
    reasons,
    subject_of,
    verdict_sentence,
)
from tidegate.validation.report import ValidationReport

TEMPLATE = "report.html.j2"
ANSWERS_SHOWN = 10


def to_html(report: ValidationReport) -> str:
    """The whole page."""
    found = reasons(report)
    memory = report.memory
    answers = {response.id: response for response in report.test_responses}
    return _template().render(
        report=report,
        headline=headline(report),
        subject=subject_of(report),
        sentence=verdict_sentence(report),
        refusing=[reason for reason in found if reason.weight is Weight.REFUSES],
        unjudged=[reason for reason in found if reason.weight is Weight.NOT_JUDGED],
        warnings=[reason for reason in found if reason.weight is Weight.WARNS],
        notes=[reason for reason in found if reason.weight is Weight.NOTES],
        unasked=[reason for reason in found if reason.weight is Weight.NOT_ASKED],
        categories=category_views(report),
        parts=() if memory is None else memory_parts(memory),
        gpus=charts.chosen_gpus(report.gpu_fit),
        largest_gpu=max((fit.memory_gib for fit in charts.chosen_gpus(report.gpu_fit)), default=0.0),
        groups=sorted(report.tensor_groups, key=lambda group: -group.bytes),
        tensor_bytes=sum(group.bytes for group in report.tensor_groups) or 1,
        colours=charts.colours_of(sorted(report.tensor_groups, key=lambda group: -group.bytes)),
        fastest=max((sample.tokens_per_second for sample in report.speed), default=0.0),
        answers_shown=ANSWERS_SHOWN,
        answers=[(query, answers.get(query.id)) for query in report.test_queries],
        baseline=baseline_view(report),
        slow_below=slowest_allowed(report),
        charts=charts,
    )


def slowest_allowed(report: ValidationReport) -> float | None:
    """The limit on tokens a second that the speed was judged by."""
    for result in report.results:
        limit = result.details.get("minimum")
        if result.check_name == "latency.speed" and isinstance(limit, int | float):
            return float(limit)
    return None


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(  # pyright: ignore[reportUnknownMemberType] - untyped there
        grouped=grouped_names, plain=plain, plain_lines=plain_lines, size=size, amount=amount, plural=plural
    )
    return environment.get_template(TEMPLATE)
