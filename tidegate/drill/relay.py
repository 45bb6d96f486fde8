"""A TCP relay that can be slowed and cut: what a bad network does between two processes of a drill.

It carries bytes and reads none. One thread with its own loop; `slow`, `cut` and `heal` may be called from anywhere.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import psutil

from tidegate.settings import LOOPBACK

CHUNK_BYTES = 65536
T = TypeVar("T")


class Relay:
    """Listens on a free loopback port and forwards to `target_port`. Faults may be limited to some clients."""

    def __init__(self, target_port: int = 0):
        self.target_port = target_port
        """May be set later: what is told the relay's port may have to start first."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._delay_s = 0.0
        self._is_cut = False
        self._of: Callable[[], set[int]] | None = None
        """Processes whose connections are hit; None means everybody's."""
        self._known: dict[int, bool] = {}
        """Clients' ports that were asked about: whether the present fault is meant for them."""
        self._links: dict[asyncio.Task[None], int] = {}
        """Each connection with the client's port."""
        self.port = 0

    def __enter__(self) -> "Relay":
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, LOOPBACK, 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def slow(self, delay_s: float, of: Callable[[], set[int]] | None = None) -> None:
        """Each chunk waits this long in each direction, also on connections that are open."""
        self._known = {}
        self._of, self._delay_s = of, delay_s

    def cut(self, of: Callable[[], set[int]] | None = None) -> None:
        """Break what is open and refuse what comes."""
        self._known = {}
        self._of, self._is_cut = of, True
        self._call(self._break_links())

    def heal(self) -> None:
        self._of, self._delay_s, self._is_cut = None, 0.0, False

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _close(self) -> None:
        self._server.close()
        self._of = None
        await self._break_links()

    async def _break_links(self) -> None:
        hit = [task for task, port in self._links.items() if self._is_hit(port)]
        for task in hit:
            task.cancel()
        await asyncio.gather(*hit, return_exceptions=True)

    def _is_hit(self, client_port: int) -> bool:
        if self._of is None:
            return True
        if client_port not in self._known:
            self._known[client_port] = client_port in _ports_of(self._of())
        return self._known[client_port]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        port = int(writer.get_extra_info("peername")[1])
        is_hit = (self._is_cut or self._delay_s > 0) and self._is_hit(port)
        if self._is_cut and is_hit:
            writer.transport.abort()
            return
        self._links[task] = port
        try:
            await self._carry(reader, writer, port)
        except (OSError, asyncio.CancelledError):
            # The one thing that a network may do to a connection; both ends see it broken.
            writer.transport.abort()
        finally:
            del self._links[task]
            # The number may be another client's soon.
            self._known.pop(port, None)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self.target_port)
        ways = [
            asyncio.create_task(self._pump(reader, far_writer, port)),
            asyncio.create_task(self._pump(far_reader, writer, port)),
        ]
        try:
            await asyncio.gather(*ways)
        finally:
            for way in ways:
                way.cancel()
            far_writer.transport.abort()
            with contextlib.suppress(OSError):
                writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """One way, to its end; the other way may stay open (half-closed), as TCP allows."""
        while chunk := await reader.read(CHUNK_BYTES):
            if self._delay_s > 0 and self._is_hit(port):
                await asyncio.sleep(self._delay_s)
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _ports_of(pids: set[int]) -> set[int]:
    """Local ports of all connections of these processes."""
    found: set[int] = set()
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            continue
        found |= {one.laddr.port for one in connections if one.laddr}
    return found
