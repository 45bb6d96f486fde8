"""RunPod's answers as errors of the domain, by status and by the fields of problem+json.

TidegateError
├── Transient
│   ├── CapacityShortage > NoCapacity   400 on a create that says there are no machines
│   ├── RateLimited                     429
│   ├── ServerTrouble                   5xx, and 524 of the edge
│   ├── Unreachable                     the request never reached RunPod
│   ├── LostReply                       it was sent, and what became of it is not known
│   ├── BadReply                        a success that cannot be read
│   └── NoWorker                        a load balancer has no worker to give the request to
└── Permanent
    ├── InvalidInput > BadRequest, Unprocessable    400, 422
    ├── NotFound > Missing                          404
    ├── Refused > Unauthorized, Forbidden, BalanceTooLow    401, 403, 402
    ├── Conflict                        409
    ├── Retired                         410: this generation of the API is switched off
    └── Unexpected                      any other status
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tidegate.domain import (
    CapacityShortage,
    InvalidInput,
    NotFound,
    Permanent,
    Refused,
    TidegateError,
    Transient,
)

MAX_DETAIL_CHARS = 300
MAX_LISTED_ERRORS = 5
# RunPod gives no other sign of missing stock than these words in the detail of a 400 (runpod/runpodctl#326).
# This is the only place that reads the text of an error.
NO_CAPACITY_WORDS = (
    "no longer any instances",
    "no instances available",
    "no instances currently available",
    # Of a pod that is started again: it is bound to its machine (runpod/runpod-python#168).
    "not enough free gpus",
)


class NoCapacity(CapacityShortage):
    """RunPod has no machine of the wanted kind at the moment."""

    code = "TG-1201"


class RateLimited(Transient):
    """Too many requests; `retry_after_s` when RunPod says how long to wait."""

    code = "TG-1202"

    def __init__(self, message: str, *, remedy: str = "", retry_after_s: float | None = None, **context: Any):
        super().__init__(message, remedy=remedy, **context)
        self.retry_after_s = retry_after_s


class ServerTrouble(Transient):
    """RunPod failed. A request that changes something may have taken effect."""

    code = "TG-1203"


class Unreachable(Transient):
    """RunPod was not reached: nothing happened there."""

    code = "TG-1204"


class LostReply(Transient):
    """The request was sent and no answer came: it may have taken effect."""

    code = "TG-1205"


class BadReply(Transient):
    """RunPod said yes in a form that cannot be read: the request may have taken effect."""

    code = "TG-1206"


class NoWorker(Transient):
    """A load-balancing endpoint has no worker that could answer."""

    code = "TG-1207"


class BadRequest(InvalidInput):
    """A rule of RunPod's business forbids the request."""

    code = "TG-2201"


class Unprocessable(InvalidInput):
    """The request breaks RunPod's schema: a fault of ours."""

    code = "TG-2202"


class Missing(NotFound):
    """There is no such thing, or it is not ours."""

    code = "TG-2203"


class Unauthorized(Refused):
    """The key is unknown."""

    code = "TG-2204"


class Forbidden(Refused):
    """The key lacks a permission."""

    code = "TG-2205"


class BalanceTooLow(Refused):
    """The account has no money for it."""

    code = "TG-2206"


class Conflict(Permanent):
    """The thing is in a state that does not allow the action."""

    code = "TG-2207"


class Retired(Permanent):
    """This generation of RunPod's API is switched off."""

    code = "TG-2208"


class Unexpected(Permanent):
    """An answer that RunPod does not document."""

    code = "TG-2209"


AMBIGUOUS = (LostReply, ServerTrouble, BadReply)
"""After these a request that changes something may have taken effect: look before asking again."""


@dataclass(frozen=True)
class Problem:
    """What an error reply says, from either plane, without trusting its shape."""

    status: int
    title: str = ""
    detail: str = ""
    errors: tuple[str, ...] = ()

    @property
    def says_no_capacity(self) -> bool:
        text = f"{self.title} {self.detail} {' '.join(self.errors)}".lower()
        return any(words in text for words in NO_CAPACITY_WORDS)

    def __str__(self) -> str:
        listed = "; ".join(self.errors[:MAX_LISTED_ERRORS])
        text = ": ".join(part for part in (self.detail or self.title, listed) if part)
        return _short(text) or "no reason given"


def read_problem(status: int, body: bytes) -> Problem:
    """Read problem+json, the looser objects of the job plane, or plain text."""
    text = body.decode("utf-8", errors="replace")
    try:
        data: object = json.loads(text)
    except ValueError:
        return Problem(status, detail=_short(text))
    if not isinstance(data, dict):
        return Problem(status, detail=_short(text))
    fields = cast("Mapping[str, object]", data)
    detail = next((fields[key] for key in ("detail", "error", "message") if fields.get(key)), "")
    listed = fields.get("errors")
    errors = cast("list[object]", listed) if isinstance(listed, list) else []
    return Problem(
        status,
        title=_short(_text(fields.get("title", ""))),
        detail=_short(_text(detail)),
        errors=tuple(_short(_text(error)) for error in errors),
    )


def error_of(
    problem: Problem, what: str, *, is_create: bool = False, retry_after_s: float | None = None
) -> TidegateError:
    """The domain's error for a reply that is no success. `what` says what was asked, as `create endpoint x`."""
    said = f"RunPod answered {problem.status} to '{what}': {problem}."
    if problem.status == 410:
        said = f"This generation of RunPod's API is switched off: {said}"
    context: dict[str, Any] = {"status": problem.status, "asked": what}
    if problem.status == 429:
        return RateLimited(
            said, remedy="Wait and ask again; ask less often.", retry_after_s=retry_after_s, **context
        )
    if problem.status >= 500:
        return ServerTrouble(said, remedy="Ask again later; see https://uptime.runpod.io.", **context)
    if problem.status == 400 and is_create and problem.says_no_capacity:
        return NoCapacity(said, remedy="Wait for stock, or allow more GPU types or data centres.", **context)
    kind, remedy = BY_STATUS.get(problem.status, (Unexpected, "Look for a newer version of Tidegate."))
    return kind(said, remedy=remedy, **context)


BY_STATUS: dict[int, tuple[type[TidegateError], str]] = {
    400: (BadRequest, "Correct what RunPod names."),
    401: (Unauthorized, "Check the secret that holds the organization's RunPod key, or make a new key."),
    402: (BalanceTooLow, "Add credit to the RunPod account, or raise its spend limit."),
    403: (Forbidden, "Give the RunPod key the permission that this needs, or use another key."),
    404: (Missing, "Look whether it was deleted at RunPod, or belongs to another account."),
    409: (Conflict, "Wait until its state allows the action."),
    410: (
        Retired,
        "Point TIDEGATE_RUNPOD_API_URL at the host of REST v2 (https://api.runpod.io), or update Tidegate.",
    ),
    422: (Unprocessable, "Report this: Tidegate sent what RunPod's schema does not allow."),
}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_DETAIL_CHARS else flat[: MAX_DETAIL_CHARS - 1] + "…"
