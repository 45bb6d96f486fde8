"""How a worker is told to end."""

import asyncio
import signal
import threading

from deployments.runpod_worker.ending import cancelled_by_sigterm


async def wait_for_ever(log: list[str]) -> None:
    with cancelled_by_sigterm():
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            # A second one would end the process.
            log.append(str(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL))


def test_sigterm_cancels_a_worker_that_was_born_with_sigint_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.getsignal(signal.SIGTERM)
    log: list[str] = []
    try:
        asyncio.run(wait_for_ever(log))
    finally:
        signal.signal(signal.SIGINT, before[0])

    assert log == ["cancelled", "True"]
    assert signal.getsignal(signal.SIGTERM) is before[1]


def test_a_worker_in_another_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    async def look() -> None:
        with cancelled_by_sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=lambda: asyncio.run(look()))
    thread.start()
    thread.join()

    assert seen == [before]
