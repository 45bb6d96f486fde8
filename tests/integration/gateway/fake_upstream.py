"""A stand-in for one set: short JSON and SSE answers, `/health`, and faults on request. Runs as its own process.

Prints its port on the first line and ends when its standard input closes.
"""

import asyncio
import json
import os
import sys

from aiohttp import web


class FakeSet:
    def __init__(self, name: str):
        self.name = name
        self.mode = "ok"

    async def health(self, _: web.Request) -> web.Response:
        loading = self.mode == "loading"
        return web.json_response({"status": "loading" if loading else "ok"}, status=503 if loading else 200)

    async def control(self, request: web.Request) -> web.Response:
        self.mode = request.query["mode"]
        return web.json_response({"mode": self.mode})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        if self.mode in ("loading", "busy"):
            return web.json_response({"error": {"message": "Loading model"}}, status=503)
        if self.mode == "broken":
            return web.json_response({"error": {"message": "broken"}}, status=500)
        wanted = await request.json() if request.can_read_body else {}
        if wanted.get("crash"):
            os._exit(1)
        if wanted.get("stream"):
            return await self._stream(
                request, int(wanted.get("chunks", 5)), float(wanted.get("delay_s", 0.01))
            )
        await asyncio.sleep(float(wanted.get("delay_s", 0)))
        seen = {"set": self.name, "path": request.path_qs, "headers": dict(request.headers)}
        return web.json_response({"choices": [{"message": {"content": "hi"}}], "seen": seen})

    async def _stream(self, request: web.Request, chunks: int, delay_s: float) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for number in range(chunks):
            await reply.write(f"data: {json.dumps({'n': number, 'set': self.name})}\n\n".encode())
            await asyncio.sleep(delay_s)
        await reply.write(b"data: [DONE]\n\n")
        return reply


async def _closed_input() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve(name: str, port: int) -> None:
    fake = FakeSet(name)
    app = web.Application()
    app.router.add_get("/health", fake.health)
    app.router.add_post("/control", fake.control)
    app.router.add_get("/v1/models", fake.complete)
    app.router.add_post("/v1/chat/completions", fake.complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await _closed_input()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
