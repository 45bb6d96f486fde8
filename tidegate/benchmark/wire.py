"""Sends requests and keeps what the socket said: stamps and bytes, nothing about what they mean.

JSON is parsed after the stream has ended (`stream`): parsing while others stream would delay their stamps.
Redirects are not followed, nothing is retried, no cookie is kept, and proxies of the environment are not
asked. A request that fails is a result like any other.
"""

import asyncio
import os
import resource
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from tidegate.benchmark.connection import Connection, ReadLags, connect_plain, connect_tls
from tidegate.benchmark.exchange import Exchange
from tidegate.benchmark.request import Target, read_url, request_bytes

__all__ = ["Exchange", "ReadLags", "Wire", "open_wire"]

MAX_IDLE_NS = 4 * 10**9
"""Common servers close idle connections after 5 s or more; sending in that moment would be a reset."""
MAX_IDLE_TLS_NS = 15 * 10**9
"""Where a new connection costs several round trips an old one is worth more. Most such servers wait for a minute, and
one that closed is known before the next request, but for what is still on its way."""
LEAST_SPARES = 2
"""Connections over TLS that stand ready, or a quarter of those in use: to a far endpoint a handshake takes tens of
milliseconds, and a request that has to wait for it is sent late."""
REST_NS = 3_000_000
"""A connection is used again when its server has had this long to close it after all."""
BROKEN_PROMISE_NS = 200_000_000
"""A server that closes so soon after an answer does so after each: connections to it are not kept."""
RESOLVE_AGAIN_NS = 60 * 10**9
SPARE_S = 10.0
NEXT_ADDRESS_S = 2.0
"""An address that does not answer is given up for the next one: a name often has an IPv6 one that leads nowhere."""

Address = tuple[int, tuple[str | int | bytes, ...]]
"""Family and address of a socket."""


class Wire(Protocol):
    """Sends requests. A broken connection or an error status is a result, never an exception."""

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        planned_ns: int | None = None,
    ) -> Exchange: ...

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Exchange: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_wire(*, keep_alive: bool, connections: int | None = None, read_lags: ReadLags | None = None) -> Wire:
    """A way to send requests, to be used as an asynchronous context.

    Without `connections` there is no limit on how many requests run at once: a limit here would quietly
    become the concurrency of the measurement.
    llama-server closes the connection after each stream while its headers promise to keep it, so whoever
    keeps connections to it open loses every few requests to a reset. A kept connection therefore rests a
    moment before it is used again, and a server that breaks the promise once is not believed any more.
    `read_lags` receives how long bytes waited to be read, where the system can tell.
    """
    return _SocketWire(keep_alive, connections, read_lags)


class _SocketWire:
    def __init__(self, keep_alive: bool, connections: int | None, read_lags: ReadLags | None):
        self._keep_alive, self._read_lags = keep_alive, read_lags
        self._limit = asyncio.Semaphore(connections) if connections else None
        self._pools: dict[tuple[bool, str, int], _Pool] = {}
        self._is_closed = False

    async def __aenter__(self) -> Self:
        _allow_many_sockets()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        opening = [task for pool in self._pools.values() for task in pool.close()]
        if opening:
            await asyncio.wait(opening)
        # asyncio closes the socket of a TLS connection in a later turn of its loop.
        await asyncio.sleep(0)

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        planned_ns: int | None = None,
    ) -> Exchange:
        return await self._exchange("POST", url, headers, body, timeout_s, planned_ns)

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Exchange:
        return await self._exchange("GET", url, headers, b"", timeout_s, None)

    async def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        planned_ns: int | None,
    ) -> Exchange:
        target = read_url(url)
        result = Exchange(planned_ns, sent_ns=time.monotonic_ns())
        request = request_bytes(method, target, headers, body, keep_alive=self._keep_alive)
        if self._limit is None:
            await self._send(target, result, request, timeout_s)
        else:
            async with self._limit:
                await self._send(target, result, request, timeout_s)
        return result

    async def _send(self, target: Target, result: Exchange, request: bytes, timeout_s: float) -> None:
        pool = self._pool(target)
        connection: Connection | None = None
        keeps = False
        try:
            async with asyncio.timeout(timeout_s):
                connection = pool.take() or await pool.connect()
                result.connected_ns = time.monotonic_ns()
                if self._keep_alive and target.is_tls:
                    pool.keep_spares()
                keeps = await connection.exchange(result, request)
        except TimeoutError:
            phase = "end" if connection is not None else "connection"
            result.error = f"timeout: no {phase} within {timeout_s:g} s"
        except (OSError, UnicodeError) as error:
            # `ssl.SSLError` and failed name resolution are OSError too.
            result.error = f"connect: {_why(error)}"
        finally:
            if connection is not None:
                pool.give_back(
                    connection, keeps=keeps and self._keep_alive, was_answered=result.status is not None
                )
        if not result.ended_ns or result.error.startswith(("timeout", "connect")):
            result.ended_ns = time.monotonic_ns()

    def _pool(self, target: Target) -> "_Pool":
        key = (target.is_tls, target.host, target.port)
        if key not in self._pools:
            self._pools[key] = _Pool(target, self._read_lags)
            if self._is_closed:
                self._pools[key].close()
        return self._pools[key]


class _Pool:
    """Connections to one server."""

    def __init__(self, target: Target, read_lags: ReadLags | None):
        self._target, self._read_lags = target, read_lags
        self._context = ssl.create_default_context() if target.is_tls else None
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._addresses: list[Address] = []
        self._resolved_ns = 0
        self._breaks_promises = False
        self._max_idle_ns = MAX_IDLE_TLS_NS if target.is_tls else MAX_IDLE_NS
        self._opening: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def keep_spares(self) -> None:
        """Open connections beforehand, until some are idle."""
        wanted = 0 if self._breaks_promises or self._is_closed else max(LEAST_SPARES, len(self._busy) // 4)
        for _ in range(wanted - len(self._idle) - len(self._opening)):
            task = asyncio.create_task(self._open_spare())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open_spare(self) -> None:
        try:
            async with asyncio.timeout(SPARE_S):
                connection = await self.connect()
        except OSError:
            # The next request that finds none tries by itself, and tells what is wrong.
            return
        self._busy.discard(connection)
        connection.idle_since_ns = time.monotonic_ns()
        self._idle.append(connection)

    def take(self) -> Connection | None:
        """A kept connection that is safe to use, the newest first; those that are of no use are dropped."""
        now_ns = time.monotonic_ns()
        for connection in reversed(self._idle):
            idle_ns = now_ns - connection.idle_since_ns
            if connection.is_open and idle_ns < REST_NS:
                continue
            self._idle.remove(connection)
            if idle_ns < self._max_idle_ns and connection.is_fresh():
                self._busy.add(connection)
                return connection
            self._drop(connection)
        return None

    def give_back(self, connection: Connection, *, keeps: bool, was_answered: bool) -> None:
        self._busy.discard(connection)
        if connection.was_closed_ns is not None and connection.answers and not was_answered:
            self._breaks_promises = True
        if keeps and not self._breaks_promises and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()

    def _drop(self, connection: Connection) -> None:
        closed_ns = connection.was_closed_ns
        if closed_ns is not None and closed_ns - connection.idle_since_ns < BROKEN_PROMISE_NS:
            self._breaks_promises = True
        connection.close()

    async def connect(self) -> Connection:
        """Try the server's addresses in turn, the one that worked last first."""
        failure: OSError | None = None
        addresses = await self._resolved()
        for address in addresses:
            try:
                # The last one may take all the time that the request has.
                async with asyncio.timeout(None if address == addresses[-1] else NEXT_ADDRESS_S):
                    connection = await self._open(address)
            except OSError as error:
                failure = failure or error
                continue
            if self._is_closed:
                # Nobody would close it.
                connection.close()
                raise OSError("the wire has ended")
            self._addresses.sort(key=lambda one: one != address)
            self._busy.add(connection)
            return connection
        raise failure or OSError("the name has no address")

    async def _open(self, address: Address) -> Connection:
        if self._context is None:
            return await connect_plain(*address, self._read_lags)
        return await connect_tls(*address, self._context, self._target.host)

    async def _resolved(self) -> list[Address]:
        """A name is resolved once a minute: asking takes a thread, and its time would be part of the load."""
        host, port = self._target.host, self._target.port
        now_ns = time.monotonic_ns()
        if not self._addresses or now_ns - self._resolved_ns > RESOLVE_AGAIN_NS:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self._addresses = [(int(one[0]), one[4]) for one in found]
            self._resolved_ns = now_ns
        return list(self._addresses)

    def close(self) -> set[asyncio.Task[None]]:
        """Close what is open, and let nothing that is on its way stay open: the tasks that end for it."""
        self._is_closed = True
        for task in self._opening:
            task.cancel()
        for connection in [*self._idle, *self._busy]:
            connection.give_up("the wire has ended")
        self._idle.clear()
        return set(self._opening)


def _allow_many_sockets() -> None:
    """Each stream is a socket, and the usual soft limit of 1024 would be read as failures of the server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _why(error: Exception) -> str:
    """A reason that reads the same for each attempt, so that equal failures can be counted together."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    if (
        isinstance(error, OSError)
        and error.errno is not None
        and error.errno > 0
        and not isinstance(error, ssl.SSLError)
    ):
        return f"{type(error).__name__}: {os.strerror(error.errno)}"
    return f"{type(error).__name__}: {error}"
