"""What every figure means, as data: documentation, reports and schemas use this one text."""

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Definition:
    """One figure. `formula` uses the stamps of `RequestRecord`; `unit` is empty for a plain number."""

    name: str
    title: str
    meaning: str
    formula: str
    unit: str
    is_lower_better: bool | None = True
    """None: neither is better."""


_ROWS = (
    Definition(
        "ttft", "Time to first token",
        "Wait from sending to the first chunk with text, reasoning or a tool call. A chunk that only names the role "
        "is no token.",
        "chunk_ns[0] - sent_ns", "ms",
    ),
    Definition(
        "ttft_planned", "Time to first token from plan",
        "The same from the time at which the request was planned. A client that falls behind a stalled server cannot "
        "hide the wait here. Open loop only.",
        "chunk_ns[0] - planned_ns", "ms",
    ),
    Definition(
        "ttft_answer", "Time to first answer token",
        "Wait from sending to the first chunk that is not reasoning.",
        "answer_ns - sent_ns", "ms",
    ),
    Definition(
        "e2e", "Time to last token",
        "From sending to the last chunk with content; what follows it (usage, end of stream) does not count.",
        "chunk_ns[-1] - sent_ns", "ms",
    ),
    Definition(
        "e2e_planned", "Time to last token from plan",
        "The same from the planned time. Open loop only.",
        "chunk_ns[-1] - planned_ns", "ms",
    ),
    Definition(
        "itl", "Time per token",
        "Mean time between the tokens of one answer, after its first chunk (others call it TPOT). k1 are the tokens "
        "of the first chunk: as the server states them, else from the pattern of all chunks. Where the server "
        "counted an end token that has no text, the finish chunk is the last.",
        "(chunk_ns[-1] - chunk_ns[0]) / (tokens - k1)", "ms",
    ),
    Definition(
        "gap", "Time between chunks",
        "Time between two chunks with content. It is a time per token only where a chunk holds one token (within "
        "2 %). Gaps of one answer depend on each other: their intervals are too narrow.",
        "chunk_ns[i+1] - chunk_ns[i]", "ms",
    ),
    Definition(
        "stall", "Longest gap of an answer",
        "The longest time for which an answer stood still. A mean per answer cannot show it.",
        "max(chunk_ns[i+1] - chunk_ns[i])", "ms",
    ),
    Definition(
        "tps_per_user", "Tokens per second of one user",
        "Speed at which one answer is written after its first chunk.",
        "1000 / itl", "tokens/s", is_lower_better=False,
    ),
    Definition(
        "output_tps", "Output tokens per second",
        "Tokens of successful requests that ended inside the measured window, over its length.",
        "sum(tokens) / window", "tokens/s", is_lower_better=False,
    ),
    Definition(
        "output_tps_steady", "Output tokens per second, steady",
        "Tokens written while the load stood: from the first to the last time at which as many requests were in "
        "flight as in the median of the window. Ramps at both ends do not count.",
        "tokens of chunks in the steady part / its length", "tokens/s", is_lower_better=False,
    ),
    Definition(
        "request_rate", "Requests per second",
        "Successful requests that ended inside the measured window, over its length.",
        "requests / window", "requests/s", is_lower_better=False,
    ),
    Definition(
        "sent_rate", "Requests sent per second",
        "Requests of the measured window that were sent, over its length: the load that the server really got.",
        "requests sent / window", "requests/s", is_lower_better=None,
    ),
    Definition(
        "goodput", "Good requests per second",
        "Requests that kept every limit of the service level, over the length of the window.",
        "good requests / window", "requests/s", is_lower_better=False,
    ),
    Definition(
        "attainment", "Share of good requests",
        "Requests that kept every limit of the service level, of all that were planned in the window. An error, a "
        "timeout or a request that was never sent is a miss.",
        "good requests / planned requests", "", is_lower_better=False,
    ),
    Definition(
        "error_share", "Share of failed requests",
        "Requests that failed or ended before they were whole, of those that were sent in the window.",
        "(failed + truncated) / sent", "",
    ),
    Definition(
        "server_prompt", "Prompt processing by the server",
        "Time for the prompt as the server itself states it.",
        "timings.prompt_ms", "ms",
    ),
    Definition(
        "server_predicted", "Decoding by the server",
        "Time for the answer as the server itself states it.",
        "timings.predicted_ms", "ms",
    ),
    Definition(
        "outside_server", "Time outside the server's work",
        "What the client saw beyond the work that the server states: queue, network and this client together.",
        "(end of decoding - sent_ns) - server_prompt - server_predicted", "ms",
    ),
    Definition(
        "tokens_per_chunk", "Tokens per chunk",
        "Tokens over chunks with content. Only where it is 1 within 2 % is a gap a time per token.",
        "sum(tokens) / sum(chunks)", "", is_lower_better=None,
    ),
    Definition(
        "in_flight", "Requests in flight",
        "Requests between sending and end, averaged over the time of the window.",
        "sum(end_ns - sent_ns inside the window) / window", "", is_lower_better=None,
    ),
    Definition(
        "cached_share", "Share of cached prompt tokens",
        "Prompt tokens that came from the server's cache. Two runs compare only when it is alike.",
        "sum(cached_tokens) / sum(prompt_tokens)", "", is_lower_better=None,
    ),
)  # fmt: skip

PERCENTILE_NOTE = (
    "Percentiles are linear between samples (numpy's default), with their number and the interval of the order "
    "statistics at 95 %. A percentile q of n samples is left blank unless n (1 - q) is at least 10: p95 needs 200 "
    "requests, p99 needs 1000."
)
ADJUSTED_NOTE = (
    "The adjusted percentile counts each request that failed or was never sent as infinitely slow. `beyond` means "
    "that so many failed that the percentile lies among them."
)


@cache
def definitions() -> dict[str, Definition]:
    """By name, in the order of a report."""
    return {row.name: row for row in _ROWS}


def meaning(name: str) -> str:
    """The sentence for a field's description."""
    return definitions()[name].meaning
