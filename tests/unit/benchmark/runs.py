"""Runs as a test wants them: requests with stated times, no clock and no network."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tidegate.benchmark.record import Outcome, RequestRecord, RunRecord

MS = 1_000_000
TAKEN_AT = datetime(2026, 11, 26, 7, tzinfo=UTC)
PLAN = {"digest": "same requests", "seed": 7, "max_tokens": 24, "ignore_eos": True}


def request(
    index: int = 0,
    at_ms: float = 0,
    ttft_ms: float = 50,
    gap_ms: float = 10,
    chunks: int = 24,
    per_chunk: int = 1,
    **changes: Any,
) -> RequestRecord:
    """A sound stream: `chunks` chunks, `gap_ms` between two tokens, all of which fill `per_chunk` to a chunk."""
    sent = round(at_ms * MS)
    stamps = tuple(sent + round((ttft_ms + number * gap_ms * per_chunk) * MS) for number in range(chunks))
    last = stamps[-1] if stamps else sent
    values: dict[str, Any] = {
        "index": index, "sent_ns": sent, "headers_ns": sent, "chunk_ns": stamps, "finish_ns": last, "end_ns": last,
        "answer_ns": stamps[0] if stamps else None, "outcome": Outcome.OK, "finish_reason": "length", "status": 200,
        "tokens": chunks * per_chunk, "token_source": "usage",
    }  # fmt: skip
    return RequestRecord(**(values | changes))


def failed(index: int = 0, at_ms: float = 0, error: str = "HTTP 503", **changes: Any) -> RequestRecord:
    sent = round(at_ms * MS)
    values: dict[str, Any] = {
        "index": index, "sent_ns": sent, "end_ns": sent + MS, "outcome": Outcome.FAILED, "error": error, "status": 503,
    }  # fmt: skip
    return RequestRecord(**(values | changes))


def not_sent(index: int = 0, **changes: Any) -> RequestRecord:
    return RequestRecord(
        index=index, outcome=Outcome.NOT_SENT, error="the run ended before its turn", **changes
    )


def run(requests: Iterable[RequestRecord], **changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "id": "run",
        "created_at": TAKEN_AT,
        "plan": PLAN,
        "window_ns": (0, 1_000_000 * MS),
        "requests": tuple(requests),
    }
    return RunRecord(**(values | changes))
