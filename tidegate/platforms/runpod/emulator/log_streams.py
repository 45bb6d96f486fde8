"""Logs as server-sent events: the asked-for past, then whatever comes, until the reader leaves."""

import asyncio
import json

from aiohttp import web

from tidegate.platforms.runpod.emulator.context import Context, context_of, organization_of
from tidegate.platforms.runpod.emulator.logs import CONTAINER, SYSTEM, LogBook, event_id, start_after
from tidegate.platforms.runpod.emulator.pages import choice, whole_number
from tidegate.platforms.runpod.emulator.problems import Problem, not_found

DEFAULT_TAIL, LONGEST_TAIL = 100, 5000

routes = web.RouteTableDef()


@routes.get("/v2/serverless/{id}/workers/{worker_id}/logs")
async def worker_logs(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    endpoint = context.emulator.endpoint_of(organization_of(request), request.match_info["id"])
    log = context.fleet.logs.get(endpoint.id, {}).get(request.match_info["worker_id"])
    if log is None:
        raise not_found("worker", request.match_info["worker_id"])
    return await stream(request, context, log)


@routes.get("/v2/pods/{id}/logs")
async def pod_logs(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    pod = context.emulator.pod_of(organization_of(request), request.match_info["id"])
    return await stream(request, context, context.pods.log(pod.id))


async def stream(request: web.Request, context: Context, log: LogBook) -> web.StreamResponse:
    source = choice(request, "source", (CONTAINER, SYSTEM))
    tail = whole_number(request, "tail", DEFAULT_TAIL, 0, LONGEST_TAIL)
    lines = [line for line in log.lines if source in (None, line.source)]
    try:
        after = start_after(lines, tail, request.query.get("since"), request.headers.get("Last-Event-ID"))
    except ValueError as error:
        raise Problem(422, "query does not match the schema", errors=[f"query.since: {error}"]) from error
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            "Connection": "keep-alive",
            "X-Accel-Buffering": "no",
            **request.get("headers", {}),
        }
    )
    await response.prepare(request)
    cut = context.emulator.faults.read("log_stream_cut", request.path)
    sent = 0
    clock = context.emulator.clock
    try:
        async for line in log.follow(after):
            if source not in (None, line.source):
                continue
            if cut is not None and sent >= int(cut):
                break
            data = json.dumps({"ts": clock.text(line.at), "source": line.source, "line": line.text})
            await response.write(f"id: {event_id(line, clock)}\ndata: {data}\n\n".encode())
            sent += 1
    except (ConnectionResetError, asyncio.CancelledError):
        return response
    return response
