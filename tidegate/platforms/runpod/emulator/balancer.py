"""Load-balancing endpoints: a streaming proxy to the least busy ready worker, or a wait for one."""

import asyncio
from collections.abc import Mapping

import aiohttp
from aiohttp import hdrs, web

from tidegate.platforms.runpod.emulator.context import Context
from tidegate.platforms.runpod.emulator.fleet import Fleet
from tidegate.platforms.runpod.emulator.job_plane import asked_endpoint
from tidegate.platforms.runpod.emulator.ports import LOOPBACK
from tidegate.platforms.runpod.emulator.state import Endpoint, EndpointType
from tidegate.platforms.runpod.emulator.workers import DEFAULT_HEALTH_PATH, Worker

LARGEST_BODY = 30 * 1024 * 1024
WORKER_HEADER = "X-Runpod-Worker-Id"
NO_WORKER_TEXT = "timed out waiting for worker"
WRONG_TYPE_TEXT = "not allowed for QB API"
# The key is for the edge; a worker never sees it.
NOT_FORWARDED = frozenset(
    name.lower()
    for name in (
        hdrs.CONNECTION,
        hdrs.KEEP_ALIVE,
        hdrs.PROXY_AUTHENTICATE,
        hdrs.PROXY_AUTHORIZATION,
        hdrs.TE,
        hdrs.TRAILER,
        hdrs.TRANSFER_ENCODING,
        hdrs.UPGRADE,
        hdrs.HOST,
        hdrs.CONTENT_LENGTH,
        hdrs.AUTHORIZATION,
    )
)

routes = web.RouteTableDef()


@routes.route("*", "/lb/{id}")
@routes.route("*", "/lb/{id}/{path:.*}")
async def balance(request: web.Request) -> web.StreamResponse:
    context, endpoint = asked_endpoint(request)
    if endpoint.type is not EndpointType.LOAD_BALANCER:
        return web.json_response({"error": WRONG_TYPE_TEXT}, status=400)
    body = await request.read()
    if len(body) > LARGEST_BODY:
        return web.json_response({"error": "request body exceeds 30 MB"}, status=413)
    endpoint.last_request_at = context.emulator.clock.now()
    worker = await _wait_for_worker(context, endpoint)
    if worker is None:
        return web.json_response({"error": NO_WORKER_TEXT}, status=400)
    worker.in_flight += 1
    try:
        return await _forward(request, context, worker, body)
    finally:
        worker.in_flight -= 1
        worker.idle_since = context.emulator.clock.now()


async def _wait_for_worker(context: Context, endpoint: Endpoint) -> Worker | None:
    """The least busy one; without any, the request waits and is counted as demand."""
    worker = choose(context.fleet, endpoint)
    if worker is not None:
        return worker
    waiters = context.fleet.waiters(endpoint.id)
    waiters.count += 1
    context.fleet.scale(endpoint)
    deadline = asyncio.get_running_loop().time() + context.emulator.timings.lb_wait_s
    try:
        while endpoint.id in context.emulator.endpoints:
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                return None
            try:
                await asyncio.wait_for(waiters.changed.wait(), timeout=left_s)
            except TimeoutError:
                return None
            worker = choose(context.fleet, endpoint)
            if worker is not None:
                return worker
        return None
    finally:
        waiters.count -= 1


def choose(fleet: Fleet, endpoint: Endpoint) -> Worker | None:
    """Ready, reachable, staying; of the newest version first, then the least busy."""
    able = [
        worker
        for worker in fleet.workers(endpoint.id)
        if worker.is_ready and worker.is_reachable and not worker.is_draining
    ]
    return min(able, key=lambda worker: (fleet.is_stale(endpoint, worker), worker.in_flight), default=None)


async def _forward(request: web.Request, context: Context, worker: Worker, body: bytes) -> web.StreamResponse:
    limit_s = context.emulator.faults.read("edge_limit_s", worker.endpoint_id)
    total_s = context.emulator.timings.lb_request_limit_s if limit_s is None else float(limit_s)
    path = request.raw_path.partition(f"/lb/{worker.endpoint_id}")[2] or "/"
    answer: web.StreamResponse | None = None
    try:
        async with context.emulator.session.request(
            request.method,
            f"http://{LOOPBACK}:{_port(worker, path)}{path}",
            headers=_passed_on(request.headers),
            data=body or None,
            timeout=aiohttp.ClientTimeout(total=total_s),
            allow_redirects=False,
        ) as upstream:
            answer = web.StreamResponse(status=upstream.status, headers=_passed_on(upstream.headers))
            answer.headers[WORKER_HEADER] = worker.id
            if upstream.content_length is not None:
                answer.content_length = upstream.content_length
            await answer.prepare(request)
            await _copy(request, context, worker, upstream, answer)
            return answer
    except TimeoutError:
        if answer is None:
            return web.json_response({"error": "a timeout occurred"}, status=524)
        return _cut(request, answer)
    except aiohttp.ClientError:
        if answer is None:
            headers = {WORKER_HEADER: worker.id}
            return web.json_response({"error": "worker did not answer"}, status=502, headers=headers)
        return _cut(request, answer)


async def _copy(
    request: web.Request,
    context: Context,
    worker: Worker,
    upstream: aiohttp.ClientResponse,
    answer: web.StreamResponse,
) -> None:
    faults = context.emulator.faults
    cut_after = faults.read("cut_stream_after", worker.endpoint_id, worker.id)
    kill_after = faults.read("kill_mid_stream", worker.endpoint_id, worker.id)
    seen = 0
    async for chunk in upstream.content.iter_any():
        await answer.write(chunk)
        seen += 1
        if cut_after is not None and seen >= int(cut_after):
            _cut(request, answer)
            return
        if kill_after is not None and seen >= int(kill_after) and worker.container is not None:
            worker.container.kill()


def _cut(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """A broken stream must look broken: an orderly end would say that the reply is whole."""
    if request.transport is not None:
        request.transport.abort()
    return answer


def _passed_on(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Everything but what belongs to one hop; a header that comes twice goes on twice."""
    return [(name, value) for name, value in headers.items() if name.lower() not in NOT_FORWARDED]


def _port(worker: Worker, path: str) -> int:
    """`requestUrls.health` lies below the base, and the worker answers it on the port of its own."""
    health_path = worker.config["env"].get("HEALTH_CHECK_PATH", DEFAULT_HEALTH_PATH)
    return worker.health_port if path.partition("?")[0] == health_path else worker.port
