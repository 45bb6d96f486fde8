"""Writes a validation report as Markdown: verdict, reasons, what to do, then everything else.

Reads well in a terminal, in a pull request and in the Prefect UI. Everything that came from the file is escaped.
"""

from collections.abc import Iterator

from tidegate.domain.plain import (
    amount,
    markdown_block,
    markdown_code,
    markdown_text,
    plural,
    size,
)
from tidegate.validation.baseline_view import baseline_view
from tidegate.validation.reasons import (
    Reason,
    Weight,
    category_views,
    grouped_names,
    headline,
    reasons,
    subject_of,
    verdict_sentence,
)
from tidegate.validation.report import MemoryReport, ValidationReport

ANSWER_CHARACTERS, ANSWERS_SHOWN = 300, 20
GPUS_SHOWN = 12
TITLES: dict[Weight, str] = {
    Weight.REFUSES: "Why, and what to do",
    Weight.NOT_JUDGED: "Without a result",
    Weight.WARNS: "Warnings",
    Weight.NOTES: "Notes",
    Weight.NOT_ASKED: "Not judged, and not needed",
}


def to_markdown(report: ValidationReport) -> str:
    """The whole report."""
    lines = [
        f"# {headline(report)}: {markdown_text(subject_of(report))}",
        "",
        f"**{markdown_text(verdict_sentence(report))}**",
        "",
        *_facts(report),
    ]
    lines += _reasons(report)
    lines += ["", "## The eight categories", "", *_categories(report)]
    lines += [*_baseline(report), *_memory(report), *_tensors(report), *_answers(report), "", *_about(report)]
    return "\n".join(lines) + "\n"


def _reasons(report: ValidationReport) -> Iterator[str]:
    """Where something refuses the file, what had no result then is one line: it follows from the reasons."""
    found = reasons(report)
    is_refused = any(reason.weight is Weight.REFUSES for reason in found)
    for weight, title in TITLES.items():
        own = [reason for reason in found if reason.weight is weight]
        if not own:
            continue
        yield from ("", f"## {title}")
        if weight is Weight.NOT_ASKED or (weight is Weight.NOT_JUDGED and is_refused):
            yield from ("", markdown_text(grouped_names(reason.rule for reason in own)) + ".")
        else:
            for reason in own:
                yield from _reason(reason)


def _facts(report: ValidationReport) -> Iterator[str]:
    yield f"- File: {markdown_code(report.model_path)}, {size(report.size_bytes)}"
    yield f"- SHA-256: {markdown_code(report.digest or 'not computed')}{_expected(report)}"
    model = report.model
    if model is not None:
        kinds = ", ".join(map(markdown_text, model.tensor_types)) or "no known types"
        name = markdown_code(model.name or "unnamed")
        yield (
            f"- Model: {name}, architecture {markdown_code(model.architecture)}, "
            f"{amount(model.parameters)} parameters in {plural(model.tensors, 'tensor')} ({kinds})"
        )
    if report.baseline_version:
        yield f"- Compared with: {markdown_code(report.baseline_version)}"


def _expected(report: ValidationReport) -> str:
    if report.expected_digest is None:
        return ""
    if report.expected_digest == report.digest:
        return ", as expected"
    return f", expected {markdown_code(report.expected_digest)}"


def _reason(reason: Reason) -> Iterator[str]:
    yield ""
    yield f"### {markdown_text(reason.rule)}: {markdown_text(reason.message)}"
    yield ""
    first = reason.places[0]
    if first.where:
        yield f"- **Where:** {_where(first.subject, first.offset)}"
    if reason.meaning:
        yield f"- **What it means:** {markdown_text(reason.meaning)}"
    if reason.remedy:
        yield f"- **What to do:** {markdown_text(reason.remedy)}"
    for place in reason.places[1:]:
        where = f" ({_where(place.subject, place.offset)})" if place.where else ""
        yield f"- Also: {markdown_text(place.message)}{where}"
    if reason.more:
        yield f"- {plural(reason.more, 'more place', 'more places')} of this kind: see the JSON report."


def _where(subject: str, offset: int | None) -> str:
    parts = [markdown_code(subject)] if subject else []
    return ", ".join([*parts, f"byte {offset}"] if offset is not None else parts)


def _categories(report: ValidationReport) -> Iterator[str]:
    yield "| category | status | what was found |"
    yield "| --- | --- | --- |"
    for view in category_views(report):
        told = " ".join(map(markdown_text, view.told)) or "no check of the profile covers it"
        told += f" ({len(view.also)} more)" if view.also else ""
        status = f"**{view.status_title}**" if view.status_title in ("failed", "error") else view.status_title
        yield f"| {view.title} | {status} | {told} |"


def _answers(report: ValidationReport) -> Iterator[str]:
    if not report.test_queries:
        return
    answers = {response.id: response for response in report.test_responses}
    yield from ("", "## What it answered", "", "| question | answer | tokens | ended by | tokens/s |")
    yield "| --- | --- | ---: | --- | ---: |"
    for query in report.test_queries[:ANSWERS_SHOWN]:
        answer = answers.get(query.id)
        asked = markdown_text(_cut(query.prompt))
        if answer is None:
            yield f"| {asked} | no answer | | | |"
            continue
        speed = "" if answer.tokens_per_second is None else f"{answer.tokens_per_second:.0f}"
        text = markdown_text(_cut(answer.text.strip())) or "(nothing)"
        yield f"| {asked} | {text} | {answer.tokens} | {markdown_text(answer.finish)} | {speed} |"
    if len(report.test_queries) > ANSWERS_SHOWN:
        yield from ("", f"{len(report.test_queries) - ANSWERS_SHOWN} more are in the JSON report.")


def _cut(text: str) -> str:
    return text if len(text) <= ANSWER_CHARACTERS else text[:ANSWER_CHARACTERS] + "..."


def _memory(report: ValidationReport) -> Iterator[str]:
    memory = report.memory
    if memory is None:
        return
    most = ", at most" if memory.is_upper_bound else ""
    yield from ("", "## Memory", "")
    yield (
        f"{size(memory.total_bytes)}{most}, for {plural(memory.parallel, 'sequence')} of "
        f"{memory.context_tokens} tokens.{_cross_check(memory)}"
    )
    yield from ("", "| part | size |", "| --- | ---: |")
    for part, count in memory_parts(memory):
        yield f"| {part} | {size(count)} |"
    fitting = [fit for fit in report.gpu_fit if fit.fits]
    if report.gpu_fit:
        yield from ("", f"It fits {len(fitting)} of {len(report.gpu_fit)} known GPU types.")
    if fitting:
        cheapest = sorted(fitting, key=lambda fit: (fit.price_usd_per_hour or 1e9, fit.memory_gib))
        yield from ("", "| GPU | memory | left beside it | price |", "| --- | ---: | ---: | ---: |")
        for fit in cheapest[:GPUS_SHOWN]:
            price = "" if fit.price_usd_per_hour is None else f"${fit.price_usd_per_hour:.2f}/h"
            left = size(fit.headroom_bytes)
            yield f"| {markdown_text(fit.gpu)} | {fit.memory_gib:g} GiB | {left} | {price} |"


def memory_parts(memory: MemoryReport) -> tuple[tuple[str, int], ...]:
    """Parts of the estimate with their names."""
    return (
        ("weights", memory.weights_bytes),
        ("key-value cache", memory.kv_cache_bytes),
        ("compute buffers", memory.compute_bytes),
        ("overhead", memory.overhead_bytes),
    )


def _cross_check(memory: MemoryReport) -> str:
    if memory.cross_check_bytes is None:
        return ""
    return f" The engine itself would allocate {size(memory.cross_check_bytes)}, overhead not counted."


def _tensors(report: ValidationReport) -> Iterator[str]:
    if not report.tensor_groups:
        return
    whole = sum(group.bytes for group in report.tensor_groups) or 1
    yield from ("", "## Tensors", "", "| part | type | tensors | size | share |")
    yield "| --- | --- | ---: | ---: | ---: |"
    for group in sorted(report.tensor_groups, key=lambda group: -group.bytes):
        yield (
            f"| {markdown_text(group.kind)} | {markdown_text(group.type)} | {group.tensors} | "
            f"{size(group.bytes)} | {100 * group.bytes / whole:.0f} % |"
        )


def _baseline(report: ValidationReport) -> Iterator[str]:
    view = baseline_view(report)
    if view is None:
        return
    yield from ("", f"## Difference to {markdown_code(view.name)}")
    if view.scores:
        yield from ("", "| topic | baseline | this file | questions |", "| --- | ---: | ---: | ---: |")
        for score in view.scores:
            after = f"**{score.after}**" if score.after < score.before else str(score.after)
            yield f"| {markdown_text(score.name)} | {score.before} | {after} | {score.total} |"
    if view.facts:
        yield from ("", "| | baseline | this file |", "| --- | ---: | ---: |")
        yield from (f"| {' | '.join(map(markdown_text, fact))} |" for fact in view.facts)
    for title, names in (("Lost", view.lost), ("Won", view.won), ("Tokenizer: differs in", view.tokenizer)):
        if names:
            yield from ("", f"{title}: {', '.join(map(markdown_code, names))}.")
    if view.template:
        yield from ("", "The chat template:", "", *markdown_block("\n".join(view.template)))


def _about(report: ValidationReport) -> Iterator[str]:
    """The last line: what a reader needs to repeat the judgement."""
    yield (
        f"Profile {report.profile}, policy {markdown_code(report.policy_digest[:12])}, "
        f"{report.timestamp:%Y-%m-%d %H:%M:%S %Z}, took {report.wall_seconds:.2f} s."
    )
