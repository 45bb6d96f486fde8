"""A queue worker's answer to SIGTERM, which must not run the SDK's own in the middle of a line that is being logged."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tidegate_worker.configuration import read_configuration
from tidegate_worker.json_log import JsonLog
from tidegate_worker.lifecycle import Lifecycle, StopAsked
from tidegate_worker.queue_mode import _Concurrency
from tidegate_worker.worker_state import WorkerState

QUEUE = {
    "TIDEGATE_WORKER_MODE": "QUEUE",
    "TIDEGATE_MODEL_URL": "/runpod-volume/x.gguf",
    "TIDEGATE_MODEL_DIGEST": "ab" * 32,
    "TIDEGATE_PARALLEL": "3",
    "RUNPOD_WEBHOOK_GET_JOB": "http://x/job-take/$ID?",
}


@contextmanager
def _sdk_heard() -> Iterator[list[int]]:
    """What the SDK's handler was told, with the SDK's handler in its place as the worker finds it."""
    told: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, _frame: told.append(number))
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _life() -> Lifecycle:
    wanted = read_configuration(QUEUE)
    return Lifecycle(wanted, WorkerState(wanted), JsonLog({}))


def test_the_sdk_hears_of_a_signal_at_its_loops_next_turn_and_the_worker_at_once() -> None:
    life = _life()

    async def run(told: list[int]) -> tuple[list[int], object, list[int]]:
        assert _Concurrency(life)(1) == 3
        signal.raise_signal(signal.SIGTERM)
        inside, heard = list(told), life.next_event(0)
        await asyncio.sleep(0)
        return inside, heard, told

    with _sdk_heard() as told:
        inside, heard, after = asyncio.run(run(told))

    assert (inside, heard, after) == ([], StopAsked(signal.SIGTERM), [signal.SIGTERM])


def test_a_signal_after_the_sdks_loop_has_ended_still_reaches_the_worker() -> None:
    life = _life()

    async def begin() -> None:
        _Concurrency(life)(1)

    with _sdk_heard() as told:
        asyncio.run(begin())
        signal.raise_signal(signal.SIGTERM)

        assert life.next_event(0) == StopAsked(signal.SIGTERM)
        assert told == []
