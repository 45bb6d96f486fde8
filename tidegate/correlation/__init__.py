"""What belongs together: the ids of a request, a release and a run, carried through a process and to others."""

from tidegate.correlation.context import FIELDS, add_source, bind, carried, current, headers
from tidegate.correlation.identifiers import (
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    TraceParent,
    is_request_id,
    new_request_id,
    new_span_id,
    new_trace_id,
    parse_traceparent,
    trace_of_release,
)
from tidegate.correlation.spans import Tracer, end_tracing, span, trace_with

__all__ = [
    "FIELDS",
    "REQUEST_ID_HEADER",
    "TRACE_HEADER",
    "TraceParent",
    "Tracer",
    "add_source",
    "bind",
    "carried",
    "current",
    "end_tracing",
    "headers",
    "is_request_id",
    "new_request_id",
    "new_span_id",
    "new_trace_id",
    "parse_traceparent",
    "span",
    "trace_of_release",
    "trace_with",
]
