"""How a worker is told to end: SIGTERM cancels its task, and everything that it does with it."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancelled_by_sigterm() -> Iterator[None]:
    """A first SIGTERM cancels the task that runs this; a second one ends the process.

    Prefect turns SIGTERM into SIGINT and leaves that to asyncio. But whatever a script starts in the background
    (`nohup`, `&`, a test run under either) is born with SIGINT ignored, and asyncio respects that: such a worker
    says that it was told to end, and goes on for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread gets signals; whoever runs a worker elsewhere ends it otherwise.
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    before = signal.getsignal(signal.SIGTERM)

    def end() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
