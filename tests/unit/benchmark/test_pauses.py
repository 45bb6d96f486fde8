"""While a run goes there is no full collection, and afterwards everything is as before."""

import gc
import subprocess
import sys

import pytest

from tidegate.benchmark.pauses import no_long_pauses


def test_no_full_collection_runs_and_the_collector_is_left_as_it_was():
    before, full = gc.get_threshold(), 0

    def count(phase: str, about: dict[str, int]) -> None:
        nonlocal full
        full += phase == "start" and about["generation"] == 2

    with no_long_pauses():
        gc.callbacks.append(count)
        kept = [[number] for number in range(200_000)]
        gc.callbacks.remove(count)
    assert len(kept) == 200_000
    assert full == 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_the_collector_is_given_back_after_a_failure_too():
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), no_long_pauses():
        raise RuntimeError("x")
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


LEFT_BY_PACING = """
import asyncio, gc, time
from tidegate.benchmark.pacing import Pacer

async def wait():
    async with Pacer() as pacer:
        await pacer.until(time.monotonic_ns() + 1_000_000)
        gc.collect()
        gc.disable()
        for _ in range(20):
            await pacer.until(time.monotonic_ns() + 100_000)
        return gc.collect()

print(asyncio.run(wait()))
"""


def test_pacing_leaves_nothing_that_only_a_full_collection_frees():
    """In an interpreter of its own: what other tests' threads leave behind in this one would be counted too."""
    ran = subprocess.run([sys.executable, "-c", LEFT_BY_PACING], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "0"
