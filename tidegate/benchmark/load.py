"""The load generator: closed concurrency, arms in alternating blocks, one event loop and no JSON while reading."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from tidegate.benchmark.measures import record_of
from tidegate.benchmark.plan import Arm, LoadPlan
from tidegate.benchmark.record import ClientHonesty, Outcome, Phase, RequestRecord, RunRecord
from tidegate.benchmark.wire import Exchange, Wire, open_wire
from tidegate.statistics import percentile

LAG_INTERVAL_S = 0.02

Progress = Callable[[int, int], None]
"""Called with requests done and requests planned, over all arms."""


async def measure(
    arms: Sequence[Arm], plan: LoadPlan, progress: Progress | None = None
) -> dict[str, RunRecord]:
    """Measure the arms side by side and return the run of each by name.

    In each block every arm in turn answers the same requests with the same seeds, after a warm-up that is
    not counted; only one arm is under load at a time. Failed requests are records, never exceptions.
    """
    records: dict[str, list[RequestRecord]] = {arm.name: [] for arm in arms}
    windows: dict[str, list[tuple[int, int]]] = {arm.name: [] for arm in arms}
    lags: dict[str, list[float]] = {arm.name: [] for arm in arms}
    created_at, start_ns = datetime.now(UTC), time.monotonic_ns()
    deadline = time.monotonic() + plan.deadline_s
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(open_wire(keep_alive=False)) for _ in arms]
        for block in range(plan.blocks):
            for position in plan.arm_order(block, len(arms)):
                arm = arms[position]
                watch = asyncio.create_task(_watch_lag(lags[arm.name]))
                found, window = await _run_block(wires[position], arm, plan, block, deadline, start_ns)
                records[arm.name] += found
                windows[arm.name].append(window)
                watch.cancel()
                if progress is not None:
                    progress(sum(map(len, records.values())), plan.requests * len(arms))
    return {
        arm.name: RunRecord(
            id=secrets.token_hex(8),
            label=arm.name,
            target=arm.base_url,
            model=arm.model,
            created_at=created_at,
            plan=_described(plan),
            window_ns=(windows[arm.name][0][0], windows[arm.name][-1][1]),
            block_windows_ns=tuple(windows[arm.name]),
            requests=tuple(sorted(records[arm.name], key=lambda record: record.index)),
            honesty=ClientHonesty(loop_lag_p99_ms=percentile(lags[arm.name], 0.99)),
            cache_prompt=False,
        )
        for arm in arms
    }


def _described(plan: LoadPlan) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    return {**settings, "digest": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()}


async def _run_block(
    wire: Wire, arm: Arm, plan: LoadPlan, block: int, deadline: float, start_ns: int
) -> tuple[list[RequestRecord], tuple[int, int]]:
    """Warm up, then send the block's requests with `concurrency` workers, and parse when all have ended."""
    indices = plan.block_indices(block)
    headers = arm.request_headers

    async def send_all(numbers: list[int]) -> dict[int, Exchange]:
        waiting, done = iter(enumerate(numbers)), dict[int, Exchange]()

        async def worker() -> None:
            for place, number in waiting:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return
                limit_s = min(plan.request_timeout_s, left_s)
                result = await wire.post(arm.url, headers, plan.body(arm, number), limit_s)
                # What our own deadline cut off says nothing about the server.
                if not (result.error and time.monotonic() >= deadline):
                    done[place] = result

        await asyncio.gather(*(worker() for _ in range(plan.concurrency)))
        return done

    await send_all([indices[n % len(indices)] for n in range(plan.warmup_requests)])
    begun_ns = time.monotonic_ns() - start_ns
    done = await send_all(indices)
    ended_ns = time.monotonic_ns() - start_ns + 1
    records = [
        record_of(done[place], index=index, block=block, start_ns=start_ns)
        if place in done
        else RequestRecord(
            index=index,
            block=block,
            phase=Phase.MEASURED,
            outcome=Outcome.NOT_SENT,
            error="the run ended before its turn",
        )
        for place, index in enumerate(indices)
    ]
    return records, (begun_ns, ended_ns)


async def _watch_lag(lags_ms: list[float]) -> None:
    """Record how much later than asked this event loop wakes us."""
    while True:
        asked = time.monotonic()
        await asyncio.sleep(LAG_INTERVAL_S)
        lags_ms.append(max(0.0, time.monotonic() - asked - LAG_INTERVAL_S) * 1000)
