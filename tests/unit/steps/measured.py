"""A measurement of one arm as the load generator would return it."""

from datetime import UTC, datetime

from tidegate.benchmark import Outcome, RequestRecord, RunRecord

MS = 1_000_000


def measured(ttft_ms: float, *, is_ok: bool = True, requests: int = 24, blocks: int = 6) -> RunRecord:
    """Streams of 24 tokens, one each 10 ms, one after the other."""
    records: list[RequestRecord] = []
    now = 0
    for number in range(requests):
        block = number * blocks // requests
        if not is_ok:
            records.append(
                RequestRecord(
                    index=number,
                    block=block,
                    sent_ns=now,
                    end_ns=now + MS,
                    outcome=Outcome.FAILED,
                    error="refused",
                )
            )
            now += 2 * MS
            continue
        first = now + round((ttft_ms + number % 3) * MS)
        chunks = tuple(first + 10 * MS * token for token in range(24))
        records.append(
            RequestRecord(
                index=number, block=block, sent_ns=now, headers_ns=now + MS, chunk_ns=chunks, finish_ns=chunks[-1],
                end_ns=chunks[-1], outcome=Outcome.OK, status=200, tokens=24, token_source="usage",
            )
        )  # fmt: skip
        now = chunks[-1] + MS
    return RunRecord(
        id="night",
        created_at=datetime(2026, 11, 26, tzinfo=UTC),
        window_ns=(0, now + MS),
        requests=tuple(records),
    )
