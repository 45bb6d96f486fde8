"""One connection of the load generator: hands a request to the socket and stamps every read.

A plain connection owns its socket instead of an asyncio transport: reading costs the same, and Linux can say how
long the bytes had waited to be read, which no transport passes on. TLS is asyncio's.
"""

import asyncio
import socket
import ssl
import struct
import sys
import time
from abc import ABC, abstractmethod
from array import array
from typing import cast

from tidegate.benchmark.exchange import Exchange
from tidegate.benchmark.http1 import AnswerReader, BrokenAnswer

READ_BYTES = 64 * 1024
"""More would be taken from the system anew at each read: 9 us instead of 2.3 us for a chunk of 230 bytes."""
SO_TIMESTAMPNS = 35
"""Linux: the kernel tells when the newest byte of a read had arrived (socket(7)). Python 3.11 has no name for it."""
TIMESTAMP = struct.Struct("qq")
LAG_EVERY = 16
"""Read lag is measured at so many reads once: it costs a microsecond and 16 bytes."""
MAX_LAG_NS = 60 * 10**9
"""A larger lag, or a negative one, is a step of the wall clock that the kernel stamps with."""


class ReadLags:
    """How long bytes had waited in the kernel before this process read them: pairs of (read at, waited)."""

    def __init__(self) -> None:
        self.read_ns = array("q")
        self.lag_ns = array("q")

    def note(self, now_ns: int, lag_ns: int) -> None:
        if 0 <= lag_ns < MAX_LAG_NS:
            self.read_ns.append(now_ns)
            self.lag_ns.append(lag_ns)


class Connection(ABC):
    """A connection that is open, and at most one request on it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader: AnswerReader | None = None
        self._exchange: Exchange | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.is_open = True
        self._unsent = b""
        self.answers = 0
        """Answers that ended in order."""
        self.idle_since_ns = 0
        """When its last answer had ended."""
        self.was_closed_ns: int | None = None
        """When the server closed it."""

    @abstractmethod
    def _send(self, data: bytes) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Close at once. May be called more than once."""

    def give_up(self, why: str) -> None:
        """Close at once, and end the request that is on its way: no answer can come any more."""
        self.close()
        self._end(f"reset: {why}", time.monotonic_ns())

    @abstractmethod
    def is_fresh(self) -> bool:
        """Nothing has come on this idle connection, not even its end."""

    async def exchange(self, exchange: Exchange, request: bytes) -> bool:
        """Send and read to the end; True when the connection can be used again. Never used after a False."""
        self._exchange, self._reader = exchange, AnswerReader(exchange)
        self._waiter = self._loop.create_future()
        exchange.sent_ns = time.monotonic_ns()
        try:
            self._send(request)
            await self._waiter
            if not exchange.error:
                self.answers += 1
            # An answer that came before its request was out leaves the connection in the middle of that.
            return self.is_open and not exchange.error and not self._unsent and self._reader.keeps_connection
        finally:
            self._exchange = self._reader = self._waiter = None
            self.idle_since_ns = time.monotonic_ns()

    def _took(self, data: bytes, now_ns: int) -> None:
        reader = self._reader
        if reader is None:
            # Nobody asked for these bytes.
            self.close()
            return
        try:
            reader.feed(data, now_ns)
        except BrokenAnswer as error:
            self._end(f"broken: {error}", now_ns)
        else:
            if reader.is_done:
                self._end("", now_ns)

    def _lost(self, error: OSError | None) -> None:
        """The server ended the connection, in order or not."""
        now_ns = self.was_closed_ns = time.monotonic_ns()
        self.close()
        if self._reader is None:
            return
        if error is not None:
            self._end(f"reset: {type(error).__name__}: {error.strerror or error}", now_ns)
        else:
            why = self._reader.connection_ended()
            self._end(f"reset: {why}" if why else "", now_ns)

    def _end(self, error: str, now_ns: int) -> None:
        """The answer is complete, or will never be. A second end of the same answer changes nothing."""
        if self._waiter is not None and not self._waiter.done() and self._exchange is not None:
            self._exchange.error, self._exchange.ended_ns = error, now_ns
            self._waiter.set_result(None)


class PlainConnection(Connection):
    """TCP without TLS."""

    def __init__(self, sock: socket.socket, lags: ReadLags | None):
        super().__init__()
        self._socket, self._descriptor = sock, sock.fileno()
        self._lags = lags if lags is not None and _asks_for_stamps(sock) else None
        self._reads_until_lag = LAG_EVERY
        self._loop.add_reader(self._descriptor, self._readable)

    def is_fresh(self) -> bool:
        if not self.is_open:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._socket.close()

    def _readable(self) -> None:
        try:
            if self._lags is None or self._reads_until_lag:
                self._reads_until_lag -= 1
                data = self._socket.recv(READ_BYTES)
                now_ns = time.monotonic_ns()
            else:
                self._reads_until_lag = LAG_EVERY
                data, now_ns = self._read_with_lag(self._lags)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error)
            return
        if data:
            self._took(data, now_ns)
        else:
            self._lost(None)

    def _read_with_lag(self, lags: ReadLags) -> tuple[bytes, int]:
        data, ancillary, _, _ = self._socket.recvmsg(READ_BYTES, 64)
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        for level, kind, stamp in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(stamp) == TIMESTAMP.size:
                seconds, nanoseconds = cast("tuple[int, int]", TIMESTAMP.unpack(stamp))
                lags.note(now_ns, wall_ns - seconds * 10**9 - nanoseconds)
        return data, now_ns

    def _send(self, data: bytes) -> None:
        """Whatever the socket does not take at once goes out when it can; the answer may come before that."""
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._lost(error)
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.add_writer(self._descriptor, self._writable)
        elif self._unsent:
            self._unsent = b""
            self._loop.remove_writer(self._descriptor)

    def _writable(self) -> None:
        self._send(self._unsent)


def _asks_for_stamps(sock: socket.socket) -> bool:
    """Whether the kernel will stamp arrivals on this socket."""
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


class TlsConnection(Connection, asyncio.Protocol):
    """TLS over asyncio's transport; stamped when a record has been decrypted."""

    def __init__(self) -> None:
        super().__init__()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._took(data, time.monotonic_ns())

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_open:
            self._lost(exc if isinstance(exc, OSError) else None)

    def is_fresh(self) -> bool:
        return self.is_open and self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            if self._transport is not None:
                # Without a farewell: a server that does not answer it would keep the socket for seconds.
                self._transport.abort()

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)


async def connect_plain(
    family: int, address: tuple[str | int | bytes, ...], lags: ReadLags | None
) -> PlainConnection:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
        return PlainConnection(sock, lags)
    except BaseException:
        sock.close()
        raise


async def connect_tls(
    family: int, address: tuple[str | int | bytes, ...], context: ssl.SSLContext, host: str
) -> TlsConnection:
    sock = socket.socket(family, socket.SOCK_STREAM)
    loop = asyncio.get_running_loop()
    connection = TlsConnection()
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, address)
        await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=host)
    except BaseException:
        # Given up when the handshake had just ended, asyncio says farewell and waits for the answer, for 30 s.
        connection.close()
        sock.close()
        raise
    return connection
