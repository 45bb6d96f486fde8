"""The load generator: closed concurrency, arms in alternating blocks, one event loop and no JSON while reading."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from tidegate.benchmark.measures import ArmResult, Sample, sample_of
from tidegate.benchmark.plan import Arm, LoadPlan
from tidegate.benchmark.wire import Exchange, Wire, open_wire
from tidegate.statistics import percentile

LAG_INTERVAL_S = 0.02

Progress = Callable[[int, int], None]
"""Called with requests done and requests planned, over all arms."""


async def measure(
    arms: Sequence[Arm], plan: LoadPlan, progress: Progress | None = None
) -> dict[str, ArmResult]:
    """Measure the arms side by side and return a result for each by name.

    In each block every arm in turn answers the same requests with the same seeds, after a warm-up that is
    not counted; only one arm is under load at a time. Failed requests are samples, never exceptions.
    """
    samples: dict[str, list[Sample]] = {arm.name: [] for arm in arms}
    lags: dict[str, list[float]] = {arm.name: [] for arm in arms}
    deadline = time.monotonic() + plan.deadline_s
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(open_wire(keep_alive=False)) for _ in arms]
        for block in range(plan.blocks):
            for position in plan.arm_order(block, len(arms)):
                arm = arms[position]
                watch = asyncio.create_task(_watch_lag(lags[arm.name]))
                samples[arm.name] += await _run_block(wires[position], arm, plan, block, deadline)
                watch.cancel()
                if progress is not None:
                    progress(sum(map(len, samples.values())), plan.requests * len(arms))
    return {
        arm.name: ArmResult(
            name=arm.name,
            planned=plan.requests,
            samples=tuple(sorted(samples[arm.name], key=lambda sample: sample.index)),
            client_lag_p95_ms=percentile(lags[arm.name], 0.95),
        )
        for arm in arms
    }


async def _run_block(wire: Wire, arm: Arm, plan: LoadPlan, block: int, deadline: float) -> list[Sample]:
    """Warm up, then send the block's requests with `concurrency` workers, and parse when all have ended."""
    indices = plan.block_indices(block)
    headers = arm.request_headers

    async def send_all(numbers: list[int]) -> list[tuple[int, Exchange]]:
        waiting, done = iter(numbers), list[tuple[int, Exchange]]()

        async def worker() -> None:
            for number in waiting:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return
                limit_s = min(plan.request_timeout_s, left_s)
                result = await wire.post(arm.url, headers, plan.body(arm, number), limit_s)
                # What our own deadline cut off says nothing about the server.
                if not (result.error and time.monotonic() >= deadline):
                    done.append((number, result))

        await asyncio.gather(*(worker() for _ in range(plan.concurrency)))
        return done

    await send_all([indices[n % len(indices)] for n in range(plan.warmup_requests)])
    return [sample_of(done, block, index) for index, done in await send_all(indices)]


async def _watch_lag(lags_ms: list[float]) -> None:
    """Record how much later than asked this event loop wakes us."""
    while True:
        asked = time.monotonic()
        await asyncio.sleep(LAG_INTERVAL_S)
        lags_ms.append((time.monotonic() - asked - LAG_INTERVAL_S) * 1000)
