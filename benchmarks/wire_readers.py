"""Which reader of streams costs least and stamps soonest: the choice behind `tidegate.benchmark.wire`.

    python -m benchmarks.wire_readers [--seconds 4] [--streams 10 40 100]

Each reader runs in a process of its own against one truth server (TTFT 50 ms, a token every 10 ms, 64 tokens,
a new connection for each stream). Lag is the client's stamp minus the server's, on the same clock. CPU is that of
the reading process per chunk, without parsing JSON. The last row offers more than two cores can carry.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

from tidegate.benchmark.exchange import Exchange
from tidegate.benchmark.http1 import AnswerReader
from tidegate.benchmark.pauses import no_long_pauses
from tidegate.benchmark.stream import parse_exchange
from tidegate.benchmark.truth import RunningTruth, Shape, start_truth_server
from tidegate.benchmark.wire import open_wire
from tidegate.statistics import percentile

TOKENS = 64
BODY = json.dumps(
    {"messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": TOKENS}
).encode()
Post = Callable[[str, str], Awaitable[Exchange]]
"""Asks a URL with a request id."""


@asynccontextmanager
async def ours() -> AsyncIterator[Post]:
    async with open_wire(keep_alive=False) as wire:
        yield lambda url, number: wire.post(url, {"x-request-id": number}, BODY, 60)


@asynccontextmanager
async def aiohttp_reader() -> AsyncIterator[Post]:
    import aiohttp

    async def post(url: str, number: str) -> Exchange:
        done = Exchange()
        async with session.post(
            url, data=BODY, headers={"x-request-id": number, "content-type": "application/json"}
        ) as response:
            done.status = response.status
            async for piece in response.content.iter_any():
                done.pieces.append((time.monotonic_ns(), piece))
        return done

    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield post


class _Transported(asyncio.Protocol):
    """The same reader of answers, fed by a transport of asyncio."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        self.reader = AnswerReader(self.exchange)
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data, time.monotonic_ns())
        if self.reader.is_done and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class _Buffered(_Transported, asyncio.BufferedProtocol):
    """The same with a buffer that is used again."""

    _space = bytearray(256 * 1024)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        _Transported.data_received(self, bytes(memoryview(self._space)[:nbytes]))


def _of_asyncio(kind: type[_Transported]) -> Callable[[], Any]:
    @asynccontextmanager
    async def reader() -> AsyncIterator[Post]:
        async def post(url: str, number: str) -> Exchange:
            parts = urlsplit(url)
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(kind, parts.hostname, parts.port)
            head = (
                f"POST {parts.path} HTTP/1.1\r\nhost: truth\r\nx-request-id: {number}\r\n"
                f"content-length: {len(BODY)}\r\nconnection: close\r\n\r\n"
            )
            transport.write(head.encode() + BODY)
            await protocol.ended
            transport.close()
            return protocol.exchange

        yield post

    return reader


@asynccontextmanager
async def httptools_reader() -> AsyncIterator[Post]:
    """A parser in C (llhttp) behind a protocol of asyncio (only in the development lock, for uvicorn)."""
    import httptools

    class Parsing(_Transported):
        def __init__(self) -> None:
            super().__init__()
            self.parser = httptools.HttpResponseParser(self)

        def data_received(self, data: bytes) -> None:
            self.now_ns = time.monotonic_ns()
            self.parser.feed_data(data)

        def on_body(self, body: bytes) -> None:
            self.exchange.pieces.append((self.now_ns, body))

        def on_message_complete(self) -> None:
            self.exchange.status = self.parser.get_status_code()
            if not self.ended.done():
                self.ended.set_result(None)

    async with _of_asyncio(Parsing)() as post:
        yield post


READERS: dict[str, Callable[[], Any]] = {
    "own socket (chosen)": ours,
    "asyncio.Protocol": _of_asyncio(_Transported),
    "asyncio.BufferedProtocol": _of_asyncio(_Buffered),
    "asyncio + httptools": httptools_reader,
    "aiohttp": aiohttp_reader,
}


async def _load(name: str, url: str, streams: int, seconds: float) -> dict[str, Any]:
    """Keep so many streams open for so long, then say what each chunk cost and when it was stamped."""
    found: list[tuple[str, Exchange]] = []
    async with READERS[name]() as post:
        await asyncio.gather(*(post(url, "") for _ in range(min(streams, 10))))
        began, cpu = time.monotonic(), time.process_time()

        async def worker(number: int) -> None:
            # The streams begin one after the other, as they do under real load.
            await asyncio.sleep(number / streams * 0.7)
            turn = 0
            while time.monotonic() < began + seconds:
                request = f"{number}/{turn}"
                found.append((request, await cast("Awaitable[Exchange]", post(url, request))))
                turn += 1

        await asyncio.gather(*(worker(number) for number in range(streams)))
        wall, cpu = time.monotonic() - began, time.process_time() - cpu
    parsed = {request: parse_exchange(done) for request, done in found}
    chunks = sum(len(one.content_ns) for one in parsed.values())
    return {
        "chunks": chunks,
        "chunks_per_s": chunks / wall,
        "cpu_us": cpu / chunks * 1e6,
        "content_ns": {request: one.content_ns for request, one in parsed.items()},
    }


def _measure(truth: RunningTruth, name: str, streams: int, seconds: float) -> dict[str, Any]:
    truth.forget()
    command = [sys.executable, "-m", "benchmarks.wire_readers", "--child", name, truth.url]
    raw = subprocess.run(
        [*command, str(streams), str(seconds)], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, Any] = json.loads(raw)
    read = found.pop("content_ns")
    lags = [
        (client - server) / 1e6
        for record in truth.truth()
        if record.id in read and len(read[record.id]) == len(record.content_ns)
        for client, server in zip(read[record.id], record.content_ns, strict=True)
    ]
    found |= {"lag_p50_ms": percentile(lags, 0.5), "lag_p99_ms": percentile(lags, 0.99)}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each row (default 4)")
    parser.add_argument("--streams", type=int, nargs="+", default=[10, 40, 100, 250])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, url, streams, seconds = arguments.child
        url = f"{url}/chat/completions"
        with no_long_pauses():
            found = asyncio.run(_load(name, url, int(streams), float(seconds)))
        print(json.dumps(found))
        return 0
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print(f"{'reader':<26} {'streams':>7} {'CPU us/chunk':>12} {'lag p50 ms':>10} {'p99':>8} {'chunks/s':>9}")
    rows: list[dict[str, Any]] = []
    with start_truth_server(Shape(tokens=TOKENS)) as truth:
        for streams in arguments.streams:
            for name in READERS:
                try:
                    row = _measure(truth, name, streams, arguments.seconds)
                except subprocess.CalledProcessError as error:
                    print(f"{name:<26} {streams:>7} did not run: {error.stderr.strip().splitlines()[-1]}")
                    continue
                rows.append({"reader": name, "streams": streams, **row})
                print(
                    f"{name:<26} {streams:>7} {row['cpu_us']:>12.1f} {row['lag_p50_ms']:>10.3f} "
                    f"{row['lag_p99_ms']:>8.2f} {row['chunks_per_s']:>9.0f}",
                    flush=True,
                )
    print(json.dumps({"date": datetime.now(UTC).isoformat(), "load": os.getloadavg()[0], "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
