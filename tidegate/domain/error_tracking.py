"""Errors as values that can be counted: what makes two of them the same, and what is remembered. Pure."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain.errors import TidegateError
from tidegate.domain.names import ServiceRef

UNFORESEEN = "TG-0000"
"""The code of a defect: an exception that is none of the domain's."""
DEFECT_REMEDY = "This is a defect of Tidegate: report it with the traceback of its log."
MAX_MESSAGE_CHARS = 500
FINGERPRINT_CHARS = 16
OURS = ("tidegate.", "tasks.", "flows.", "deployments.")
# What differs between two occurrences of one error, each kind with the mark that stands for it; in this order.
VARYING = (
    (re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\",;)]+"), "<url>"),
    (re.compile(r"(?<![\w.])(?:~|\.{0,2})/[^\s'\",;:)]+"), "<path>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<mail>"),
    # `models/a.gguf`, `acme/chat`, `pipit:v3`
    (re.compile(r"(?<![\w.:/<])[\w.-]+(?:/[\w.-]+)+"), "<path>"),
    (re.compile(r"(?<![\w.:/<])[A-Za-z][\w.-]*:v\d[\w.-]*"), "<version>"),
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\""), "<text>"),
    (re.compile(r"\br-[0-9a-hjkmnp-tv-z]{6,16}\b"), "<release>"),
    (
        re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE),
        "<id>",
    ),
    (re.compile(r"\b(?=[0-9a-z-]*\d)(?=[0-9a-z-]*[a-z])[0-9a-z-]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d+(?:[.:]\d+)*"), "<n>"),
)


class NoteError(Protocol):
    """How a room tells of an error that ended something. It never raises, and the error goes its way unchanged."""

    def __call__(
        self,
        error: BaseException,
        place: str,
        *,
        ref: ServiceRef | None = None,
        org: str | None = None,
        release_id: str | None = None,
    ) -> None: ...

    def flush(self) -> None:
        """Write what was only counted so far."""
        ...


class _Forget:
    def __call__(self, error: BaseException, place: str, **_: Any) -> None:
        pass

    def flush(self) -> None:
        pass


FORGET: NoteError = _Forget()
"""Where nobody keeps errors: in tests, and in rooms that are used alone."""


@dataclass(frozen=True)
class SeenError:
    """One occurrence, without secrets."""

    code: str
    kind: str
    """The class."""
    place: str
    """What it ended, as `command release` or `gateway routes`."""
    raised_in: str
    """The innermost function of ours that it came through."""
    message: str
    remedy: str
    org: str = ""
    service: str = ""
    release_id: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for every occurrence of one error: names, numbers, paths and ids in its message do not count."""
        said = "\n".join((self.code, self.place, self.raised_in, normalized(self.message)))
        return hashlib.sha256(said.encode(errors="replace")).hexdigest()[:FINGERPRINT_CHARS]


class TrackedError(BaseModel):
    """One error as it is remembered, of one service."""

    model_config = ConfigDict(frozen=True)

    fingerprint: str
    code: str
    kind: str
    place: str
    raised_in: str
    message: str = Field(description="Of the newest occurrence.")
    remedy: str
    org: str = Field(description="Empty when it was of no organization.")
    service: str
    release_id: str = Field(description="Of the newest occurrence that belonged to one.")
    count: int
    first_seen: datetime
    last_seen: datetime
    resolved_at: datetime | None = Field(
        description="When a person called it settled; the next occurrence opens it."
    )
    resolved_by: str


class ErrorTotal(BaseModel):
    """How often a code came, ever, at an organization: it never falls, so that it can be a counter."""

    model_config = ConfigDict(frozen=True)

    code: str
    org: str
    count: int


def normalized(message: str) -> str:
    """The message without what differs from one occurrence to the next."""
    for pattern, mark in VARYING:
        message = pattern.sub(mark, message)
    return " ".join(message.split())


def see(
    error: BaseException,
    place: str,
    conceal: Callable[[str], str],
    *,
    org: str = "",
    service: str = "",
    release_id: str = "",
) -> SeenError:
    """What may be remembered of an exception. Its own context says which release it is about, when the caller does not."""
    is_foreseen = isinstance(error, TidegateError)
    said = error.message if isinstance(error, TidegateError) else f"{type(error).__name__}: {error}"
    told: dict[str, Any] = error.context if isinstance(error, TidegateError) else {}
    owner, own = _service_of(told)
    return SeenError(
        code=error.code if isinstance(error, TidegateError) else UNFORESEEN,
        kind=type(error).__name__,
        place=place,
        raised_in=innermost(error.__traceback__),
        message=_short(conceal(said)),
        remedy=_short(conceal(error.remedy)) if is_foreseen else DEFECT_REMEDY,
        org=org or owner,
        service=service or (own if not org or org == owner else ""),
        release_id=release_id or str(told.get("release_id") or ""),
    )


def _service_of(told: Mapping[str, Any]) -> tuple[str, str]:
    """Organization and service, when the context of an error names them, as `org` or as a service `org/name`."""
    org, slash, service = str(told.get("service") or "").partition("/")
    return (org, service) if slash else (str(told.get("org") or ""), "")


def innermost(trace: TracebackType | None) -> str:
    """The last function of ours on the way to where it was raised, without a line number: edits elsewhere in the file
    make no new error of it."""
    found = ""
    while trace is not None:
        frame = trace.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(OURS):
            found = f"{module}.{frame.f_code.co_qualname}"
        trace = trace.tb_next
    return found


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_MESSAGE_CHARS else flat[: MAX_MESSAGE_CHARS - 1] + "…"
