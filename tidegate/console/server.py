"""HTTP around the operations: who may call, what a body must be, and every error as JSON with a remedy."""

import asyncio
import hmac
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ValidationError

from tidegate import __version__
from tidegate.access import ALERT_TOKEN, API_TOKEN
from tidegate.console.correlating import correlated
from tidegate.console.openapi import describe
from tidegate.console.operations import ALERTS, OPEN, OPERATIONS, Call, Desk, Operation
from tidegate.domain import (
    Fenced,
    InvalidInput,
    NeedsOperator,
    NotFound,
    Refused,
    Secret,
    TidegateError,
    Transient,
)
from tidegate.domain.error_tracking import NoteError
from tidegate.observability.concealing import conceal

log = logging.getLogger(__name__)
MAX_BODY_BYTES = 1024**2
MAX_KEY = 200
SHUTDOWN_S = 5.0
STATUSES: tuple[tuple[type[TidegateError], int], ...] = (
    (InvalidInput, 400),
    (NotFound, 404),
    (Refused, 403),
    (Fenced, 409),
    (NeedsOperator, 409),
    (Transient, 503),
)


class Unauthorized(Refused):
    """The caller did not prove that it may call at all."""

    code = "TG-2005"


class Console:
    """The application of one installation. `tokens` are asked anew at each call, so that they can be replaced."""

    def __init__(self, desk: Desk, tokens: Callable[[str], Secret | None]):
        self._desk = desk
        self._tokens = tokens

    def application(self) -> web.Application:
        app = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[correlated, _errors(self._desk.ports.note_error)]
        )
        for one in OPERATIONS:
            app.router.add_route(one.method, one.path, self._handler(one))
        document = describe(OPERATIONS, __version__)

        async def openapi(request: web.Request) -> web.Response:
            return web.json_response(document)

        app.router.add_get("/openapi.json", openapi)
        return app

    def _handler(self, one: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            self._admit(request, one.access)
            call = Call(
                path=request.match_info,
                query=request.query,
                body=await _read(request, one.body) if one.body is not None else None,
                key=_idempotency_key(request.headers),
            )
            # The ledger and the platforms block; the loop must go on answering.
            reply = await asyncio.to_thread(one.run, self._desk, call)
            return web.json_response(reply.content, status=reply.status)

        return handle

    def _admit(self, request: web.Request, access: str) -> None:
        """A monitor's secret opens the webhook alone; neither opens the other's door."""
        if access == OPEN:
            return
        wanted = self._tokens(ALERT_TOKEN if access == ALERTS else API_TOKEN)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        is_right = wanted is not None and hmac.compare_digest(
            given.strip().encode(), wanted.reveal().encode()
        )
        if scheme.lower() != "bearer" or not is_right:
            raise Unauthorized(
                "The bearer token is missing or wrong.",
                remedy=f"Send: Authorization: Bearer TOKEN; see it with: tidegate keys "
                f"{'alerts' if access == ALERTS else 'console'}.",
                field="authorization",
            )


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if key is not None and not 0 < len(key) <= MAX_KEY:
        raise InvalidInput(
            f"Idempotency-Key has {len(key)} characters; 1 to {MAX_KEY} are allowed.",
            remedy="Send a shorter one, or none.",
            field="Idempotency-Key",
        )
    return key


async def _read(request: web.Request, form: type[BaseModel]) -> BaseModel:
    try:
        content = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            "The body is not JSON.", remedy="Send a JSON object; see /openapi.json.", field="body"
        ) from error
    try:
        return form.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidInput(
            f"{field}: {first['msg']}.", remedy=f"See {form.__name__} in /openapi.json.", field=field
        ) from error


def _errors(note: NoteError) -> Middleware:
    """Every error as an answer, and kept. Two are no errors of the installation: callers who prove nothing, and paths
    that there are not. Anybody could fill the ledger with those."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Unauthorized as error:
            return _told(error)
        except TidegateError as error:
            await asyncio.to_thread(note, error, _place(request))
            return _told(error)
        except web.HTTPException as error:
            known = InvalidInput(f"{error.reason}.", remedy="See /openapi.json.", field="path")
            return _told(known, error.status)
        except Exception as error:
            # A defect of ours: its text may quote what the caller sent.
            log.exception("%s %s", request.method, conceal(request.path))
            await asyncio.to_thread(note, error, _place(request))
            return _told(
                TidegateError(f"Unexpected {type(error).__name__}.", remedy="See: tidegate logs console.")
            )

    return middleware


def _place(request: web.Request) -> str:
    """The operation, not the path: that may hold names."""
    resource = request.match_info.route.resource
    return f"console {request.method} {resource.canonical if resource else '?'}"


def _told(error: TidegateError, status: int | None = None) -> web.Response:
    content: dict[str, Any] = error.as_dict()
    content["field"] = error.context.get("field")
    if status is None:
        status = 401 if isinstance(error, Unauthorized) else 500
        for kind, code in STATUSES:
            if isinstance(error, kind) and not isinstance(error, Unauthorized):
                status = code
                break
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.json_response({"error": content}, status=status, headers=headers)


def serve(console: Console, host: str, port: int, stop: threading.Event) -> None:
    """Answer until `stop` is set; requests in flight get a few seconds to end."""

    async def run() -> None:
        runner = web.AppRunner(console.application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            await asyncio.to_thread(stop.wait)
        finally:
            await runner.cleanup()

    asyncio.run(run())
