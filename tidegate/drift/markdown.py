"""Writes what was measured as Markdown: verdicts first, then the numbers, then where they come from.

Texts of models and files are hostile: all of them are escaped.
"""

from collections.abc import Iterator, Sequence

from tidegate.domain import Evidence, Verdict
from tidegate.domain.plain import markdown_code, markdown_text, plain, plural, size
from tidegate.drift.bounds_report import BoundsReport
from tidegate.drift.judging_quantization import perplexity_ratio
from tidegate.drift.report import DriftReport, Percentiles, SetDrift
from tidegate.drift.rows import COMPARABLE, interval
from tidegate.drift.said import Noise

TITLES = {
    "must_not_change": "Texts that must not change",
    "meant_to_change": "Texts that are meant to change",
}
WORDS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.NOT_JUDGED: "not judged", Verdict.ERROR: "error"}
PARTS_SHOWN, WORST_SHOWN, UNMEASURED_SHOWN = 20, 10, 5
BEFORE_CHARACTERS = 60


def headline(rows: Sequence[Evidence]) -> str:
    """One word for the whole."""
    found = {row.verdict for row in rows}
    if any(row.check == COMPARABLE and row.verdict is Verdict.FAIL for row in rows):
        return "Cannot be compared"
    if Verdict.FAIL in found:
        return "Drifted"
    if Verdict.ERROR in found or Verdict.NOT_JUDGED in found or not rows:
        return "Not judged"
    return "As allowed, with warnings" if any(map(is_warning, rows)) else "As allowed"


def is_warning(row: Evidence) -> bool:
    return row.data.get("level") == "warning"


def word_of(row: Evidence) -> str:
    return "warning" if is_warning(row) else WORDS[row.verdict]


def to_markdown(report: DriftReport | BoundsReport, rows: Sequence[Evidence]) -> str:
    """The whole report."""
    lines = [f"# {headline(rows)}: {markdown_text(subject_of(report))}", "", *_rows(rows), ""]
    if isinstance(report, BoundsReport):
        lines += [f"- {markdown_text(line)}" for line in to_text(report)]
        return "\n".join(lines) + "\n"
    lines += _facts(report)
    for found in report.sets:
        lines += ["", f"## {TITLES[found.name]}", "", *_set(found, is_quantization=report.is_quantization)]
    return "\n".join(lines) + "\n"


def subject_of(report: DriftReport | BoundsReport) -> str:
    if isinstance(report, BoundsReport):
        return f"{report.candidate} against {report.base}"
    return f"{report.candidate.file} against {report.base.file}"


def to_text(report: DriftReport | BoundsReport) -> Iterator[str]:
    """What a terminal shows below the verdicts: a few lines without markup."""
    if isinstance(report, BoundsReport):
        yield (
            f"{plural(report.texts, 'text')} of {plain(report.source)} ({report.digest[:12]}), compared at "
            f"{plural(report.places, 'place')}; the baseline went on with its own next token at "
            f"{report.continued:.1%} of them"
        )
        yield "A bound on the divergence, not a measurement: endpoints tell their likeliest tokens only"
        return
    if report.noise is not None:
        yield noise_told(report.noise)
    for found in report.sets:
        spread = found.kl_percentiles
        left = f"; {plural(found.left_out, 'text')} left out" if found.left_out else ""
        yield (
            f"{TITLES[found.name]}: KL p50 {_number(spread.p50)}, p95 {_number(spread.p95)}, p99 "
            f"{_number(spread.p99)}, most {spread.highest:.3g}{left}"
        )
        worst = ", ".join(f"{plain(part.name, 30)} {part.kl_mean:.3g}" for part in found.kinds[:3])
        yield f"  most in: {worst}"
        for place in found.worst[:3]:
            token = place.token
            yield (
                f"  {token.kl:.2f} in {plain(place.text, 40)}: behind {plain(token.before[-30:])!r} the baseline wants "
                f"{plain(token.base_top)!r} ({token.base_top_p:.0%}), the candidate {plain(token.cand_top)!r} "
                f"({token.cand_top_p:.0%})"
            )
    if report.sets:
        yield how_told(report)


def noise_told(noise: Noise) -> str:
    threads = (
        f" and with {plural(noise.threads[1], 'thread')} instead of {noise.threads[0]}"
        if noise.threads[0] != noise.threads[1]
        else ""
    )
    return (
        f"Noise floor: the baseline against itself, in batches of {noise.batch[1]} instead of {noise.batch[0]}"
        f"{threads}, has a divergence of "
        f"{noise.kl_mean:.2g} nats a token (largest {noise.kl_max:.2g}, {noise.tokens} tokens)"
    )


def how_told(report: DriftReport) -> str:
    how = "both models at once" if report.is_together else "one model after the other"
    return (
        f"Measured in a context of {report.context_tokens} tokens, {how}, on the {report.device or 'machine'}: "
        f"{report.tokens_per_second:,.0f} tokens a second, {size(report.peak_memory_bytes)} at most"
    )


def _rows(rows: Sequence[Evidence]) -> Iterator[str]:
    for row in rows:
        yield f"- **{word_of(row)}** {markdown_code(row.check)}: {markdown_text(row.summary)}"
        if (row.remedy and row.verdict is not Verdict.PASS) or is_warning(row):
            yield f"  - What to do: {markdown_text(row.remedy)}"


def _facts(report: DriftReport) -> Iterator[str]:
    for name, side in (("Baseline", report.base), ("Candidate", report.candidate)):
        kind = f", {markdown_text(side.file_type)}" if side.file_type else ""
        yield (
            f"- {name}: {markdown_code(side.file)}, {markdown_text(side.model or 'unnamed')}{kind}, "
            f"{size(side.size_bytes)}, SHA-256 {markdown_code(side.digest[:16])}"
        )
    if report.noise is not None:
        yield f"- {noise_told(report.noise)}"
    if report.sets:
        yield f"- {how_told(report)}"


def _set(found: SetDrift, *, is_quantization: bool) -> Iterator[str]:
    yield (
        f"{plural(found.texts, 'text')} of {markdown_text(found.source)} ({found.digest[:12]}), {found.tokens:,} tokens"
        f"{f', {found.left_out} left out' if found.left_out else ''}"
        f"{f', {found.cut_texts} longer than the context' if found.cut_texts else ''}."
    )
    for name, why in list(found.unmeasured.items())[:UNMEASURED_SHOWN]:
        yield f"- Not measured: {markdown_code(name)}: {markdown_text(why)}"
    yield ""
    yield from _quantities(found, is_quantization=is_quantization)
    for title, parts in (("Kind", found.kinds), ("Language", found.languages)):
        if len(parts) > 1:
            yield from ("", f"| {title} | texts | tokens | mean KL | same top token | NLL change |")
            yield "|---|---:|---:|---:|---:|---:|"
            for part in parts[:PARTS_SHOWN]:
                yield (
                    f"| {markdown_text(part.name)} | {part.texts} | {part.tokens} | {part.kl_mean:.4g} | "
                    f"{part.same_top:.1%} | {part.nll_change:+.4g} |"
                )
    yield from _worst(found)


def _quantities(found: SetDrift, *, is_quantization: bool) -> Iterator[str]:
    yield from (
        "| quantity | mean (90 % interval, texts as units) | p50 | p95 | p99 | most |",
        "|---|---|---:|---:|---:|---:|",
    )
    yield f"| KL divergence, nats a token | {interval(found.kl, '')} | {_upper(found.kl_percentiles)} |"
    yield f"| the other way round | {interval(found.reverse_kl, '')} | | | | |"
    yield f"| same likeliest token | {interval(found.same_top, '')} | | | | |"
    yield f"| NLL of the baseline | {interval(found.base_nll, '')} | | | | |"
    yield f"| NLL of the candidate | {interval(found.cand_nll, '')} | | | | |"
    yield f"| change of NLL | {interval(found.nll_change, '', signed=True)} | | | | |"
    yield f"| entropy of the baseline | {interval(found.base_entropy, '')} | | | | |"
    if is_quantization:
        yield f"| ratio of perplexities | {perplexity_ratio(found)} | | | | |"
    spread = found.delta_p_percentiles
    yield (
        f"| change of the right token's probability | {interval(found.delta_p, '', signed=True)}, "
        f"rms {found.delta_p_rms:.3g} | {_upper(spread)} |"
    )
    yield (
        f"| the same, from below | p1 {_number(spread.p1)}, p5 {_number(spread.p5)}, least {spread.lowest:.3g} | | | | |"
    )


def _upper(found: Percentiles) -> str:
    return " | ".join((_number(found.p50), _number(found.p95), _number(found.p99), f"{found.highest:.3g}"))


def _number(value: float | None) -> str:
    """A percentile that too few tokens lie beyond is not stated."""
    return "-" if value is None else f"{value:.3g}"


def _worst(found: SetDrift) -> Iterator[str]:
    if not found.worst:
        return
    yield from (
        "",
        "| KL | text | behind | comes | baseline wants | candidate wants |",
        "|---:|---|---|---|---|---|",
    )
    for place in found.worst[:WORST_SHOWN]:
        token = place.token
        yield (
            f"| {token.kl:.2f} | {markdown_text(place.text)} | {markdown_code(token.before[-BEFORE_CHARACTERS:])} | "
            f"{markdown_code(token.actual)} | {markdown_code(token.base_top)} {token.base_top_p:.0%} | "
            f"{markdown_code(token.cand_top)} {token.cand_top_p:.0%} |"
        )
