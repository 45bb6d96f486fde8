"""Two servers of four slots with known work, as runs: what a comparison must not be fooled by."""

import numpy as np

from tests.unit.benchmark.runs import MS, run
from tidegate.benchmark.record import Outcome, RequestRecord, RunRecord

SLOTS = 4
PREFILL = 0.1
"""Share of a request's work before its first token."""
MEAN_WORK_MS = 100.0
SHARED = 0.8
"""Correlation of the work that a prompt is for the two arms."""


def two_arms(
    utilisation: float, seed: int, *, pairs: int, requests: int, slower: float = 1.0, shared: float = SHARED
) -> tuple[RunRecord, RunRecord]:
    """Base and candidate after the same schedule: Poisson arrivals, log-normal work, blocks that start empty."""
    draw = np.random.default_rng([seed, round(utilisation * 1000), pairs, requests])
    gap_ms = MEAN_WORK_MS / (utilisation * SLOTS)
    records: tuple[list[RequestRecord], list[RequestRecord]] = ([], [])
    for block in range(pairs):
        start_ms = block * requests * gap_ms * 3
        arrivals = start_ms + np.cumsum(draw.exponential(gap_ms, requests))
        common = draw.normal(0, 0.5, requests)
        for side, factor in enumerate((1.0, slower)):
            own = shared**0.5 * common + (1 - shared) ** 0.5 * draw.normal(0, 0.5, requests)
            work = factor * MEAN_WORK_MS * np.exp(own - 0.125)
            records[side].extend(_served(arrivals, work, block, requests))
    end = max(record.planned_ns or 0 for record in records[0]) + 1
    sides = [
        run(side, id=f"{name}-{seed}", mode="poisson", window_ns=(0, end))
        for name, side in zip("ab", records, strict=True)
    ]
    return sides[0], sides[1]


def _served(arrivals: np.ndarray, work: np.ndarray, block: int, requests: int) -> list[RequestRecord]:
    free_at = [0.0] * SLOTS
    found: list[RequestRecord] = []
    for place, (at, needed) in enumerate(zip(arrivals.tolist(), work.tolist(), strict=True)):
        slot = free_at.index(min(free_at))
        begin = max(at, free_at[slot])
        free_at[slot] = begin + needed
        sent, first = round(at * MS), round((begin + PREFILL * needed) * MS)
        # Nothing to validate here, and thousands of them.
        found.append(
            RequestRecord.model_construct(
                **{**_BLANK, "index": block * requests + place, "block": block, "planned_ns": sent, "sent_ns": sent,
                   "chunk_ns": (first,), "answer_ns": first, "finish_ns": first, "end_ns": round(free_at[slot] * MS)}
            )
        )  # fmt: skip
    return found


_BLANK = RequestRecord(
    index=0, sent_ns=0, end_ns=0, outcome=Outcome.OK, tokens=1, token_source="usage", planned_ns=0
).model_dump()
