"""The ids that are bound to what this thread or task does now. Standard library only: every room may use it.

A value of `None` or an empty text says nothing and is left out.
"""

import contextvars
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from tidegate.correlation.identifiers import (
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    TraceParent,
    is_request_id,
    new_span_id,
    trace_of_release,
)

FIELDS = frozenset({
    "org", "service", "release_id", "set", "slot", "platform", "flow_run_id", "task_run_id", "request_id", "trace_id",
    "span_id",
})  # fmt: skip
"""What may be bound. A closed set, so that a misspelt name is an error and not a key that nobody finds."""

P = ParamSpec("P")
R = TypeVar("R")
Source = Callable[[], Mapping[str, str]]
_bound: contextvars.ContextVar[Mapping[str, str] | None] = contextvars.ContextVar(
    "tidegate_correlation", default=None
)
_sources: list[Source] = []


@contextmanager
def bind(**fields: str | None) -> Generator[Mapping[str, str]]:
    """Within the block, everything that is logged or sent carries these. The innermost value wins.

    Raises: ValueError for a name that is none of `FIELDS`.
    """
    unknown = fields.keys() - FIELDS
    if unknown:
        raise ValueError(f"not a correlation field: {', '.join(sorted(unknown))}")
    told = {name: str(value) for name, value in fields.items() if value}
    if "release_id" in told and "trace_id" not in told:
        told["trace_id"] = trace_of_release(told["release_id"])
    merged = {**(_bound.get() or {}), **told}
    token = _bound.set(merged)
    try:
        yield merged
    finally:
        _bound.reset(token)


def current() -> dict[str, str]:
    """What is bound now. What a source knows (which run this is) is overruled by what was bound by hand."""
    found: dict[str, str] = {}
    for source in _sources:
        found.update(source())
    return {**found, **(_bound.get() or {})}


def add_source(source: Source) -> None:
    """Ask this, too, whenever somebody wants to know: for a scheduler that knows its own runs. Twice is once."""
    if source not in _sources:
        _sources.append(source)


def carried(work: Callable[P, R]) -> Callable[P, R]:
    """The work with what is bound now, for a thread that begins with nothing."""
    context = contextvars.copy_context()

    def carry(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.run(work, *args, **kwargs)

    return carry


def headers() -> dict[str, str]:
    """What a call to somebody else carries, so that its log can be joined with ours. Empty when nothing is bound."""
    bound = current()
    found: dict[str, str] = {}
    request_id = bound.get("request_id", "")
    if is_request_id(request_id):
        found[REQUEST_ID_HEADER] = request_id
    if "trace_id" in bound:
        found[TRACE_HEADER] = str(TraceParent(bound["trace_id"], bound.get("span_id") or new_span_id()))
    return found
