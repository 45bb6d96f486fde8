"""Pacing: never early, and nobody else has to wait for it."""

import asyncio
import time

import pytest

from tidegate.benchmark.pacing import Pacer


@pytest.mark.parametrize("has_timer", [True, False])
def test_a_moment_is_never_left_too_early_and_others_run_meanwhile(has_timer: bool):
    turns: list[int] = []

    async def wait() -> list[tuple[int, int]]:
        other = asyncio.create_task(count())
        seen: list[tuple[int, int]] = []
        async with Pacer(has_timer=has_timer) as pacer:
            for _ in range(5):
                # From now: were all of them fixed before, a held up process could find every one in the past.
                due = time.monotonic_ns() + 4_000_000
                await pacer.until(due)
                seen.append((due, time.monotonic_ns()))
        other.cancel()
        return seen

    async def count() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0.001)

    assert all(at >= due for due, at in asyncio.run(wait()))
    assert len(turns) > 1


@pytest.mark.parametrize("has_timer", [True, False])
def test_a_moment_in_the_past_is_over_at_once_after_others_had_a_turn(has_timer: bool):
    async def wait() -> bool:
        other = asyncio.create_task(asyncio.sleep(0))
        async with Pacer(has_timer=has_timer) as pacer:
            await pacer.until(0)
            await pacer.until(0)
        return other.done()

    assert asyncio.run(wait())


@pytest.mark.parametrize("has_timer", [True, False])
def test_a_wait_can_be_cancelled_and_the_pacer_used_again(has_timer: bool):
    async def wait() -> None:
        async with Pacer(has_timer=has_timer) as pacer:
            far = asyncio.create_task(pacer.until(time.monotonic_ns() + 10**12))
            await asyncio.sleep(0)
            far.cancel()
            with pytest.raises(asyncio.CancelledError):
                await far
            await pacer.until(time.monotonic_ns() + 1_000_000)

    asyncio.run(wait())
