"""A wire without a network: answers at once, or when the test lets it, and remembers what it was asked."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tidegate.benchmark.wire import Exchange

Reply = tuple[int, bytes]


@dataclass(frozen=True)
class Asked:
    url: str
    body: dict[str, Any]
    planned_ns: int | None
    headers: Mapping[str, str]


def stream(text: str = "a b", tokens: int | None = 2) -> Reply:
    """A whole streamed answer of one chunk per word."""
    events = [{"choices": [{"delta": {"content": f"{word} "}}]} for word in text.split()]
    events.append({"choices": [{"delta": {}, "finish_reason": "length"}]})
    if tokens is not None:
        events.append({"choices": [], "usage": {"completion_tokens": tokens}})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return 200, "".join([*lines, "data: [DONE]\n\n"]).encode()


class FakeWire:
    """`before` is awaited before each answer; what it raises ends the request with an error.

    `took_ms` says how long an answer took, without anybody waiting for it; None: as long as it really did.
    """

    def __init__(
        self,
        reply: Callable[[Asked], Reply] | None = None,
        before: Callable[[Asked], Awaitable[None]] | None = None,
        took_ms: Callable[[Asked], int] | None = None,
    ):
        self.asked: list[Asked] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._reply = reply or (lambda _: stream())
        self._before = before
        self._took_ms = took_ms

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def get(self, url: str, headers: Mapping[str, str], timeout_s: float) -> Exchange:
        return await self.post(url, headers, b"{}", timeout_s)

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        planned_ns: int | None = None,
    ) -> Exchange:
        asked = Asked(url, json.loads(body or b"{}"), planned_ns, headers)
        done = Exchange(planned_ns=planned_ns, sent_ns=time.monotonic_ns())
        self.asked.append(asked)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            if self._before is not None:
                await asyncio.wait_for(self._before(asked), timeout_s)
            done.status, content = self._reply(asked)
            done.headers_ns = time.monotonic_ns()
            if self._took_ms is not None:
                done.headers_ns = done.sent_ns + self._took_ms(asked) * 1_000_000
            done.pieces = [(done.headers_ns, content)]
        except TimeoutError:
            done.error = f"timeout: no end within {timeout_s:g} s"
        finally:
            self.in_flight -= 1
        done.ended_ns = max(time.monotonic_ns(), done.headers_ns or 0)
        return done
