"""A call to the API under one id: the caller's own, if it can harm no log, and the trace that it belongs to."""

import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from tidegate.correlation import (
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    bind,
    is_request_id,
    new_request_id,
    new_trace_id,
    parse_traceparent,
    span,
)

log = logging.getLogger(__name__)
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""


@web.middleware
async def correlated(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Everything that the call causes in this process is logged with its id, and the answer says it."""
    asked = request.headers.get(REQUEST_ID_HEADER, "")
    request_id = asked if is_request_id(asked) else new_request_id()
    parent = parse_traceparent(request.headers.get(TRACE_HEADER, ""))
    began = time.monotonic()
    with (
        bind(
            request_id=request_id,
            trace_id=parent.trace_id if parent else new_trace_id(),
            span_id=parent.span_id if parent else None,
        ),
        span("call of the API"),
    ):
        response = await handler(request)
        response.headers[REQUEST_ID_HEADER] = request_id
        route = request.match_info.route.resource
        if request.path not in QUIET:
            # The pattern of the path and never the path: somebody may have put a token there.
            log.info(
                "%s %s: %d",
                request.method,
                route.canonical if route else "unknown path",
                response.status,
                extra={
                    "status": response.status,
                    "duration_ms": round((time.monotonic() - began) * 1000, 1),
                },
            )
        return response
