"""Continuous client traffic for demonstrations and tests: what users of a service would see, counted honestly."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidegate.benchmark.measures import read_answer
from tidegate.benchmark.record import Outcome
from tidegate.benchmark.stream import RELEASE_HEADER, REQUEST_ID_HEADER, SET_HEADER
from tidegate.benchmark.tally import Counts, Ended, Tally, TrafficSnapshot
from tidegate.benchmark.wire import Exchange, Wire, open_wire
from tidegate.domain import InvalidInput, Secret

__all__ = ["Counts", "Ended", "TrafficClient", "TrafficSnapshot"]

MAX_BEHIND_S = 0.5


class TrafficClient:
    """Workers that keep asking a gateway at a bounded rate, in a thread of their own.

    `short_workers` ask for whole answers, `stream_workers` for streams; together they send at most
    `rate_per_s` requests. `snapshot()` may be called from any thread at any time.
    """

    def __init__(
        self,
        base_url: str,
        key: Secret,
        prompts: Sequence[str],
        short_workers: int = 2,
        stream_workers: int = 2,
        rate_per_s: float = 25.0,
        *,
        model: str = "",
        headers: Mapping[str, str] | None = None,
        max_tokens: int = 16,
        timeout_s: float = 30.0,
    ):
        if not prompts or short_workers < 0 or stream_workers < 0 or short_workers + stream_workers < 1:
            raise InvalidInput(
                "Traffic needs prompts and at least one worker.",
                remedy="Give at least one prompt and one worker.",
                field="prompts, workers",
            )
        if rate_per_s <= 0:
            raise InvalidInput(
                f"A rate of {rate_per_s} requests per second sends nothing.",
                remedy="Give a rate above 0.",
                field="rate_per_s",
            )
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._headers = {
            **(headers or {}),
            "authorization": f"Bearer {key.reveal()}",
            "content-type": "application/json",
        }
        self._bodies = {
            is_stream: _bodies(prompts, model, max_tokens, is_stream) for is_stream in (False, True)
        }
        self._workers = [False] * short_workers + [True] * stream_workers
        self._interval_s = 1 / rate_per_s
        self._timeout_s = timeout_s
        self._tally = Tally()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._drain_s = 0.0

    def start(self) -> None:
        """Begin sending; returns once the thread runs. A client is started once."""
        if self._thread is not None:
            raise InvalidInput("This traffic client was started already.", remedy="Make a new one.")
        is_running = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(is_running)), name="traffic", daemon=True
        )
        self._thread.start()
        is_running.wait()

    def stop(self, drain_s: float = 10.0) -> TrafficSnapshot:
        """Send nothing more, let requests in flight end for up to `drain_s`, cut off the rest as aborted."""
        if self._thread is not None and self._loop is not None and self._thread.is_alive():
            self._drain_s = drain_s
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        return self.snapshot()

    def snapshot(self) -> TrafficSnapshot:
        """Counts up to this moment."""
        return self._tally.snapshot()

    async def _main(self, is_running: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._next_at = self._loop.time()
        async with open_wire(keep_alive=True) as wire:
            tasks = [
                asyncio.create_task(self._work(wire, is_stream, number))
                for number, is_stream in enumerate(self._workers)
            ]
            is_running.set()
            await self._stopping.wait()
            _, late = await asyncio.wait(tasks, timeout=self._drain_s)
            for task in late:
                task.cancel()
            endings = await asyncio.gather(*tasks, return_exceptions=True)
        for error in endings:
            if isinstance(error, Exception):
                raise error

    async def _work(self, wire: Wire, is_stream: bool, number: int) -> None:
        bodies = self._bodies[is_stream]
        while await self._turn():
            self._tally.sent()
            try:
                done = await wire.post(
                    self._url, self._headers, bodies[number % len(bodies)], self._timeout_s
                )
            except asyncio.CancelledError:
                self._tally.aborted()
                raise
            self._tally.ended(judged(done, is_stream))
            number += len(self._workers)

    async def _turn(self) -> bool:
        """Wait for this worker's place in the common schedule; False when the client stops."""
        loop = asyncio.get_running_loop()
        # After a stall of the server the lost requests are not sent all at once.
        self._next_at = max(self._next_at + self._interval_s, loop.time() - MAX_BEHIND_S)
        delay_s = self._next_at - loop.time()
        if delay_s > 0 and not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)
        return not self._stopping.is_set()


def _bodies(prompts: Sequence[str], model: str, max_tokens: int, is_stream: bool) -> list[bytes]:
    """Request bodies, made once: sending must not cost the machine more than answering."""
    made: list[bytes] = []
    for prompt in prompts:
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": is_stream,
        }
        made.append(json.dumps(body).encode())
    return made


def judged(done: Exchange, is_stream: bool) -> Ended:
    """Count nothing as ok that did not end with everything an answer needs."""
    parsed, outcome, error = read_answer(done, is_stream)
    if is_stream and outcome is Outcome.OK and parsed.done_ns is None:
        # Others leave it out. The engines behind our gateway never do: here something cut it off.
        outcome, error = Outcome.TRUNCATED, "ended without [DONE]"
    ttft_ns = parsed.content_ns[0] - done.sent_ns if is_stream and parsed.content_ns else None
    return Ended(
        at=datetime.now(UTC),
        outcome=outcome,
        error=error,
        is_stream=is_stream,
        elapsed_ms=done.total_ms,
        status=done.status,
        set_name=done.headers.get(SET_HEADER),
        release=done.headers.get(RELEASE_HEADER),
        request_id=done.headers.get(REQUEST_ID_HEADER),
        ttft_ms=None if ttft_ns is None else ttft_ns / 1e6,
    )
