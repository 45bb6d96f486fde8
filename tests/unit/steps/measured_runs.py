"""Runs of load with known latencies, as a release measures them."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from tidegate.benchmark import ClientHonesty, Outcome, RequestRecord, RunRecord

NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
MS = 1_000_000
TOKENS = 5


def request(
    index: int, block: int, at_ms: float, ttft_ms: float, itl_ms: float, *, failed: bool = False
) -> RequestRecord:
    sent = round(at_ms * MS)
    if failed:
        return RequestRecord(
            index=index, block=block, sent_ns=sent, end_ns=sent + MS, outcome=Outcome.FAILED, error="HTTP 500"
        )
    first = sent + round(ttft_ms * MS)
    chunks = tuple(first + round(itl_ms * MS * place) for place in range(TOKENS))
    return RequestRecord(
        index=index,
        block=block,
        sent_ns=sent,
        chunk_ns=chunks,
        finish_ns=chunks[-1],
        end_ns=chunks[-1],
        outcome=Outcome.OK,
        tokens=TOKENS,
        token_source="usage",
        status=200,
    )


def run(
    label: str,
    blocks: Sequence[float],
    *,
    per_block: int = 4,
    ttft_ms: float = 100.0,
    itl_ms: float = 20.0,
    failed: int = 0,
    digest: str = "d",
    honesty: ClientHonesty | None = None,
) -> RunRecord:
    """One arm; each block is so many times as slow as the given latencies."""
    requests: list[RequestRecord] = []
    windows: list[tuple[int, int]] = []
    for block, factor in enumerate(blocks):
        begin = block * 10_000
        for place in range(per_block):
            index = block * per_block + place
            at = begin + place * 100.0
            requests.append(
                request(index, block, at, ttft_ms * factor, itl_ms * factor, failed=index < failed)
            )
        windows.append((begin * MS, (begin + 9_000) * MS))
    return RunRecord(
        id=f"{label}-{digest}",
        label=label,
        created_at=NOW,
        plan={"digest": digest, "max_tokens": TOKENS},
        window_ns=(windows[0][0], windows[-1][1]),
        block_windows_ns=tuple(windows),
        requests=tuple(requests),
        honesty=honesty,
    )


def noise(seed: int, pairs: int, ratio: float, spread: float) -> list[float]:
    """Factors of so many blocks around a true ratio."""
    return [
        float(value) for value in np.exp(np.random.default_rng(seed).normal(np.log(ratio), spread, pairs))
    ]
