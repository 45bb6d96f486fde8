"""The data plane's application: keys, limits and faults before jobs, workers and the balancer."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from tidegate.platforms.runpod.emulator import balancer, job_plane, pod_proxy, worker_protocol
from tidegate.platforms.runpod.emulator.accounts import OPERATOR, SERVERLESS, require_scope
from tidegate.platforms.runpod.emulator.context import CONTEXT, KEY, Context
from tidegate.platforms.runpod.emulator.control_plane import LARGEST_BODY
from tidegate.platforms.runpod.emulator.data_limits import DataLimits
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LIMITS = web.AppKey("limits", DataLimits)
POD = "pod"
WORKER_OPERATIONS = ("job-take", "job-take-batch", "job-stop", "job-done", "job-stream", "ping")


def application(context: Context) -> web.Application:
    app = web.Application(middlewares=[_answer], client_max_size=LARGEST_BODY)
    app[CONTEXT] = context
    app[LIMITS] = DataLimits(context.emulator.timings.data_rate_factor)
    for module in (worker_protocol, job_plane, balancer, pod_proxy):
        app.add_routes(module.routes)
    return app


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    headers: dict[str, str] = {"x-request-id": uuid.uuid4().hex}
    request["headers"] = headers
    try:
        response = await _guarded(request, handler)
    except Problem as problem:
        response = web.json_response(_body(problem), status=problem.status, headers=problem.headers)
    except web.HTTPException as error:
        told = {"status": error.status, "title": error.reason, "detail": error.reason, "error": error.reason}
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        response = web.json_response(told, status=error.status, headers=allow)
    if not response.prepared:
        response.headers.update(headers)
    return response


def _body(problem: Problem) -> Json:
    """The refusals of this plane are hardly documented: callers find the text under either name."""
    try:
        title = HTTPStatus(problem.status).phrase
    except ValueError:
        title = "Timeout"
    return {"status": problem.status, "title": title, "detail": problem.detail, "error": problem.detail}


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    context = request.app[CONTEXT]
    emulator = context.emulator
    operation = _operation(request.path)
    if operation in WORKER_OPERATIONS or operation == POD:
        # A pod's proxy is open to everybody: what runs in the pod must ask for a key of its own.
        return await handler(request)
    key = emulator.accounts.key_of(request.headers.get("Authorization"))
    if key.organization == OPERATOR:
        raise Problem(401, "invalid api key")
    require_scope(key, SERVERLESS)
    request[KEY] = key
    endpoint_id = request.match_info.get("id", "")
    scopes = (endpoint_id, request.path, key.organization)
    delay_s = emulator.faults.read("data_latency_s", *scopes)
    if delay_s:
        await asyncio.sleep(float(delay_s))
    status = emulator.faults.read("data_5xx", *scopes)
    if status:
        raise Problem(int(status), "the server could not handle the request")
    wait_s = emulator.faults.read("data_429", *scopes)
    if wait_s:
        raise Problem(429, "too many requests", headers={"Retry-After": str(max(1, round(float(wait_s))))})
    endpoint = emulator.endpoints.get(endpoint_id)
    workers = job_plane.running_workers(context, endpoint) if endpoint and operation != "lb" else 0
    with request.app[LIMITS].admitted(endpoint_id, operation, workers, emulator.clock.now()):
        return await handler(request)


def _operation(path: str) -> str:
    """`/v2/{endpoint}/{operation}/...`, or `lb`, or `pod`."""
    parts = path.split("/")
    if len(parts) > 1 and parts[1] in ("lb", POD):
        return parts[1]
    name = parts[3] if len(parts) > 3 else ""
    return "status" if name == "status-sync" else name
