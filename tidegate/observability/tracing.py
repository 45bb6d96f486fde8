"""Spans for OpenTelemetry, with the very ids that our logs carry. Off, and not even imported, until an endpoint is set.

    pip install 'tidegate[otel]'
    OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 tidegate up

Only this module knows OpenTelemetry. A span has a name and ids of ours; never a text of a user.
"""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidegate.correlation import new_span_id, new_trace_id, trace_with
from tidegate.domain import NeedsOperator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_IDS = frozenset({"trace_id", "span_id"})


class _OurIds(threading.local):
    """Hands the SDK the ids that were chosen already; it asks in the thread that begins the span."""

    trace_id = ""
    span_id = ""


class _Spans:
    """What `tidegate.correlation.span` tells while we export."""

    def __init__(self, tracer: Any, ids: _OurIds):
        self._tracer = tracer
        self._ids = ids

    @contextmanager
    def follow(self, name: str, ids: Mapping[str, str], parent_span_id: str | None) -> Generator[None]:
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        above = Context()
        if parent_span_id:
            parent = SpanContext(
                int(ids["trace_id"], 16), int(parent_span_id, 16), is_remote=True, trace_flags=TraceFlags(1)
            )
            above = set_span_in_context(NonRecordingSpan(parent), above)
        self._ids.trace_id, self._ids.span_id = ids["trace_id"], ids["span_id"]
        attributes = {f"tidegate.{key}": value for key, value in ids.items() if key not in _IDS}
        # The text of an error may hold anything; its type is enough to find its line in the log.
        with self._tracer.start_as_current_span(
            name, context=above, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise


def export_spans(process: str, exporter: "SpanExporter | None" = None) -> Any:
    """From now on spans of this process go to the endpoint of the environment. Returns the provider.

    Raises: NeedsOperator when the extra is not installed.
    """
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import IdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        chosen = exporter or _exporter()
    except ImportError as error:
        raise NeedsOperator(
            f"Spans are to be exported, and {error.name} is not installed.",
            remedy="Install the extra 'otel', or unset OTEL_EXPORTER_OTLP_ENDPOINT.",
        ) from error
    ids = _OurIds()

    class Chosen(IdGenerator):
        def generate_span_id(self) -> int:
            return int(ids.span_id or new_span_id(), 16)

        def generate_trace_id(self) -> int:
            return int(ids.trace_id or new_trace_id(), 16)

    resource = Resource.create({"service.name": "tidegate", "service.instance.id": process})
    provider = TracerProvider(resource=resource, id_generator=Chosen(), sampler=ALWAYS_ON)
    provider.add_span_processor(BatchSpanProcessor(chosen))
    trace_with(_Spans(provider.get_tracer("tidegate"), ids))
    return provider


def _exporter() -> "SpanExporter":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
