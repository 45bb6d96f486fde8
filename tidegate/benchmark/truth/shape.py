"""What a truth server is told to do: when it writes, what it writes, and what goes wrong. Plain values."""

import math
import random
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tidegate.domain import InvalidInput

MS = 1_000_000


class Law(StrEnum):
    FIXED = "fixed"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"


class Draw(BaseModel):
    """A time in milliseconds: `fixed:MS`, `uniform:LOW:HIGH` or `lognormal:MEDIAN:SIGMA`; a number is fixed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    law: Law = Law.FIXED
    first: float = Field(ge=0)
    second: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.law is Law.UNIFORM and self.second < self.first:
            raise ValueError("uniform:LOW:HIGH needs LOW <= HIGH")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        law, *numbers = text.split(":") if ":" in text else ("fixed", text)
        try:
            first, second = ([float(number) for number in numbers] + [0.0])[:2]
            return cls(law=Law(law), first=first, second=second)
        except ValueError as error:
            raise InvalidInput(
                f"{text!r} is no time.",
                remedy="Write 50, fixed:50, uniform:20:80 (low:high) or lognormal:50:0.5 (median:sigma), in ms.",
                field="time",
            ) from error

    def ns(self, chance: random.Random) -> int:
        """One time in nanoseconds."""
        if self.law is Law.UNIFORM:
            return round(chance.uniform(self.first, self.second) * MS)
        if self.law is Law.LOGNORMAL:
            return round(self.first * math.exp(chance.gauss(0.0, self.second)) * MS)
        return round(self.first * MS)


def _as_draw(value: Any) -> Any:
    return Draw.parse(str(value)) if isinstance(value, str | int | float) else value


Time = Annotated[Draw, BeforeValidator(_as_draw)]


class FaultKind(StrEnum):
    STATUS = "status"
    """An error status instead of an answer."""
    ERROR_EVENT = "error_event"
    """`data: {"error": ...}` in the middle of a stream that began with 200."""
    NAMED_ERROR_EVENT = "named_error_event"
    """The same as `event: error`, whose data have no `error` member."""
    BROKEN_JSON = "broken_json"
    CUT = "cut"
    """The connection is closed in the middle of the body."""
    RESET = "reset"
    """The same with a TCP reset."""
    QUIET_END = "quiet_end"
    """The body ends in order, but without finish reason and [DONE]."""
    NO_DONE = "no_done"
    """A finish reason, but no [DONE]."""
    HANG = "hang"
    """Nothing is written after `after` chunks; with 0 not even headers."""


class Fault(BaseModel):
    """Something that goes wrong in this share of the requests, after so many content chunks."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: FaultKind
    share: float = Field(default=1.0, ge=0, le=1)
    after: int = Field(default=0, ge=0)
    status: int = Field(default=503, ge=400, le=599)


class Shape(BaseModel):
    """How a truth server answers. All chance comes from `seed` and the number of the request."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    ttft: Time = Draw(first=50.0)
    """From the reading of the request (and its turn, with `slots`) to the first content chunk."""
    gap: Time = Draw(first=10.0)
    """Between two tokens; a chunk of four waits for four gaps."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens of each answer; as many as the request's `max_tokens` (64 without it) if not given."""
    tokens_per_chunk: int = Field(default=1, ge=1)
    stall_ms: float = Field(default=0.0, ge=0)
    """One longer gap in each stream, before its middle chunk."""
    pause_every_s: float | None = Field(default=None, gt=0)
    """So often the whole server stops for `pause_ms`, and all streams with it."""
    pause_ms: float = Field(default=0.0, ge=0)
    slots: int | None = Field(default=None, ge=1)
    """Requests that are answered at once; the others wait in order. None: no limit."""
    faults: tuple[Fault, ...] = ()
    role_chunk: bool = True
    """An early chunk with the role only, written with the headers: it is not a token."""
    reasoning_tokens: int = Field(default=0, ge=0)
    """The first tokens are reasoning and not answer."""
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    tool_call: bool = False
    """The answer is the arguments of a tool call."""
    usage: Literal["event", "finish", "timings", "none"] = "event"
    """Where the token count stands: in an event of its own (if asked for), in the finish event, only in
    llama-server's timings, nowhere."""
    timings: bool = False
    """llama-server's `timings` beside `usage`."""
    cached_tokens: int = Field(default=0, ge=0)
    line_end: Literal["\n", "\r\n", "\r"] = "\n"
    write_bytes: int | None = Field(default=None, ge=1)
    """Events are written in parts of this size, which cut characters and line ends."""
    comments: bool = False
    """Comments and `retry:` lines between the events."""
    body: Literal["chunked", "until_close"] = "chunked"
    connection: Literal["keep", "close", "close_unsaid"] = "keep"
    """`close_unsaid` promises to keep the connection and closes it after each answer, as llama-server does."""
    seed: int = 0

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.pause_every_s is not None and self.pause_ms >= self.pause_every_s * 1000:
            raise ValueError("pause_ms must be shorter than pause_every_s, or the server never runs")
        if math.fsum(fault.share for fault in self.faults) > 1 + 1e-9:
            raise ValueError("the shares of all faults together must not exceed 1")
        return self

    def chance(self, number: int) -> random.Random:
        """The chance of request `number`: the same whatever other requests did."""
        return random.Random(f"{self.seed}/{number}")

    def fault(self, chance: random.Random) -> Fault | None:
        """What goes wrong with a request, one draw over all shares."""
        left = chance.random()
        for fault in self.faults:
            if left < fault.share:
                return fault
            left -= fault.share
        return None

    def later(self, at_ns: int, work_ns: int) -> int:
        """When work of this length that begins at `at_ns` (since the server's start) is done, pauses included.

        The server stands still in [k S, k S + pause) for k = 1, 2, ...; work waits and goes on afterwards.
        """
        if self.pause_every_s is None or self.pause_ms <= 0:
            return at_ns + work_ns
        every_ns, pause_ns = round(self.pause_every_s * 1e9), round(self.pause_ms * MS)
        while True:
            turn, inside = divmod(at_ns, every_ns)
            if turn >= 1 and inside < pause_ns:
                at_ns = turn * every_ns + pause_ns
                continue
            left_ns = (turn + 1) * every_ns - at_ns
            if work_ns < left_ns:
                return at_ns + work_ns
            work_ns -= left_ns
            at_ns = (turn + 1) * every_ns
