"""One request and its answer as the socket saw them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Exchange:
    """Bytes with the time of their reading, in integer nanoseconds of the monotonic clock; no JSON is read here."""

    planned_ns: int | None = None
    """When the schedule wanted it sent (open loop); None where requests follow each other (closed loop)."""
    sent_ns: int = 0
    """When the first byte of the request was handed to the socket; the connection was open by then."""
    connected_ns: int | None = None
    """When the connection was there: just opened, or taken from those kept alive."""
    headers_ns: int | None = None
    """When the last byte of the answer's headers was read."""
    ended_ns: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names are lower case."""
    pieces: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    """The body as it was read, each piece with the time at which the socket was read."""
    error: str = ""
    """Why the answer is not whole: refused, reset, timeout, broken HTTP. Empty when it ended in order."""

    @property
    def total_ms(self) -> float:
        return (self.ended_ns - self.sent_ns) / 1e6

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)
