"""A server with known truth: what it wrote and when, on the clock that the client reads too."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True)
class Behaviour:
    """How one path of the server answers a streamed request."""

    ttft_ms: float = 20.0
    gap_ms: float = 5.0
    per_chunk: int = 1
    status: int = 200
    stop_after: int | None = None
    """Chunks after which the stream ends in order, but without finish reason and [DONE]."""
    reset_after: int | None = None
    """Chunks after which the connection is cut."""
    stall_ms: float = 0.0
    """One long gap in the middle."""
    line_end: str = "\n"
    slice_bytes: int | None = None
    """Write in pieces of this size, wherever they cut a character or a line end."""
    hangs: bool = False


@dataclass
class Truth:
    """One request as the server saw it."""

    path: str
    seed: int | None
    is_stream: bool
    received_ns: int
    written_ns: list[int] = field(default_factory=list[int])
    was_whole: bool = False

    @property
    def ttft_ms(self) -> float:
        return (self.written_ns[0] - self.received_ns) / 1e6

    def itl_ms(self, per_chunk: int = 1) -> float:
        chunks = len(self.written_ns)
        return (self.written_ns[-1] - self.written_ns[0]) / 1e6 / ((chunks - 1) * per_chunk)


class TruthServer:
    """Paths `/NAME/v1/chat/completions`, each with a behaviour; one event loop in a thread of its own."""

    def __init__(self, behaviours: dict[str, Behaviour]):
        self.behaviours = behaviours
        self.log: list[Truth] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._serve()), daemon=True
        )

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}/v1"

    def seen(self, name: str) -> list[Truth]:
        return [entry for entry in self.log if entry.path == name]

    def start(self) -> None:
        self._thread.start()
        assert self._is_up.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_post("/{name}/v1/chat/completions", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.2, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._is_up.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received_ns = time.monotonic_ns()
        name = request.match_info["name"]
        body = await request.json()
        how = self.behaviours[name]
        truth = Truth(name, body.get("seed"), bool(body.get("stream")), received_ns)
        self.log.append(truth)
        headers = {"x-tidegate-set": f"set-{name}", "x-tidegate-release": f"rel-{name}"}
        if how.hangs:
            await self._stop.wait()
        if how.status != 200:
            return web.json_response({"error": "x"}, status=how.status, headers=headers)
        if not truth.is_stream:
            await asyncio.sleep(how.ttft_ms / 1000)
            truth.was_whole = how.stop_after is None
            finish = "stop" if truth.was_whole else None
            choice = {"message": {"content": "Hé"}, "finish_reason": finish}
            return web.json_response({"choices": [choice]}, headers=headers)
        response = web.StreamResponse(headers={**headers, "content-type": "text/event-stream"})
        await response.prepare(request)
        await self._stream(request, response, truth, how, body.get("max_tokens", 8))
        return response

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, truth: Truth, how: Behaviour, tokens: int
    ) -> None:
        async def event(choice: dict[str, object] | None, **more: object) -> None:
            data = json.dumps({"choices": [choice] if choice else [], **more}, ensure_ascii=False)
            raw = f"data: {data}{how.line_end * 2}".encode()
            size = how.slice_bytes or len(raw)
            for start in range(0, len(raw), size):
                await response.write(raw[start : start + size])

        await event({"delta": {"role": "assistant", "content": None}, "finish_reason": None})
        due = truth.received_ns / 1e9 + how.ttft_ms / 1000
        chunks = tokens // how.per_chunk
        for number in range(chunks):
            due += how.stall_ms / 1000 if number == chunks // 2 else 0
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if number == how.reset_after:
                assert request.transport is not None
                request.transport.abort()
                return
            if number == how.stop_after:
                return
            truth.written_ns.append(time.monotonic_ns())
            await event({"delta": {"content": "né🌊" * how.per_chunk}, "finish_reason": None})
            due += how.gap_ms * how.per_chunk / 1000
        await event({"delta": {}, "finish_reason": "length"})
        await event(None, usage={"completion_tokens": tokens})
        truth.was_whole = True
        await response.write(f"data: [DONE]{how.line_end * 2}".encode())


@contextmanager
def truth_server(**behaviours: Behaviour) -> Iterator[TruthServer]:
    server = TruthServer(behaviours)
    server.start()
    try:
        yield server
    finally:
        server.stop()
