"""What a run of load is: every request with its stamps, and under which plan, client and machine it was taken.

All times are whole nanoseconds of one monotonic clock, counted from the start of the run, so that a stored run
is compact and means the same everywhere. A record that contradicts itself is refused, wherever it came from:
every figure, chart and verdict is computed from it later. `to_bytes` and `from_bytes` are its stored form.
"""

import json
import zlib
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tidegate.domain import InvalidInput

SCHEMA_VERSION = 1
MAX_STORED_BYTES = 256 * 1024**2
"""Of a stored run once unpacked; a run of 10 000 requests with 64 chunks each has about 10 MB."""
GZIP = 16 + zlib.MAX_WBITS
"""Tells zlib to write and read the gzip format (without a file time: equal runs are equal bytes)."""

Nanoseconds = Annotated[int, Field(ge=0, lt=2**62)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Span = tuple[Nanoseconds, Nanoseconds]


class Phase(StrEnum):
    """What a request was sent for, decided by when it was to be sent, never by when it ended."""

    WARMUP = "warmup"
    MEASURED = "measured"
    COOLDOWN = "cooldown"


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    """Refused, reset, timed out, or an error status or error event."""
    TRUNCATED = "truncated"
    """Ended in order but without a finish reason."""
    NOT_SENT = "not_sent"
    """Planned, but the run ended before its turn. A miss like any other."""


TokenSource = Literal["usage", "timings", "tokenize", "chunks"]
"""Who counted the tokens: the server in its `usage`, its `timings`, its `/tokenize`, or nobody (chunks counted)."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RequestRecord(_Record):
    """One planned request. What the answer did not say is None."""

    index: Count = Field(description="Number of the request in the schedule.")
    block: Count = Field(default=0, description="Block of the run; blocks of two arms alternate.")
    phase: Phase = Field(default=Phase.MEASURED)
    is_streamed: bool = Field(default=True, description="False: the answer came in one piece.")
    planned_ns: Nanoseconds | None = Field(
        default=None, description="When the schedule wanted it sent; open loop only."
    )
    connected_ns: Nanoseconds | None = Field(default=None, description="When its connection stood.")
    sent_ns: Nanoseconds | None = Field(default=None, description="First byte handed to an open connection.")
    headers_ns: Nanoseconds | None = Field(default=None, description="When the answer's headers were read.")
    chunk_ns: tuple[Nanoseconds, ...] = Field(default=(), description="Reading of each chunk with content.")
    chunk_tokens: tuple[Count, ...] | None = Field(
        default=None, description="Tokens in each of these chunks, where the server says so."
    )
    answer_ns: Nanoseconds | None = Field(default=None, description="First chunk that was not reasoning.")
    finish_ns: Nanoseconds | None = Field(default=None, description="Chunk with the finish reason.")
    end_ns: Nanoseconds | None = Field(default=None, description="When the answer was over, in whatever way.")
    outcome: Outcome
    error: str = Field(default="", description="Why it is not ok, and `not_sent` why it was not sent.")
    finish_reason: str | None = Field(default=None)
    status: int | None = Field(default=None, description="HTTP status.")
    tokens: Count | None = Field(default=None, description="Completion tokens.")
    token_source: TokenSource | None = Field(default=None)
    reasoning_tokens: Count | None = Field(
        default=None, description="How many of them were reasoning, where the server says so."
    )
    prompt_tokens: Count | None = Field(default=None)
    cached_tokens: Count | None = Field(
        default=None, description="Prompt tokens that came from the server's cache."
    )
    server_prompt_ms: float | None = Field(
        default=None, ge=0, description="Prompt processing as the server timed it."
    )
    server_predicted_ms: float | None = Field(
        default=None, ge=0, description="Decoding as the server timed it."
    )
    queue_ms: float | None = Field(
        default=None, ge=0, description="Waiting in the queue of a platform, as it timed it."
    )
    execution_ms: float | None = Field(
        default=None, ge=0, description="Running of the job, as the platform timed it."
    )
    tags: tuple[str, ...] = Field(default=(), description="Slices that the prompt belongs to.")
    set_name: str | None = Field(default=None)
    release: str | None = Field(default=None)
    model: str | None = Field(default=None, description="As the answer names it.")

    @property
    def start_ns(self) -> int | None:
        """When it was to begin: planned where there is a plan, else sent. None: neither."""
        return self.planned_ns if self.planned_ns is not None else self.sent_ns

    @property
    def is_ok(self) -> bool:
        return self.outcome is Outcome.OK

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.sent_ns is None:
            self._check_unsent()
        else:
            self._check_order(self.sent_ns)
        self._check_tokens()
        return self

    def _check_unsent(self) -> None:
        _refuse(
            self.outcome is not Outcome.NOT_SENT,
            "sent_ns",
            f"a request with outcome {self.outcome.value} was sent",
        )
        for name in ("connected_ns", "headers_ns", "answer_ns", "finish_ns", "end_ns", "status", "tokens"):
            _refuse(getattr(self, name) is not None, name, "a request that was never sent has none")
        _refuse(bool(self.chunk_ns), "chunk_ns", "a request that was never sent has none")

    def _check_order(self, sent_ns: int) -> None:
        _refuse(self.outcome is Outcome.NOT_SENT, "outcome", "a request with a time of sending was sent")
        _refuse(self.is_ok and self.end_ns is None, "end_ns", "a request that succeeded has ended")
        _refuse(self.is_ok and bool(self.error), "error", "a request that succeeded has none")
        for name in ("headers_ns", "finish_ns", "end_ns"):
            stamp = getattr(self, name)
            _refuse(
                stamp is not None and stamp < sent_ns, name, f"{stamp} is before the sending at {sent_ns}"
            )
        chunks, end = self.chunk_ns, self.end_ns
        if chunks:
            _refuse(chunks[0] < sent_ns, "chunk_ns", f"{chunks[0]} is before the sending at {sent_ns}")
            _refuse(any(b < a for a, b in pairwise(chunks)), "chunk_ns", "the stamps must not fall")
            _refuse(
                end is not None and end < chunks[-1],
                "end_ns",
                f"{end} is before the last chunk at {chunks[-1]}",
            )
        _refuse(
            end is not None and self.finish_ns is not None and end < self.finish_ns,
            "end_ns", f"{end} is before the finish at {self.finish_ns}",
        )  # fmt: skip
        _refuse(
            self.answer_ns is not None and self.answer_ns not in chunks,
            "answer_ns",
            "it must be one of chunk_ns",
        )

    def _check_tokens(self) -> None:
        _refuse(
            (self.tokens is None) != (self.token_source is None),
            "token_source",
            "tokens and their source go together",
        )
        if self.chunk_tokens is not None:
            _refuse(
                len(self.chunk_tokens) != len(self.chunk_ns), "chunk_tokens",
                f"{len(self.chunk_tokens)} counts for {len(self.chunk_ns)} chunks",
            )  # fmt: skip
        cached, prompt = self.cached_tokens, self.prompt_tokens
        _refuse(
            cached is not None and prompt is not None and cached > prompt, "cached_tokens",
            f"{cached} of only {prompt} prompt tokens",
        )  # fmt: skip


class ClientHonesty(_Record):
    """Whether this client measured the server or itself. Figures of a client-bound run decide nothing."""

    loop_lag_p99_ms: float | None = Field(default=None, ge=0, description="How late the event loop woke.")
    read_lag_p99_ms: float | None = Field(
        default=None, ge=0, description="How long bytes had waited in the kernel before they were read."
    )
    late_send_p99_ms: float | None = Field(default=None, ge=0, description="Sent minus planned.")
    late_send_max_ms: float | None = Field(default=None, ge=0)
    planned_rate: float | None = Field(
        default=None, ge=0, description="Requests per second that were planned."
    )
    achieved_rate: float | None = Field(default=None, ge=0, description="Requests per second that were sent.")
    cpu_share: float | None = Field(default=None, ge=0, description="Of one core, used by the load process.")
    verdict: Literal["honest", "client-bound"] = Field(default="honest")
    reasons: tuple[str, ...] = Field(default=())

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        _refuse(self.verdict == "client-bound" and not self.reasons, "reasons", "client-bound needs a reason")
        return self


class RunRecord(_Record):
    """One arm under one load: everything needed to judge it, and to run it again."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION)
    id: str = Field(min_length=1)
    label: str = Field(default="", description="What people call it: an arm, a version, an experiment.")
    target: str = Field(default="", description="URL that was asked, without user, password and query.")
    model: str = Field(default="")
    created_at: AwareDatetime
    mode: str = Field(
        default="closed", pattern=r"^[a-z][a-z0-9_-]*$",
        description="`closed` (a fixed number of requests at once) or the arrival process of an open loop.",
    )  # fmt: skip
    plan: dict[str, Any] = Field(
        default_factory=dict, description="Everything that repeats it; `seed`, and `digest` of the schedule."
    )
    window_ns: Span = Field(description="Start and end of what is measured.")
    block_windows_ns: tuple[Span, ...] = Field(
        default=(), description="The same for each block, where other arms ran between the blocks."
    )
    requests: tuple[RequestRecord, ...] = Field(default=())
    honesty: ClientHonesty | None = Field(default=None, description="None: the client did not watch itself.")
    machine: dict[str, Any] = Field(default_factory=dict)
    cache_prompt: bool | None = Field(
        default=None, description="Whether the server might reuse prompts; None: unknown."
    )
    notes: tuple[str, ...] = Field(default=())

    @property
    def is_open_loop(self) -> bool:
        return self.mode != "closed"

    @property
    def plan_digest(self) -> str:
        """Digest of the schedule; two runs with the same one were sent the same requests. Empty: unknown."""
        return str(self.plan.get("digest") or "")

    def measured(self) -> tuple[RequestRecord, ...]:
        """Every planned request of the window, sent or not."""
        return tuple(request for request in self.requests if request.phase is Phase.MEASURED)

    @field_validator("target")
    @classmethod
    def _target_without_secrets(cls, url: str) -> str:
        return clean_url(url)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        start, end = self.window_ns
        _refuse(end <= start, "window_ns", f"it ends at {end}, not after its start at {start}")
        for low, high in self.block_windows_ns:
            _refuse(
                not start <= low < high <= end,
                "block_windows_ns",
                f"{low} to {high} is no part of the window",
            )
        seen: set[tuple[Phase, int]] = set()
        for place, request in enumerate(self.requests):
            name = f"requests.{place}"
            key = (request.phase, request.index)
            _refuse(key in seen, f"{name}.index", f"{request.index} is there twice")
            seen.add(key)
            at = request.start_ns
            is_outside = request.phase is Phase.MEASURED and at is not None and not start <= at <= end
            _refuse(
                is_outside,
                f"{name}.phase",
                f"measured, but its start at {at} is outside the window {start} to {end}",
            )
            _refuse(
                bool(self.block_windows_ns) and request.block >= len(self.block_windows_ns),
                f"{name}.block", f"{request.block} has no window",
            )  # fmt: skip
        return self

    def to_bytes(self) -> bytes:
        """Compressed JSON in which a chunk is stamped with the time since the one before it."""
        body = self.model_dump(mode="json", exclude_defaults=True)
        body["schema_version"] = self.schema_version
        body["requests"] = [_packed(request) for request in body.get("requests", ())]
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        packer = zlib.compressobj(6, zlib.DEFLATED, GZIP)
        return packer.compress(text.encode()) + packer.flush()

    @classmethod
    def from_bytes(cls, data: bytes, most_bytes: int = MAX_STORED_BYTES) -> Self:
        """Read what `to_bytes` wrote, or the plain JSON of the model. Raises InvalidInput naming the field."""
        return cls.from_data(_json_of(data, most_bytes))

    @classmethod
    def from_data(cls, data: Any) -> Self:
        """The same from parsed JSON."""
        if not isinstance(data, dict):
            raise InvalidInput(
                "A run is a JSON object.",
                remedy="Name a file that 'tidegate bench' has written.",
                field="run",
            )
        body = dict(cast("dict[str, Any]", data))
        version = body.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise InvalidInput(
                f"The run has schema version {version!r}; this version reads {SCHEMA_VERSION}.",
                remedy="Read it with the version of tidegate that wrote it, or a newer one.",
                field="schema_version",
            )
        try:
            if isinstance(body.get("requests"), (list, tuple)):
                body["requests"] = [_unpacked(request) for request in cast("Sequence[Any]", body["requests"])]
            return cls.model_validate(body)
        except ValidationError as error:
            raise _as_input_error(error) from error


def clean_url(url: str) -> str:
    """Without user, password, query and fragment: any of them may hold a secret."""
    bare = url.split("#", 1)[0].split("?", 1)[0]
    scheme, separator, rest = bare.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _refuse(is_wrong: bool, field: str, what: str) -> None:
    """Pydantic knows the place of the model; the error names the field of it, too."""
    if is_wrong:
        raise PydanticCustomError("contradiction", "{what}", {"field": field, "what": what})


def _as_input_error(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False)[0]
    named = first.get("ctx", {}).get("field") if first["type"] == "contradiction" else None
    field = ".".join(str(part) for part in (*first["loc"], *([named] if named else ())))
    return InvalidInput(
        f"The run contradicts itself or is incomplete at {field}: {first['msg']}.",
        remedy="Use a run as tidegate stored it; one that was changed by hand cannot be trusted.",
        field=field,
    )


def _packed(request: dict[str, Any]) -> dict[str, Any]:
    """Chunk stamps as differences, the first one from the sending."""
    stamps = request.pop("chunk_ns", None)
    if stamps:
        request["chunk_gaps_ns"] = [b - a for a, b in pairwise((request["sent_ns"], *stamps))]
    return request


def _unpacked(request: Any) -> Any:
    """Leaves alone what is not the stored form: the model says what is wrong with it."""
    if not isinstance(request, dict) or "chunk_gaps_ns" not in request:
        return cast("Any", request)
    found = dict(cast("dict[str, Any]", request))
    gaps, sent = found.pop("chunk_gaps_ns"), found.get("sent_ns")
    if not isinstance(gaps, list) or not all(
        type(value) is int for value in (sent, *cast("list[Any]", gaps))
    ):
        found["chunk_gaps_ns"] = gaps
        return found
    found["chunk_ns"] = list(accumulate(cast("list[int]", gaps), initial=cast("int", sent)))[1:]
    return found


def _json_of(data: bytes, most_bytes: int) -> Any:
    try:
        if data[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(GZIP)
            data = unpacker.decompress(data, most_bytes + 1)
            if len(data) <= most_bytes and not unpacker.eof:
                raise InvalidInput(
                    "The stored run is cut short.", remedy="Take a whole copy of the file.", field="run"
                )
        if len(data) > most_bytes:
            raise InvalidInput(
                f"The run is larger than {most_bytes:,} bytes.",
                remedy="Name a file that 'tidegate bench' has written.",
                field="run",
            )
        return json.loads(data)
    except (zlib.error, ValueError, RecursionError) as error:
        raise InvalidInput(
            "This is no stored run: neither gzip JSON nor JSON.",
            remedy="Name a file that 'tidegate bench' has written.",
            field="run",
        ) from error
