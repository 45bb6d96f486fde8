"""The times of one request, as `definitions` describes them. Milliseconds; None where the answer does not say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tidegate.benchmark.chunks import Chunking, silent_tokens, visible_tokens
from tidegate.benchmark.record import RequestRecord

MS = 1e6
"""Nanoseconds."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Times of a request that brought content; all None otherwise."""

    ttft_ms: float | None = None
    ttft_planned_ms: float | None = None
    ttft_answer_ms: float | None = None
    ttft_answer_planned_ms: float | None = None
    e2e_ms: float | None = None
    e2e_planned_ms: float | None = None
    itl_ms: float | None = None
    stall_ms: float | None = None
    tokens_per_s: float | None = None
    """From the time per token; where all chunks came in one read, tokens over the whole time: a lower bound."""
    outside_server_ms: float | None = None
    gaps_ms: tuple[float, ...] = field(default=())


NOTHING = Latencies()


def latencies(request: RequestRecord, chunking: Chunking) -> Latencies:
    """Compute them; `chunking` belongs to the whole run."""
    sent, chunks = request.sent_ns, request.chunk_ns
    if sent is None or not chunks:
        return NOTHING
    planned = request.planned_ns
    first = chunks[0] if request.is_streamed else None
    answer = request.answer_ns if request.is_streamed else None
    gaps = tuple((after - before) / MS for before, after in pairwise(chunks))
    itl_ms = _itl_ms(request, chunking)
    return Latencies(
        ttft_ms=_between(sent, first),
        ttft_planned_ms=_between(planned, first),
        ttft_answer_ms=_between(sent, answer),
        ttft_answer_planned_ms=_between(planned, answer),
        e2e_ms=_between(sent, chunks[-1]),
        e2e_planned_ms=_between(planned, chunks[-1]),
        itl_ms=itl_ms,
        stall_ms=max(gaps, default=None),
        tokens_per_s=_tokens_per_s(request, itl_ms),
        outside_server_ms=_outside_server_ms(request, chunking),
        gaps_ms=gaps,
    )


def decoding_end_ns(request: RequestRecord, chunking: Chunking) -> int:
    """When its last token was made: the last chunk, unless a token without text came after it."""
    last = request.chunk_ns[-1]
    if request.finish_ns is None or request.finish_ns < last or chunking.basis == "stated":
        return last
    is_silent = silent_tokens(request, chunking.pattern) > 0
    # Without a pattern nobody can tell; engines count their end-of-text token, who counts the text does not.
    is_unclear = (
        chunking.pattern is None and request.finish_reason == "stop" and request.token_source != "tokenize"
    )
    return request.finish_ns if is_silent or is_unclear else last


def _itl_ms(request: RequestRecord, chunking: Chunking) -> float | None:
    chunks = request.chunk_ns
    if not request.is_streamed or request.tokens is None or len(chunks) < 2:
        return None
    if chunking.basis == "stated" and request.chunk_tokens:
        first, tokens, end = request.chunk_tokens[0], sum(request.chunk_tokens), chunks[-1]
    else:
        first, tokens, end = (
            chunking.first_tokens,
            visible_tokens(request),
            decoding_end_ns(request, chunking),
        )
    later = tokens - first
    return (end - chunks[0]) / MS / later if later > 0 else None


def _tokens_per_s(request: RequestRecord, itl_ms: float | None) -> float | None:
    if itl_ms:
        return 1000 / itl_ms
    total_ms = _between(request.sent_ns, request.end_ns)
    return request.tokens / total_ms * 1000 if request.tokens and total_ms else None


def _outside_server_ms(request: RequestRecord, chunking: Chunking) -> float | None:
    prompt_ms, predicted_ms = request.server_prompt_ms, request.server_predicted_ms
    if prompt_ms is None or predicted_ms is None or request.sent_ns is None:
        return None
    return (decoding_end_ns(request, chunking) - request.sent_ns) / MS - prompt_ms - predicted_ms


def _between(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / MS


Figure = Callable[[Latencies], float | None]
FIGURES: Mapping[str, Figure] = {
    "ttft": lambda found: found.ttft_ms,
    "ttft_planned": lambda found: found.ttft_planned_ms,
    "ttft_answer": lambda found: found.ttft_answer_ms,
    "e2e": lambda found: found.e2e_ms,
    "e2e_planned": lambda found: found.e2e_planned_ms,
    "itl": lambda found: found.itl_ms,
    "stall": lambda found: found.stall_ms,
    "tps_per_user": lambda found: 1000 / found.itl_ms if found.itl_ms else None,
}
"""One value per request, by the name of its definition."""

FROM_PLAN: Mapping[str, Figure] = {
    "ttft": lambda found: found.ttft_planned_ms,
    "ttft_answer": lambda found: found.ttft_answer_planned_ms,
    "e2e": lambda found: found.e2e_planned_ms,
}
"""The figures that an open loop is judged by: what waited in the client is waiting, too."""


def judged_figure(name: str, is_open_loop: bool) -> Figure:
    """How a figure is taken where something depends on it: from the planned time in an open loop."""
    return FROM_PLAN[name] if is_open_loop and name in FROM_PLAN else FIGURES[name]
