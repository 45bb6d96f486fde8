"""Judges the template and tokenizer of a candidate against those of its baseline. Pure: works on parsed headers.

A fine-tune seldom needs another template than its base model. That it differs is a warning with the difference;
that it acts on a word, drops messages or follows the clock where the baseline did not is an error.
"""

from collections.abc import Iterator

from tidegate.gguf.findings import Finding, Severity
from tidegate.gguf.header import Header
from tidegate.gguf.rules import finding
from tidegate.gguf.template import check_template
from tidegate.gguf.tokenizer_diff import (
    TEMPLATE_KEY,
    TemplateDiff,
    TokenizerDiff,
    template_diffs,
    tokenizer_diff,
)

WORSE = frozenset(
    {"C-WORD", "C-DROP", "C-CLOCK", "C-REPLACE", "C-URL", "C-COUNT", "C-RANDOM", "C-PHRASE", "C-INJECT"}
)


def check_against_baseline(baseline: Header, candidate: Header) -> tuple[Finding, ...]:
    """What the candidate's template and tokenizer do that the baseline's do not."""
    found: list[Finding] = []
    for diff in template_diffs(baseline, candidate):
        if not diff.is_same:
            found += _judge_template(diff, baseline, candidate)
    tokenizer = tokenizer_diff(baseline, candidate)
    if not tokenizer.is_same:
        found += _judge_tokenizer(tokenizer)
    return tuple(found)


def _judge_template(diff: TemplateDiff, baseline: Header, candidate: Header) -> Iterator[Finding]:
    shown = "\n".join(diff.diff)
    yield finding("C-BASE", diff.summary() + (f"\n{shown}" if shown else ""), subject=diff.key)
    if diff.key != TEMPLATE_KEY:
        return
    before, after = baseline.text(TEMPLATE_KEY) or "", candidate.text(TEMPLATE_KEY) or ""
    known = {(one.check, _without_place(one.message)) for one in check_template(before)}
    for one in check_template(after):
        is_new = (one.check, _without_place(one.message)) not in known
        if is_new and one.check in WORSE and one.severity is not Severity.NOTE:
            yield finding(one.check, f"New against the baseline: {one.message}", subject=TEMPLATE_KEY,
                          severity=Severity.ERROR)  # fmt: skip


def _without_place(message: str) -> str:
    """Without the line at the beginning and the branch at the end, which move when anything else changes."""
    text = message.partition(": ")[2] if message.startswith("Line ") else message
    return text.partition("; ")[0]


def _judge_tokenizer(diff: TokenizerDiff) -> Iterator[Finding]:
    """Added tokens are usual after fine-tuning; what was there before must stay what and where it was."""
    names = ("model", "pre", "eos_token_id", "bos_token_id", "eot_token_id")
    is_broken = bool(
        diff.removed or diff.moved or diff.merges_changed or any(name in diff.changed for name in names)
    )
    examples = f" For example: {'; '.join(diff.examples[:5])}." if diff.examples else ""
    level = Severity.WARNING if is_broken else Severity.NOTE
    yield finding("V-BASE", diff.summary() + examples, subject="tokenizer.ggml", severity=level)
