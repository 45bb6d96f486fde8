"""What happened in a measured window over time: amounts per second, requests in flight, the steady part."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tidegate.benchmark.chunks import Chunking
from tidegate.benchmark.figures import Rate, mean_interval
from tidegate.benchmark.record import RequestRecord, RunRecord, Span

S = 1e9
"""Nanoseconds."""
PARTS = 10
"""Equal parts that a window without blocks is cut into for the interval of a rate."""
FEWEST_PER_PART = 2
"""Requests that a part needs on average, or the interval is left out."""


@dataclass(frozen=True)
class Windows:
    """The spans of one run that are measured: one, or one per block."""

    spans: tuple[Span, ...]

    @classmethod
    def of(cls, run: RunRecord) -> "Windows":
        """Without stated block windows: the window, or one per block where the record has several blocks."""
        if run.block_windows_ns:
            return cls(tuple(sorted(run.block_windows_ns)))
        blocks: dict[int, list[int]] = {}
        for request in run.measured():
            known = (request.start_ns, request.end_ns)
            blocks.setdefault(request.block, []).extend(stamp for stamp in known if stamp is not None)
        if len(blocks) < 2:
            return cls((run.window_ns,))
        spans = [(min(stamps), max(stamps)) for _, stamps in sorted(blocks.items()) if stamps]
        spans = sorted(span for span in spans if span[1] > span[0])
        return cls(tuple(spans) or (run.window_ns,))

    @property
    def seconds(self) -> float:
        return sum(end - start for start, end in self.spans) / S

    def holds(self, stamp: int) -> bool:
        place = bisect_right(self.spans, stamp, key=lambda span: span[0])
        return place > 0 and stamp <= self.spans[place - 1][1]


def parts_of(spans: Sequence[Span]) -> list[Span]:
    """Blocks where there are enough, else equal parts of each span."""
    if len(spans) > 2:
        return list(spans)
    parts: list[Span] = []
    for start, end in spans:
        edges = [start + (end - start) * number // PARTS for number in range(PARTS + 1)]
        parts += [span for span in pairwise(edges) if span[1] > span[0]]
    return parts


def rate(windows: Windows, events: Sequence[tuple[int, float]], unit: str) -> Rate:
    """Amounts at stamps inside the windows, per second; the interval is the t interval over the parts."""
    inside = [(stamp, amount) for stamp, amount in events if windows.holds(stamp)]
    value = sum(amount for _, amount in inside) / windows.seconds
    low, high = None, None
    parts = parts_of(windows.spans)
    if len(inside) >= FEWEST_PER_PART * len(parts):
        low, high = _interval_over(parts, inside, value)
    return Rate(value=value, low=low, high=high, unit=unit, n=len(inside))


def _interval_over(
    parts: Sequence[Span], inside: Sequence[tuple[int, float]], value: float
) -> tuple[float | None, float | None]:
    stops = _half_open(parts)
    ordered = sorted(inside)
    stamps = [stamp for stamp, _ in ordered]
    sums = list(accumulate((amount for _, amount in ordered), initial=0.0))
    amounts = [sums[bisect_left(stamps, stop)] - sums[bisect_left(stamps, start)] for start, stop in stops]
    return _around(
        value, [amount / ((end - start) / S) for amount, (start, end) in zip(amounts, parts, strict=True)]
    )


def _half_open(parts: Sequence[Span]) -> list[Span]:
    """So that what lies on an edge between two parts counts once, and what lies on the last edge counts too."""
    starts = {start for start, _ in parts}
    return [(start, end if end in starts else end + 1) for start, end in parts]


def _around(value: float, rates: Sequence[float]) -> tuple[float | None, float | None]:
    """Parts of unequal length weigh alike; their interval is laid around the rate of the whole."""
    low, high = mean_interval(rates)
    if low is None or high is None:
        return None, None
    half = (high - low) / 2
    return max(0.0, value - half), value + half


def in_flight_levels(requests: Iterable[RequestRecord]) -> list[tuple[int, int]]:
    """(stamp, requests in flight from then on), rising in time."""
    changes: list[tuple[int, int]] = []
    for request in requests:
        if request.sent_ns is not None and request.end_ns is not None and request.end_ns > request.sent_ns:
            changes += [(request.sent_ns, 1), (request.end_ns, -1)]
    levels: list[tuple[int, int]] = []
    level = 0
    # Where one request ends as another begins, there was no moment with both.
    for stamp, change in sorted(changes):
        level += change
        if levels and levels[-1][0] == stamp:
            levels[-1] = (stamp, level)
        else:
            levels.append((stamp, level))
    return levels


def time_at_levels(levels: Sequence[tuple[int, int]], span: Span) -> dict[int, int]:
    """Nanoseconds of a span by the number of requests in flight."""
    spent: dict[int, int] = {}
    for start, end, level in _steps(levels, span):
        spent[level] = spent.get(level, 0) + end - start
    return spent


def steady_span(levels: Sequence[tuple[int, int]], span: Span) -> Span | None:
    """From the first to the last time at which as many are in flight as in the median of the span's time."""
    spent = time_at_levels(levels, span)
    usual, reached = 0, 0
    for level in sorted(spent):
        reached += spent[level]
        usual = level
        if 2 * reached >= span[1] - span[0]:
            break
    if usual == 0:
        return None
    loaded = [(start, end) for start, end, level in _steps(levels, span) if level >= usual]
    return (loaded[0][0], loaded[-1][1]) if loaded else None


def steady_output(run: RunRecord, windows: Windows, chunking: Chunking) -> Rate | None:
    """Tokens written by requests that succeeded, while the load stood; warm-up and cool-down count where they overlap."""
    levels = in_flight_levels(run.requests)
    spans = [found for span in windows.spans if (found := steady_span(levels, span)) is not None]
    seconds = sum(end - start for start, end in spans) / S
    if seconds <= 0:
        return None
    answers = [request for request in run.requests if request.is_ok and request.tokens and request.chunk_ns]
    parts = parts_of(spans)
    stops = _half_open(parts)
    starts = [start for start, _ in stops]
    tokens = [0.0] * len(parts)
    for request in answers:
        first, last = request.chunk_ns[0], request.chunk_ns[-1]
        for place in range(max(0, bisect_right(starts, first) - 1), bisect_right(starts, last)):
            tokens[place] += tokens_inside(request, chunking, stops[place])
    value = sum(tokens) / seconds
    low, high = None, None
    if len(answers) >= FEWEST_PER_PART * len(parts):
        rates = [count / ((end - start) / S) for count, (start, end) in zip(tokens, parts, strict=True)]
        low, high = _around(value, rates)
    return Rate(value=value, low=low, high=high, unit="tokens/s", n=len(answers))


def tokens_inside(request: RequestRecord, chunking: Chunking, span: Span) -> float:
    """Tokens that came from the start of a span until before its end; all of the answer's, spread over its chunks
    as far as that is known."""
    chunks = request.chunk_ns
    low, high = bisect_left(chunks, span[0]), bisect_left(chunks, span[1])
    if low >= high:
        return 0.0
    if request.chunk_tokens:
        return float(sum(request.chunk_tokens[low:high]))
    tokens = float(request.tokens or 0)
    first = tokens if len(chunks) == 1 else min(chunking.first_tokens, tokens)
    each = (tokens - first) / max(1, len(chunks) - 1)
    return first + each * (high - 1) if low == 0 else each * (high - low)


def mean_in_flight(run: RunRecord, windows: Windows) -> tuple[float, int]:
    """Over the time of the windows: the mean, and the most at once."""
    levels = in_flight_levels(run.requests)
    area, most = 0.0, 0
    for span in windows.spans:
        spent = time_at_levels(levels, span)
        area += sum(level * duration for level, duration in spent.items())
        most = max(most, *(level for level, duration in spent.items() if duration > 0))
    return area / (windows.seconds * S), most


def ended_inside(
    requests: Sequence[RequestRecord], windows: Windows, amount: Callable[[RequestRecord], float]
) -> list[tuple[int, float]]:
    """(end, amount) of those that succeeded and ended inside the windows."""
    return [
        (request.end_ns, amount(request))
        for request in requests
        if request.is_ok and request.end_ns is not None and windows.holds(request.end_ns)
    ]


def _steps(levels: Sequence[tuple[int, int]], span: Span) -> list[tuple[int, int, int]]:
    """(from, to, level) pieces that fill the span."""
    start, end = span
    place = bisect_right(levels, start, key=lambda step: step[0])
    level = levels[place - 1][1] if place else 0
    pieces: list[tuple[int, int, int]] = []
    at = start
    while place < len(levels) and levels[place][0] < end:
        stamp, following = levels[place]
        if stamp > at:
            pieces.append((at, stamp, level))
        at, level, place = stamp, following, place + 1
    pieces.append((at, end, level))
    return pieces
