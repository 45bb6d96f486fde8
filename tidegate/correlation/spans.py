"""A piece of work with a beginning and an end: its span id is bound while it lasts, whoever looks on or nobody.

Who wants to see spans elsewhere (OpenTelemetry) gives a tracer; without one a span costs some random bytes.
"""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from tidegate.correlation.context import bind, current
from tidegate.correlation.identifiers import new_span_id, new_trace_id


class Tracer(Protocol):
    """Shows spans to somebody else, with our ids."""

    def follow(
        self, name: str, ids: Mapping[str, str], parent_span_id: str | None
    ) -> AbstractContextManager[object]: ...


_tracers: list[Tracer] = []


@contextmanager
def span(name: str, **fields: str | None) -> Generator[Mapping[str, str]]:
    """Within the block a span of its own is bound; it belongs to the trace that is bound, or begins one."""
    with bind(**fields):
        before = current()
        trace_id = before.get("trace_id") or new_trace_id()
        with (
            bind(trace_id=trace_id, span_id=new_span_id()) as ids,
            _followed(name, ids, before.get("span_id")),
        ):
            yield ids


def _followed(
    name: str, ids: Mapping[str, str], parent_span_id: str | None
) -> AbstractContextManager[object]:
    return _tracers[-1].follow(name, ids, parent_span_id) if _tracers else nullcontext()


def trace_with(tracer: Tracer) -> None:
    """From now on every span of this process is shown to this tracer."""
    _tracers.append(tracer)


def end_tracing() -> None:
    _tracers.clear()
