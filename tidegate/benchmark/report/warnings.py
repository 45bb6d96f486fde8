"""What a reader must know before believing a figure. Said at the top of every report, never in a footnote."""

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.report.axes import number, percent
from tidegate.benchmark.summary import RunSummary
from tidegate.domain.plain import plural


@dataclass(frozen=True)
class Warned:
    """`kind` is the same whatever the figures are, so that the runs of a sweep can be told together."""

    kind: str
    text: str


FEW = 200
"""Below this there is no p95."""
NOTABLE_SHARE = 0.05


def warnings_of(run: RunRecord, summary: RunSummary) -> tuple[str, ...]:
    """In the order of their weight."""
    return tuple(one.text for one in warned(run, summary))


def warned(run: RunRecord, summary: RunSummary) -> tuple[Warned, ...]:
    """The same with their kinds."""
    return tuple(Warned(kind, text) for kind, text in _warnings(run, summary))


def _warnings(run: RunRecord, summary: RunSummary) -> Iterator[tuple[str, str]]:
    for reason in summary.not_gateable:
        yield (
            "client",
            f"The figures are not usable for a decision: {reason}. Use a faster or a quieter machine, or less load.",
        )
    if summary.honesty is None:
        yield "unwatched", "This client did not watch itself, so nobody knows how late it was."
    yield from _losses(summary)
    if summary.requests.planned < FEW:
        told = plural(summary.requests.planned, "request")
        yield "few", f"{told} are few: a p95 with an interval needs {FEW}, a p99 needs 1000."
    if run.mode == "closed":
        yield (
            "closed",
            "Closed loop: while the server stands still nobody else asks, so tails look better than users see them.",
        )
    yield from _tokens(run, summary)
    if summary.blocks > 1 and summary.requests.ended_after_window:
        told = plural(summary.requests.ended_after_window, "answer")
        yield "late", f"{told} ended after the window; they are part of every latency."
    yield from ((note, note) for note in run.notes)


def _losses(summary: RunSummary) -> Iterator[tuple[str, str]]:
    counts = summary.requests
    if counts.failed or counts.truncated:
        yield (
            "failed",
            (
                f"{counts.failed + counts.truncated} of {plural(counts.sent, 'request')} failed "
                f"({percent(summary.error_share.value)}). Latencies are those of answered requests; 'with failures' counts "
                "the others as never answered."
            ),
        )
    if counts.not_sent:
        told = (
            f"{counts.not_sent} of {counts.planned} planned requests were never sent. They count as misses."
        )
        yield "not sent", told


def _tokens(run: RunRecord, summary: RunSummary) -> Iterator[tuple[str, str]]:
    tokens, chunks = summary.tokens, summary.chunks
    if tokens.is_estimated:
        yield (
            "estimated",
            "The server does not count all its tokens: chunks were counted instead, so times per token are estimates.",
        )
    if chunks.tokens_per_chunk is not None and not chunks.is_gap_itl:
        yield (
            "chunks",
            (
                f"A chunk holds {number(chunks.tokens_per_chunk)} tokens: the time between chunks is no time per token. "
                "'Time per token' takes that into account."
            ),
        )
    if run.cache_prompt is None:
        yield (
            "cache",
            "Whether the server reused prompts from its cache is unknown; two runs compare only when it is alike.",
        )
    elif tokens.cached_share is not None and not run.cache_prompt and tokens.cached_share > NOTABLE_SHARE:
        share = percent(tokens.cached_share)
        yield (
            "cached",
            f"{share} of the prompt tokens came from the server's cache though it was asked not to.",
        )
