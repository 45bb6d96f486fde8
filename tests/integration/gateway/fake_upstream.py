"""A stand-in for one set: short JSON and SSE answers, `/health`, and faults on request. Runs as its own process.

    python fake_upstream.py NAME PORT [CERTIFICATE KEY]

With a certificate it speaks TLS. Answers below any path. Prints its port on the first line and ends when its
standard input closes.
"""

import asyncio
import itertools
import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

MOST_S = 240.0


class FakeSet:
    def __init__(self, name: str):
        self.name = name
        self.mode = "ok"
        self.told: set[str] = set()
        self.news = asyncio.Condition()
        self.asked: list[str] = []

    async def health(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        loading = self.mode == "loading"
        return web.json_response({"status": "loading" if loading else "ok"}, status=503 if loading else 200)

    async def control(self, request: web.Request) -> web.Response:
        self.mode = request.query["mode"]
        async with self.news:
            self.told.add(self.mode)
            self.news.notify_all()
        return web.json_response({"mode": self.mode, "asked": self.asked})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.mode in ("loading", "busy"):
            return web.json_response({"error": {"message": "Loading model"}}, status=503)
        if self.mode == "broken":
            return web.json_response({"error": {"message": "broken"}}, status=500)
        if self.mode == "hung":
            await asyncio.Event().wait()
        wanted = await request.json() if request.can_read_body else {}
        if wanted.get("crash"):
            os._exit(1)
        if "script" in wanted:
            return await self._play(request, wanted)
        if wanted.get("stream"):
            return await self._stream(
                request,
                int(wanted.get("chunks", 5)),
                float(wanted.get("delay_s", 0.01)),
                wanted.get("until"),
            )
        await asyncio.sleep(float(wanted.get("delay_s", 0)))
        seen = {
            "set": self.name,
            "path": request.path_qs,
            "headers": dict(request.headers),
            "sni": getattr(request.get_extra_info("ssl_object"), "asked_for", None),
        }
        return web.json_response({"choices": [{"message": {"content": "hi"}}], "seen": seen})

    async def _play(self, request: web.Request, wanted: dict[str, Any]) -> web.StreamResponse:
        """An answer piece by piece: `["say", text]`, `["wait", seconds]`, `["until", mode]`, `["break"]`."""
        kind = "text/event-stream" if wanted.get("stream") else "application/json"
        reply = web.StreamResponse(status=int(wanted.get("status", 200)), headers={"content-type": kind})
        await reply.prepare(request)
        for act, *given in wanted["script"]:
            match act:
                case "say":
                    await reply.write(given[0].encode())
                case "wait":
                    await asyncio.sleep(given[0])
                case "until":
                    await self._told(given[0])
                case _:
                    assert request.transport is not None
                    request.transport.abort()
        return reply

    async def _told(self, mode: str) -> None:
        async with self.news:
            await self.news.wait_for(lambda: mode in self.told)

    async def _stream(
        self, request: web.Request, chunks: int, delay_s: float, until: str | None
    ) -> web.StreamResponse:
        """So many chunks or, with `until`, on and on until somebody told this word as a mode.

        Whoever forgets to tell it gets a stream without its end: a test that failed must not wait for ever.
        """
        ends = asyncio.get_running_loop().time() + MOST_S
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for number in itertools.count():
            if number >= chunks if until is None else until in self.told:
                break
            if asyncio.get_running_loop().time() > ends:
                return reply
            await reply.write(f"data: {json.dumps({'n': number, 'set': self.name})}\n\n".encode())
            await asyncio.sleep(delay_s)
        await reply.write(b"data: [DONE]\n\n")
        return reply


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(certificate), Path(key))
    context.sni_callback = lambda connection, name, _: setattr(connection, "asked_for", name)
    return context


async def _closed_input() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve(name: str, port: int, *certificate: str) -> None:
    fake = FakeSet(name)
    app = web.Application()
    app.router.add_get("/health", fake.health)
    app.router.add_post("/control", fake.control)
    app.router.add_get("/{below:.*}v1/models", fake.complete)
    app.router.add_post("/{below:.*}v1/chat/completions", fake.complete)
    app.router.add_get("/{anything:.*}", fake.health)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=_tls(*certificate) if certificate else None)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await _closed_input()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
