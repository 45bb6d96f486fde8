"""How many tokens a chunk holds, which a stream seldom says and the time per token depends on.

With 64 tokens in chunks of four, `(last - first) / (tokens - 1)` understates the time per token by 4.8 %: the
first chunk holds four of them. Where the server states the tokens of a chunk they are taken. Else the sizes are
worked out from the counts of all requests, because the pattern belongs to the server, not to the request.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tidegate.benchmark.record import RequestRecord

MOST_REGULAR = 64
"""Larger chunks than this are not looked for as a pattern."""
REGULAR_SHARE = 0.5
"""Share of the requests that a pattern must explain."""
MOST_FITTED = 500
"""Answers whose times are looked at where counts alone leave several patterns."""
ONE_TOKEN_TOLERANCE = 0.02
"""A gap is a time per token when tokens per chunk is 1 within this."""


@dataclass(frozen=True, order=True)
class Pattern:
    """`first` tokens in the first chunk and `size` in each later one; the last may hold fewer."""

    size: int
    first: int

    def capacity(self, chunks: int) -> int:
        """Most tokens that so many chunks hold."""
        return self.first + self.size * (chunks - 1)

    def last(self, tokens: int, chunks: int) -> int:
        return tokens - self.capacity(chunks - 1)


@dataclass(frozen=True)
class Chunking:
    """What is known about the chunks of one run."""

    basis: Literal["stated", "regular", "estimated", "none"]
    """The server stated the tokens of each chunk; they follow a pattern; the mean is taken; nothing is known."""
    tokens_per_chunk: float | None
    first_tokens: float
    """Tokens in the first chunk of an answer."""
    pattern: Pattern | None = None

    @property
    def is_one_token(self) -> bool:
        """Whether the time between chunks may be called a time between tokens."""
        share = self.tokens_per_chunk
        return share is not None and abs(share - 1) <= ONE_TOKEN_TOLERANCE


def chunking_of(requests: Iterable[RequestRecord]) -> Chunking:
    """What the successful streams of a run say together."""
    streams = [request for request in requests if request.is_ok and request.is_streamed and request.chunk_ns]
    stated = [request for request in streams if request.chunk_tokens]
    if stated and len(stated) == len(streams):
        per_chunk = _mean([tokens for request in stated for tokens in request.chunk_tokens or ()])
        return Chunking("stated", per_chunk, _mean([(request.chunk_tokens or (1,))[0] for request in stated]))
    counted = [request for request in streams if is_counted(request)]
    if not counted:
        return Chunking("none", None, 1.0)
    pattern = _pattern_of([request for request in counted if len(request.chunk_ns) > 1])
    tokens = sum(visible_tokens(request) - silent_tokens(request, pattern) for request in counted)
    per_chunk = tokens / sum(len(request.chunk_ns) for request in counted)
    if pattern is not None:
        return Chunking("regular", per_chunk, float(pattern.first), pattern)
    return Chunking("estimated", per_chunk, max(1.0, per_chunk))


def is_counted(request: RequestRecord) -> bool:
    """Whether somebody counted the tokens; chunks are not tokens."""
    return bool(request.tokens) and request.token_source != "chunks"


def visible_tokens(request: RequestRecord) -> int:
    """Tokens that could be seen: reasoning that was counted but never streamed took no time between chunks."""
    tokens = request.tokens or 0
    is_hidden = bool(request.chunk_ns) and request.answer_ns == request.chunk_ns[0]
    return max(1, tokens - (request.reasoning_tokens or 0)) if is_hidden and tokens else tokens


def silent_tokens(request: RequestRecord, pattern: Pattern | None) -> int:
    """1 where the server counted an end-of-text token that no chunk with content can hold."""
    if request.finish_reason != "stop" or pattern is None or not request.chunk_ns:
        return 0
    return int(visible_tokens(request) > pattern.capacity(len(request.chunk_ns)))


def _pattern_of(streams: Sequence[RequestRecord]) -> Pattern | None:
    """The pattern that explains most requests; of equals the one whose last gaps fit. None: none, or several."""
    votes = Counter(pattern for request in streams for pattern in _possible(request))
    if not votes:
        return None
    most = max(votes.values())
    if most < REGULAR_SHARE * len(streams):
        return None
    misfits = {pattern: _misfit(streams, pattern) for pattern, count in votes.items() if count == most}
    best = [pattern for pattern, misfit in misfits.items() if misfit == min(misfits.values())]
    # Full chunks from the first one on are by far the usual way; then a first token by itself.
    usual = [pattern for pattern in best if pattern.first == pattern.size] or best
    # Answers of two or three chunks fit many patterns alike: then the mean is as good a guess, and says so.
    return usual[0] if len(usual) == 1 else None


def _possible(request: RequestRecord) -> set[Pattern]:
    """Patterns under which so many tokens come in so many chunks."""
    chunks, tokens = len(request.chunk_ns), visible_tokens(request)
    # An end-of-text token may be counted and has no text.
    totals = (tokens, tokens - 1) if request.finish_reason == "stop" else (tokens,)
    found: set[Pattern] = set()
    for total in totals:
        found |= {Pattern(size, size) for size in _sizes(total, chunks)}
        # Some servers send the first token at once, and only then several at a time.
        found |= {Pattern(size, 1) for size in _sizes(total - 1, chunks - 1) if size > 1}
    return found


def _sizes(tokens: int, chunks: int) -> range:
    """Sizes k with (chunks - 1) k < tokens <= chunks k."""
    if chunks < 1 or tokens < chunks:
        return range(0)
    smallest = -(-tokens // chunks)
    largest = tokens if chunks == 1 else (tokens - 1) // (chunks - 1)
    return range(smallest, min(largest, MOST_REGULAR) + 1)


def _misfit(streams: Sequence[RequestRecord], pattern: Pattern) -> float:
    """How far the ends of the answers are from the time that their tokens should take; all requests together.

    The last chunk should take its share of a usual gap, and the finish of an answer whose end token has no chunk
    should come one token later. In usual gaps, to two digits; a tenth at each end is left out, so that a few answers
    which stood still there do not decide.
    """
    last_off: list[float] = []
    end_off: list[float] = []
    for request in streams[:MOST_FITTED]:
        stamps = request.chunk_ns
        silent = silent_tokens(request, pattern)
        last = pattern.last(visible_tokens(request) - silent, len(stamps))
        if len(stamps) < 3 or not 1 <= last <= pattern.size or stamps[-2] == stamps[0]:
            continue
        inner = (stamps[-2] - stamps[0]) / (len(stamps) - 2)
        last_off.append((stamps[-1] - stamps[-2]) / inner - last / pattern.size)
        if request.finish_reason == "stop" and request.finish_ns is not None:
            end_off.append((request.finish_ns - stamps[-1]) / inner - silent / pattern.size)
    return round(abs(_trimmed_mean(last_off)) + abs(_trimmed_mean(end_off)), 2)


def _trimmed_mean(values: Sequence[float]) -> float:
    """0 without values."""
    cut = len(values) // 10
    kept = sorted(values)[cut : len(values) - cut]
    return sum(kept) / len(kept) if kept else 0.0


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)
