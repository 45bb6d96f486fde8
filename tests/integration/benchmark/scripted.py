"""A server that answers each connection with the bytes and deeds it was told, for what no sound server does."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

Deed = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """Counts what came. `answer` runs once for each request that was read."""

    def __init__(self, answer: Deed, tls: ssl.SSLContext | None = None):
        self.answer, self._tls = answer, tls
        self.port = 0
        self.connections = 0
        self.open_connections = 0
        self.requests: list[bytes] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._is_up, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._serve()), daemon=True
        )

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._thread.start()
        assert self._is_up.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that was cancelled while it closed left the end of its connection to the loop, and a connection in
        # its handshake, whose other end is gone, never had a task.
        for writer in self._writers:
            writer.transport.abort()
        for _ in range(50):
            await asyncio.sleep(0)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        self._writers.append(writer)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.splitlines()
                    if line.startswith(b"content-length")
                )
                self.requests.append(head + await reader.readexactly(length))
                await self.answer(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self.open_connections -= 1
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()


@contextmanager
def scripted(answer: Deed, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    server = Scripted(answer, tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def says(raw: bytes, *, then_closes: bool = False) -> Deed:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()
        if then_closes:
            writer.close()

    return answer
