"""`/v2/{endpoint}/...` of the data plane: run, runsync, status, stream, cancel, retry, purge, health, OpenAI."""

import asyncio
import json
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.platforms.runpod.emulator.context import Context, context_of, key_of
from tidegate.platforms.runpod.emulator.job_states import JobStatus, is_terminal
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Endpoint, EndpointType, Job, Json, WorkerStatus

RUN_LIMIT, RUNSYNC_LIMIT = 10 * 1024 * 1024, 20 * 1024 * 1024
LEAST_WAIT_MS, MOST_WAIT_MS = 1_000, 300_000
WEEK_MS = 7 * 86_400_000
CROWDED_QUEUE, QUEUE_PER_WORKER = 50, 500
EDGE_TIMEOUT = 524

routes = web.RouteTableDef()


class Policy(BaseModel):
    model_config = ConfigDict(extra="ignore")

    executionTimeout: int | None = Field(default=None, ge=5_000, le=WEEK_MS)  # noqa: N815  the vendor's name
    ttl: int | None = Field(default=None, ge=10_000, le=WEEK_MS)
    lowPriority: bool = False  # noqa: N815  the vendor's name


class RunBody(BaseModel):
    """A request for a job. Unknown fields are let through, as on the real platform."""

    model_config = ConfigDict(extra="ignore")

    input: dict[str, Any]
    webhook: str | None = None
    policy: Policy | None = None


def job_reply(job: Job) -> Json:
    """The job object: fields appear when they have a value."""
    told: Json = {"id": job.id, "status": job.status}
    if job.delay_ms is not None:
        told["delayTime"] = job.delay_ms
    if job.execution_ms is not None:
        told["executionTime"] = job.execution_ms
    if job.has_output:
        told["output"] = job.output
    if job.error is not None:
        told["error"] = job.error
    if job.retries:
        told["retries"] = job.retries
    if job.worker_id is not None:
        told["workerId"] = job.worker_id
    return told


@routes.post("/v2/{id}/run")
async def run(request: web.Request) -> web.Response:
    context, endpoint = _queue_endpoint(request)
    job = _submit(context, endpoint, await request.read(), RUN_LIMIT, is_sync=False)
    return web.json_response({"id": job.id, "status": job.status})


@routes.post("/v2/{id}/runsync")
async def runsync(request: web.Request) -> web.Response:
    """Waits for the end of the job, or for so long as the caller and the edge allow."""
    context, endpoint = _queue_endpoint(request)
    timings = context.emulator.timings
    wait_ms = _milliseconds(request, "wait", timings.runsync_wait_s * 1000)
    job = _submit(context, endpoint, await request.read(), RUNSYNC_LIMIT, is_sync=True)
    edge_s = context.emulator.faults.read("edge_limit_s", endpoint.id)
    if edge_s is not None and float(edge_s) * 1000 < wait_ms:
        await _until_terminal(context, job, float(edge_s))
        if not is_terminal(job.status):
            raise Problem(EDGE_TIMEOUT, "a timeout occurred")
    await _until_terminal(context, job, wait_ms / 1000)
    return web.json_response(job_reply(job))


@routes.get("/v2/{id}/status/{job_id}")
@routes.post("/v2/{id}/status/{job_id}")
async def status(request: web.Request) -> web.Response:
    context, endpoint = _queue_endpoint(request)
    return web.json_response(job_reply(_job(context, endpoint, request)))


@routes.get("/v2/{id}/status-sync/{job_id}")
async def status_sync(request: web.Request) -> web.Response:
    context, endpoint = _queue_endpoint(request)
    job = _job(context, endpoint, request)
    wait_ms = _milliseconds(request, "wait", context.emulator.timings.runsync_wait_s * 1000)
    await _until_terminal(context, job, wait_ms / 1000)
    return web.json_response(job_reply(job))


@routes.get("/v2/{id}/stream/{job_id}")
@routes.post("/v2/{id}/stream/{job_id}")
async def stream(request: web.Request) -> web.Response:
    """Every chunk once: what is delivered is gone. Holds a while when there is nothing new."""
    context, endpoint = _queue_endpoint(request)
    job = _job(context, endpoint, request)
    hold_s = _milliseconds(request, "wait", context.emulator.timings.stream_hold_s * 1000) / 1000
    follower = context.emulator.jobs.follower(job.id)
    deadline = asyncio.get_running_loop().time() + hold_s
    while not follower.chunks and not is_terminal(job.status):
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            break
        await context.emulator.jobs.wait_changed(job, left_s)
    chunks = [{"output": chunk} for chunk in follower.chunks]
    follower.chunks.clear()
    return web.json_response({"status": job.status, "stream": chunks})


@routes.post("/v2/{id}/cancel/{job_id}")
async def cancel(request: web.Request) -> web.Response:
    context, endpoint = _queue_endpoint(request)
    job = _job(context, endpoint, request)
    context.emulator.jobs.cancel(job)
    return web.json_response({"id": job.id, "status": job.status})


@routes.post("/v2/{id}/retry/{job_id}")
async def retry(request: web.Request) -> web.Response:
    context, endpoint = _queue_endpoint(request)
    job = _job(context, endpoint, request)
    if not context.emulator.jobs.retry(job):
        raise Problem(400, f"job is {job.status}; only FAILED and TIMED_OUT jobs can be retried")
    endpoint.retried += 1
    return web.json_response({"id": job.id, "status": job.status})


@routes.post("/v2/{id}/purge-queue")
async def purge(request: web.Request) -> web.Response:
    context, endpoint = _queue_endpoint(request)
    return web.json_response({"removed": context.emulator.jobs.purge(endpoint.id), "status": "completed"})


@routes.get("/v2/{id}/health")
async def health(request: web.Request) -> web.Response:
    """Answers for both kinds of endpoints."""
    context, endpoint = asked_endpoint(request)
    return web.json_response(context.fleet.health(endpoint))


@routes.get("/v2/{id}/metrics")
async def metrics(request: web.Request) -> web.Response:
    context, endpoint = asked_endpoint(request)
    workers = context.fleet.workers(endpoint.id)
    ready = [worker.id for worker in workers if worker.is_ready]
    return web.json_response({"workers": [worker.id for worker in workers], "readyWorkers": ready})


@routes.route("*", "/v2/{id}/openai/{route:.*}")
async def openai(request: web.Request) -> web.StreamResponse:
    """An ordinary job; what the worker yields is the reply."""
    context, endpoint = _queue_endpoint(request)
    wanted: Json = {"openai_route": f"/{request.match_info['route']}"}
    raw = await request.read()
    if raw:
        try:
            wanted["openai_input"] = json.loads(raw)
        except ValueError as error:
            raise Problem(400, "request body is not valid JSON") from error
    body = json.dumps({"input": wanted}).encode()
    job = _submit(context, endpoint, body, RUNSYNC_LIMIT, is_sync=True)
    payload = wanted.get("openai_input")
    edge_s = context.emulator.faults.read("edge_limit_s", endpoint.id)
    limit_s = context.emulator.timings.edge_limit_s if edge_s is None else float(edge_s)
    if isinstance(payload, dict) and payload.get("stream"):  # pyright: ignore[reportUnknownMemberType]
        return await _pass_through(request, context, job, limit_s)
    await _until_terminal(context, job, limit_s)
    return _whole_reply(context, job)


def _whole_reply(context: Context, job: Job) -> web.Response:
    """The final output as the body. How the platform maps a worker's error is not documented: 500 here."""
    if not is_terminal(job.status):
        raise Problem(EDGE_TIMEOUT, "a timeout occurred")
    if job.status != JobStatus.COMPLETED:
        error = {"message": job.error or f"job {job.status}", "type": "server_error", "code": 500}
        return web.json_response({"error": error}, status=500)
    chunks = list(context.emulator.jobs.follower(job.id).chunks)
    output: Any = job.output
    if isinstance(output, list):
        items: list[Any] = output or chunks  # pyright: ignore[reportUnknownVariableType]
        output = items[0] if len(items) == 1 else items
    if isinstance(output, str):
        return web.Response(text=output, content_type="application/json")
    return web.json_response(output)


async def _pass_through(
    request: web.Request, context: Context, job: Job, limit_s: float
) -> web.StreamResponse:
    """Text that is framed as events already, as soon as the worker yields it."""
    jobs = context.emulator.jobs
    follower = jobs.follower(job.id)
    deadline = asyncio.get_running_loop().time() + limit_s
    while not follower.chunks and not is_terminal(job.status):
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise Problem(EDGE_TIMEOUT, "a timeout occurred")
        await jobs.wait_changed(job, left_s)
    if not follower.chunks and job.status != JobStatus.COMPLETED:
        return _whole_reply(context, job)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-cache",
            **request.get("headers", {}),
        }
    )
    await response.prepare(request)
    try:
        while follower.chunks or not is_terminal(job.status):
            while follower.chunks:
                await response.write(_framed(follower.chunks.popleft()))
            if not is_terminal(job.status):
                await jobs.wait_changed(job, limit_s)
    except ConnectionResetError:
        jobs.cancel(job)
        raise
    if job.status != JobStatus.COMPLETED:
        error = {"error": {"message": job.error or f"job {job.status}", "type": "server_error"}}
        await response.write(f"data: {json.dumps(error)}\n\n".encode())
    return response


def _framed(chunk: Any) -> bytes:
    if isinstance(chunk, str):
        return chunk.encode()
    return f"data: {json.dumps(chunk)}\n\n".encode()


def asked_endpoint(request: web.Request) -> tuple[Context, Endpoint]:
    """Raises: Problem 404 when it is unknown, another organization's, or too new."""
    context = context_of(request)
    emulator = context.emulator
    endpoint = emulator.endpoint_of(key_of(request).organization, request.match_info["id"])
    hidden_s = emulator.faults.read("new_endpoint_404_s", endpoint.id, endpoint.config["name"])
    if hidden_s and emulator.clock.now() - endpoint.created_at < float(hidden_s):
        raise Problem(404, f"endpoint not found: {endpoint.id}")
    return context, endpoint


def _queue_endpoint(request: web.Request) -> tuple[Context, Endpoint]:
    context, endpoint = asked_endpoint(request)
    if endpoint.type is not EndpointType.QUEUE:
        raise Problem(400, "not allowed for LB API")
    return context, endpoint


def _job(context: Context, endpoint: Endpoint, request: web.Request) -> Job:
    job = context.emulator.jobs.jobs.get(request.match_info["job_id"])
    if job is None or job.endpoint_id != endpoint.id:
        raise Problem(404, "request does not exist")
    return job


def _submit(context: Context, endpoint: Endpoint, raw: bytes, limit: int, *, is_sync: bool) -> Job:
    """Raises: Problem for a body that is too large or wrong, or a queue that is too long."""
    if len(raw) > limit:
        raise Problem(413, f"request body exceeds {limit // 2**20} MB")
    try:
        body = RunBody.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Problem(400, f"invalid request: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    waiting = context.emulator.jobs.queued(endpoint.id)
    if waiting > CROWDED_QUEUE and waiting > endpoint.config["workers"]["max"] * QUEUE_PER_WORKER:
        raise Problem(429, "too many queued requests", headers={"Retry-After": "1"})
    endpoint.last_request_at = context.emulator.clock.now()
    job = context.emulator.jobs.submit(endpoint, body.model_dump(), is_sync=is_sync)
    context.fleet.scale(endpoint)
    return job


async def _until_terminal(context: Context, job: Job, limit_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + limit_s
    while not is_terminal(job.status):
        left_s = deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            return
        await context.emulator.jobs.wait_changed(job, left_s)


def _milliseconds(request: web.Request, name: str, default: float) -> float:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or not LEAST_WAIT_MS <= int(text) <= MOST_WAIT_MS:
        raise Problem(400, f"{name} must be between {LEAST_WAIT_MS} and {MOST_WAIT_MS} ms")
    return float(text)


def running_workers(context: Context, endpoint: Endpoint) -> int:
    fleet = context.fleet
    return sum(fleet.status(worker) is WorkerStatus.RUNNING for worker in fleet.workers(endpoint.id))
