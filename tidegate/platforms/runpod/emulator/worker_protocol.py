"""What workers of queue endpoints call: take, stop, done, stream, ping. Each with its own token.

Takes are long polls: the vendor's SDK has no back-off of its own and would ask a thousand times a second.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tidegate.platforms.runpod.emulator.context import Context, context_of
from tidegate.platforms.runpod.emulator.pages import whole_number
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Job, Json
from tidegate.platforms.runpod.emulator.workers import Worker

LARGEST_BATCH = 1000
LARGEST_CHUNK = 1024 * 1024
REFUSAL_PAUSE_S = 1.0

routes = web.RouteTableDef()


@routes.get("/v2/{id}/job-take/{worker}")
async def take(request: web.Request) -> web.Response:
    jobs = await _take(request, 1)
    return web.json_response(_handed(jobs[0])) if jobs else web.Response(status=204)


@routes.get("/v2/{id}/job-take-batch/{worker}")
async def take_batch(request: web.Request) -> web.Response:
    jobs = await _take(request, whole_number(request, "batch_size", 1, 1, LARGEST_BATCH))
    return web.json_response([_handed(job) for job in jobs]) if jobs else web.Response(status=204)


def _handed(job: Job) -> Json:
    """An empty input has lost its key on the way, as it does on the real platform."""
    told: Json = {"id": job.id}
    if job.input is not None:
        told["input"] = job.input
    if job.webhook is not None:
        told["webhook"] = job.webhook
    return told


async def _take(request: web.Request, size: int) -> Sequence[Job]:
    context, worker = _worker(request)
    timings, jobs = context.emulator.timings, context.emulator.jobs
    status = context.emulator.faults.read("take_status", worker.endpoint_id, worker.id)
    if status:
        # A short hold: the worker asks again at once, whatever the answer.
        await asyncio.sleep(REFUSAL_PAUSE_S)
        raise Problem(int(status), "take refused")
    if worker.is_draining:
        if worker.leaving.is_set():
            await asyncio.sleep(REFUSAL_PAUSE_S)
        else:
            await _hold(worker.leaving, timings.take_hold_s)
        return []
    if not worker.is_ready:
        worker.is_ready, worker.is_unhealthy = True, False
        worker.idle_since = context.emulator.clock.now()
    reply = jobs.poll(worker.endpoint_id, worker.id, size)
    try:
        taken = await asyncio.wait_for(reply, timeout=timings.take_hold_s)
    except TimeoutError:
        return []
    finally:
        jobs.leave(worker.endpoint_id, reply)
    if taken and context.emulator.faults.read("kill_mid_job", worker.endpoint_id, worker.id):
        _kill(worker)
    return taken


async def _hold(event: asyncio.Event, hold_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout=hold_s)
    except TimeoutError:
        return


@routes.get("/v2/{id}/job-stop/{worker}")
async def stop(request: web.Request) -> web.Response:
    context, worker = _worker(request)
    hold_s = context.emulator.timings.stop_hold_s
    identifiers = await context.emulator.jobs.jobs_to_stop(worker.id, hold_s)
    return web.json_response({"jobsToStop": identifiers}) if identifiers else web.Response(status=204)


@routes.get("/v2/{id}/ping/{worker}")
async def ping(request: web.Request) -> web.Response:
    context, worker = _worker(request)
    if context.emulator.faults.read("drop_pings", worker.endpoint_id, worker.id):
        return web.Response(status=200)
    worker.pinged_at = context.emulator.clock.now()
    if request.query.get("status") == "unhealthy":
        worker.is_unhealthy = True
    text = request.query.get("job_id") or ""
    context.emulator.jobs.ping(worker.id, [one for one in text.split(",") if one])
    return web.Response(status=200)


@routes.post("/v2/{id}/job-done/{worker}/{job}")
async def done(request: web.Request) -> web.Response:
    context, worker = _worker(request)
    body = await _body(request)
    status = context.emulator.faults.read("done_status", worker.endpoint_id, worker.id)
    if status:
        raise Problem(int(status), "result refused")
    job = context.emulator.jobs.jobs.get(request.match_info["job"])
    if job is not None:
        context.emulator.jobs.done(job, worker.id, body)
    if body.get("stopPod"):
        context.fleet.recycle(worker.endpoint_id, worker.id)
    return web.Response(status=200)


@routes.post("/v2/{id}/job-stream/{worker}/{job}")
async def chunk(request: web.Request) -> web.Response:
    context, worker = _worker(request)
    body = await _body(request, LARGEST_CHUNK)
    job = context.emulator.jobs.jobs.get(request.match_info["job"])
    if job is not None:
        context.emulator.jobs.add_chunk(job, worker.id, body.get("output"))
        worker.chunks += 1
        kill_after = context.emulator.faults.read("kill_mid_stream", worker.endpoint_id, worker.id)
        if kill_after is not None and worker.chunks >= int(kill_after):
            _kill(worker)
    return web.Response(status=200)


def _kill(worker: Worker) -> None:
    """SIGKILL to the group: the heartbeat's process of the SDK would otherwise live on."""
    if worker.container is not None:
        worker.container.kill()


def _worker(request: web.Request) -> tuple[Context, Worker]:
    """Raises: Problem 401 for anybody but the worker itself."""
    context = context_of(request)
    worker = context.fleet.worker(request.match_info["id"], request.match_info["worker"])
    words = request.headers.get("Authorization", "").split()
    if worker is None or not words or words[-1] != worker.token:
        raise Problem(401, "invalid api key")
    return context, worker


async def _body(request: web.Request, limit: int | None = None) -> Json:
    """JSON whatever the content type says: the SDK sends it as a form.

    Raises:
        Problem: 400 when it is no JSON object, or too large.
    """
    raw = await request.read()
    if limit is not None and len(raw) > limit:
        raise Problem(400, "chunk exceeds 1 MB")
    try:
        body: Any = json.loads(raw)
    except ValueError as error:
        raise Problem(400, "body is not valid JSON") from error
    if not isinstance(body, dict):
        raise Problem(400, "body is not an object")
    return body  # pyright: ignore[reportUnknownVariableType]
