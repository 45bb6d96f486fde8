"""Ids that travel: which request ids are taken from others, and the trace of W3C's `traceparent`.

The trace of a release follows from its id. So every process that works on it, whenever it was started and by whom,
writes the same one, and nothing has to be handed on.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

REQUEST_ID_HEADER = "x-request-id"
TRACE_HEADER = "traceparent"
REQUEST_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}"
"""What a client may choose. `tidegate/gateway/request_ids.lua` holds the same rule; a test compares them."""
_REQUEST_ID = re.compile(REQUEST_ID_PATTERN)
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_TRACE_CHARS, _SPAN_CHARS = 32, 16


@dataclass(frozen=True)
class TraceParent:
    """The trace that something belongs to, and the span that caused it."""

    trace_id: str
    span_id: str
    flags: str = "00"

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def is_request_id(text: str) -> bool:
    """Whether an id that somebody else chose may stand in our logs and headers."""
    return _REQUEST_ID.fullmatch(text) is not None


def new_request_id() -> str:
    return secrets.token_hex(16)


def new_trace_id() -> str:
    return secrets.token_hex(_TRACE_CHARS // 2)


def new_span_id() -> str:
    return secrets.token_hex(_SPAN_CHARS // 2)


def trace_of_release(release_id: str) -> str:
    """The same trace in every process that works on a release."""
    return hashlib.sha256(f"tidegate release {release_id}".encode()).hexdigest()[:_TRACE_CHARS]


def parse_traceparent(text: str) -> TraceParent | None:
    """None for what is none, or is of all zeros, which the standard calls invalid."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return TraceParent(found[1], found[2], found[3])
