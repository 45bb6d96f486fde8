"""One request on the wire: its bytes and the time of their reading, and nothing about what they mean.

The reading path only stamps and stores. JSON is parsed after the stream has ended (`stream`), because parsing
while others stream would delay their stamps.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace, TracebackType
from typing import Protocol, Self

import aiohttp


@dataclass
class Exchange:
    """A request and its answer as the socket saw them, in integer nanoseconds of the monotonic clock."""

    planned_ns: int | None = None
    """When the schedule wanted it sent (open loop); None where requests follow each other (closed loop)."""
    sent_ns: int = 0
    """When the first byte of the request was handed to the socket; the connection was open by then."""
    connected_ns: int | None = None
    """When the connection was there: just opened, or taken from those kept alive."""
    headers_ns: int | None = None
    """When the last byte of the answer's headers was read."""
    ended_ns: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names are lower case."""
    pieces: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    """The body as it was read, each piece with the time at which the socket was read."""
    error: str = ""
    """Why the answer is not whole: refused, reset, timeout, broken HTTP. Empty when it ended in order."""

    @property
    def total_ms(self) -> float:
        return (self.ended_ns - self.sent_ns) / 1e6

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)


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

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_wire(*, keep_alive: bool, connections: int | None = None) -> Wire:
    """A way to send requests, to be used as an asynchronous context.

    Without `connections` there is no limit on how many requests run at once: a limit here would quietly
    become the concurrency of the measurement.
    llama-server closes the connection after each stream while its headers promise to keep it, so whoever
    keeps connections to it open loses every few requests to a reset. A gateway keeps its promise.
    """
    return _AiohttpWire(keep_alive, connections or 0)


class _AiohttpWire:
    def __init__(self, keep_alive: bool, connections: int):
        self._keep_alive, self._connections = keep_alive, connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_stamp_connection)
        trace.on_connection_reuseconn.append(_stamp_connection)
        trace.on_request_headers_sent.append(_stamp_sending)
        connector = aiohttp.TCPConnector(limit=self._connections, force_close=not self._keep_alive)
        self._session = aiohttp.ClientSession(connector=connector, trace_configs=[trace], trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        planned_ns: int | None = None,
    ) -> Exchange:
        assert self._session is not None
        result = Exchange(planned_ns, sent_ns=time.monotonic_ns())
        try:
            async with self._session.post(
                url,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
                trace_request_ctx=result,
            ) as response:
                result.headers_ns = time.monotonic_ns()
                result.status = response.status
                result.headers = {name.lower(): value for name, value in response.headers.items()}
                async for piece in response.content.iter_any():
                    result.pieces.append((time.monotonic_ns(), piece))
        except TimeoutError:
            result.error = f"timeout: no end within {timeout_s:g} s"
        except (aiohttp.ClientError, OSError) as error:
            result.error = f"reset: {type(error).__name__}: {error}"
        result.ended_ns = time.monotonic_ns()
        return result


async def _stamp_connection(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.connected_ns = time.monotonic_ns()


async def _stamp_sending(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    """Count from the sending, not from the making of a connection."""
    context.trace_request_ctx.sent_ns = time.monotonic_ns()
