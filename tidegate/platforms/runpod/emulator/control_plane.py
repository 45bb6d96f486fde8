"""The control plane's application: who may ask, how often, what goes wrong on purpose, and how a no looks."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from tidegate.platforms.runpod.emulator import (
    billing_routes,
    catalog_routes,
    endpoints,
    log_streams,
    operation,
    pod_routes,
    small_resources,
)
from tidegate.platforms.runpod.emulator.accounts import API_READ, API_WRITE, OPERATOR, require_scope
from tidegate.platforms.runpod.emulator.context import CONTEXT, KEY, Context, key_of
from tidegate.platforms.runpod.emulator.faults import FaultBoard
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import Json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PROBLEM_TYPE = "application/problem+json"
LARGEST_BODY = 32 * 1024 * 1024
LOST_REPLIES = {"POST": "create_reply_lost", "PATCH": "update_reply_lost", "DELETE": "delete_reply_lost"}
READING = ("GET", "HEAD")


def application(context: Context) -> web.Application:
    app = web.Application(middlewares=[_answer], client_max_size=LARGEST_BODY)
    app[CONTEXT] = context
    for module in (
        operation,
        small_resources,
        endpoints,
        log_streams,
        pod_routes,
        catalog_routes,
        billing_routes,
    ):
        app.add_routes(module.routes)
    app.router.add_post("/graphql", _graphql)
    app.router.add_route("*", "/v1/{tail:.*}", _gone)
    return app


def problem_response(problem: Problem) -> web.Response:
    return web.Response(
        status=problem.status,
        body=json.dumps(problem.body()).encode(),
        content_type=PROBLEM_TYPE,
        headers=problem.headers,
    )


@web.middleware
async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    headers: dict[str, str] = {"x-request-id": uuid.uuid4().hex}
    request["headers"] = headers
    try:
        response = await _guarded(request, handler, headers)
    except Problem as problem:
        response = problem_response(problem)
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        response = problem_response(
            Problem(error.status, HTTPStatus(error.status).phrase.lower(), headers=allow)
        )
    if not response.prepared:
        response.headers.update(headers)
    return response


async def _guarded(request: web.Request, handler: Handler, headers: dict[str, str]) -> web.StreamResponse:
    if request.path.startswith("/v1/"):
        return await handler(request)
    context = request.app[CONTEXT]
    faults, path = context.emulator.faults, request.path
    if path.startswith("/emulator/"):
        request[KEY] = context.emulator.accounts.key_of(request.headers.get("Authorization"))
        require_scope(request[KEY], OPERATOR)
        return await handler(request)
    await _misbehave(faults, path)
    if path == "/graphql":
        return await handler(request)
    _admit(request, context, headers)
    response = await handler(request)
    lost = LOST_REPLIES.get(request.method)
    is_done = response.status < HTTPStatus.BAD_REQUEST
    if lost and is_done and faults.read(lost, path, key_of(request).organization):
        _cut(request)
    return response


async def _misbehave(faults: FaultBoard, path: str) -> None:
    delay_s = faults.read("control_latency_s", path)
    if delay_s:
        await asyncio.sleep(float(delay_s))
    status = faults.read("control_5xx", path)
    if status:
        raise Problem(int(status), "the server could not handle the request")
    if faults.read("control_401", path):
        raise Problem(401, "invalid api key")


def _admit(request: web.Request, context: Context, headers: dict[str, str]) -> None:
    """Key, request budget, scope, in that order.

    Raises:
        Problem: 401, 429 or 403.
    """
    emulator = context.emulator
    key = emulator.accounts.key_of(request.headers.get("Authorization"))
    if key.organization == OPERATOR:
        raise Problem(401, "invalid api key")
    request[KEY] = key
    timings, now = emulator.timings, emulator.clock.now()
    budget = emulator.accounts.budget(key, (timings.rate_minute, timings.rate_hour, timings.rate_day))
    wait_s = emulator.faults.read("control_429", request.path, key.organization) or budget.spend(now)
    headers.update(budget.headers(now))
    if wait_s:
        raise Problem(429, "rate limit exceeded", headers={"Retry-After": str(max(1, round(float(wait_s))))})
    require_scope(key, API_READ if request.method in READING else API_WRITE)


def _cut(request: web.Request) -> None:
    """The work is done, the caller never hears of it."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError


async def _gone(_request: web.Request) -> web.Response:
    return web.json_response(
        {"error": "REST API v1 has been retired; use https://api.runpod.io/v2", "status": 410}, status=410
    )


async def _graphql(request: web.Request) -> web.Response:
    """`myself` and nothing else. Without a key it is null, with an unknown one 401."""
    context = request.app[CONTEXT]
    emulator = context.emulator
    if emulator.faults.read("graphql_gone"):
        return web.json_response({"errors": [{"message": "GraphQL has been retired"}]}, status=410)
    try:
        query = json.loads(await request.read())["query"]
    except (ValueError, KeyError, TypeError):
        return web.json_response({"errors": [{"message": "POST body must have a query"}]}, status=400)
    if not isinstance(query, str) or "myself" not in query or "mutation" in query:
        return web.json_response({"errors": [{"message": "only the query 'myself' is emulated"}]})
    authorization = request.headers.get("Authorization") or request.query.get("api_key")
    if not authorization:
        return web.json_response({"data": {"myself": None}})
    key = emulator.accounts.key_of(authorization)
    if key.organization == OPERATOR:
        raise Problem(401, "invalid api key")
    account = emulator.accounts.organizations[key.organization]
    known: Json = {
        "id": account.user_id,
        "email": f"{account.name}@emulator.invalid",
        "clientBalance": round(emulator.balance_usd(account.name), 6),
        "currentSpendPerHr": round(emulator.meter.rate_usd_per_h(account.name), 6),
        "spendLimit": account.spend_limit_usd_per_h,
    }
    wanted = {
        name: value
        for name, value in known.items()
        if name in query.replace("{", " ").replace("}", " ").replace(",", " ").split()
    }
    return web.json_response({"data": {"myself": wanted}})
