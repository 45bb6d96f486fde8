"""What a truth server really wrote and when, request by request."""

from array import array
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class RequestTruth:
    """One request as the server saw it, in integer nanoseconds of the host's monotonic clock.

    A stamp is taken right before the bytes are handed to the socket: nobody can have read them earlier.
    """

    number: int
    id: str
    """The request's `x-request-id`, by which a client finds its own request; empty without one."""
    shape: str
    path: str
    received_ns: int
    """When the last byte of the request was read."""
    seed: int | None = None
    is_stream: bool = False
    started_ns: int | None = None
    """When its turn came; equal to `received_ns` without a queue."""
    headers_ns: int | None = None
    content_ns: "array[int]" = field(default_factory=lambda: array("q"))
    """One stamp for each chunk with text, reasoning or a tool call; for a plain answer one for its body."""
    answer_ns: int | None = None
    """The first of them that is not reasoning."""
    finish_ns: int | None = None
    done_ns: int | None = None
    ended_ns: int | None = None
    status: int | None = None
    tokens: int = 0
    fault: str = ""
    left_early: bool = False
    """The client closed the connection before the answer had ended."""
    late_ns: int = 0
    """The most that a write came after its time: above some milliseconds the server itself was starved."""

    @property
    def was_whole(self) -> bool:
        return self.ended_ns is not None and not self.fault and not self.left_early

    @property
    def ttft_ns(self) -> int | None:
        """From reading the request to writing the first content."""
        return self.content_ns[0] - self.received_ns if self.content_ns else None

    @property
    def itl_ms(self) -> float | None:
        """Milliseconds for each token after the first chunk; chunks hold equally many tokens but for the last."""
        if len(self.content_ns) < 2:
            return None
        per_chunk = -(-self.tokens // len(self.content_ns))
        later = self.tokens - per_chunk
        return (self.content_ns[-1] - self.content_ns[0]) / 1e6 / later if later > 0 else None

    @property
    def largest_gap_ms(self) -> float | None:
        pairs = zip(self.content_ns, self.content_ns[1:], strict=False)
        return max((after - before for before, after in pairs), default=0) / 1e6 or None

    def as_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "content_ns": list(self.content_ns)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        values: dict[str, Any] = dict(stored)
        values["content_ns"] = array("q", stored["content_ns"])
        return cls(**values)
