"""Lines of a live log as facts about requests. Pure; never trusts a line.

What a stream is: complete when it said [DONE] or a finish reason; left when its client went before that; truncated
when it is neither. `measure.lua` writes the part `answer`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from tidegate.domain.live import ALL, PLAIN, SHADOW, STREAM, CodeClass, size_slice
from tidegate.gateway.config import PROBE_CLIENT
from tidegate.gateway.metrics import is_failure

_SET = re.compile(r"[a-z0-9][a-z0-9-]{0,119}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PAIR = "_else_"
_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
_SAME_AS = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
    "refusal": "content_filter",
}  # fmt: skip
"""Stop reasons of the messages interface in the words of chat completions."""
_GENERATION = ("/chat/completions", "/completions", "/messages", "/responses")
_MOST_TOKENS = 10_000_000
_LATE = frozenset({"UT", "SI", "UMSDR"})
"""Flags of a request whose time was over."""
_LATE_STATUSES = (408, 504)

Kind = Literal["request", "attempt", "copy"]


@dataclass(frozen=True)
class Answer:
    """What the filter saw of an answer. Times in microseconds since its headers; -1: no content came."""

    kind: str
    first: int
    last: int
    longest_gap: int
    pieces: int
    is_done: bool
    is_malformed: bool
    says_error: bool
    finish: str | None
    tokens: int | None
    prompt: int | None = None


@dataclass(frozen=True)
class Fact:
    """One request, copy or attempt at one set, judged. Times in milliseconds; None: not known, or no meaning."""

    kind: Kind
    ended: float
    """Unix seconds."""
    org: str
    service: str
    set_name: str
    is_probe: bool
    slices: tuple[str, ...]
    is_counted_by_envoy: bool = False
    """Whether Envoy's own counters have it under this set; what they have and we do not is lost."""
    failed: bool = False
    attempt_failed: bool = False
    truncated: bool = False
    left: bool = False
    empty: bool = False
    malformed: bool = False
    stalled: bool = False
    unmeasured: bool = False
    stop: str | None = None
    ttft_ms: float | None = None
    itl_ms: float | None = None
    gap_ms: float | None = None
    tokens: int | None = None
    code: CodeClass = "2xx"
    total_ms: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0


def read(line: bytes, stall_ms: float) -> Fact | None:
    """The fact that a line tells; None when it tells none of a set: a refusal of the gateway itself, say.

    Raises: ValueError when it is no line of ours.
    """
    try:
        fields = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    row = cast(dict[str, Any], fields)
    kind = row.get("kind")
    if kind not in ("request", "attempt", "copy"):
        raise ValueError("of no known kind")
    place = _place(row)
    if place is None:
        return None
    return _attempt(row, place) if kind == "attempt" else _request(kind, row, place, stall_ms)


@dataclass(frozen=True)
class _Place:
    org: str
    service: str
    set_name: str
    ended: float
    status: int
    flags: str
    is_named: bool
    """Whether Envoy chose a member of the set; otherwise it had none to choose."""

    @property
    def labels(self) -> Mapping[str, str]:
        return {"status": str(self.status), "flags": self.flags}


def _place(row: Mapping[str, Any]) -> _Place | None:
    """When nobody in a set was healthy, the request counts for the set that it was meant for."""
    org, _, service = _text(row, "service").partition("/")
    flags, set_name = _text(row, "flags"), _text(row, "set")
    is_named = bool(set_name)
    if not is_named and "UH" in flags.split(","):
        set_name = _text(row, "cluster").split(_PAIR)[0]
    if not (_NAME.fullmatch(org) and _NAME.fullmatch(service) and _SET.fullmatch(set_name)):
        return None
    ended = float(_text(row, "at")) + (_whole(row, "ms") or 0) / 1000
    if not 0 < ended < 1e11:
        raise ValueError("at no time")
    return _Place(org, service, set_name, ended, _whole(row, "status") or 0, flags, is_named)


def _attempt(row: Mapping[str, Any], place: _Place) -> Fact:
    return Fact(
        kind="attempt",
        ended=place.ended,
        org=place.org,
        service=place.service,
        set_name=place.set_name,
        is_probe=row.get("client") == PROBE_CLIENT,
        slices=(ALL, *_sizes(row, None)),
        attempt_failed=is_failure(place.labels),
    )


def _request(kind: Kind, row: Mapping[str, Any], place: _Place, stall_ms: float) -> Fact:
    answer = _answer(row.get("answer"))
    wants_stream = row.get("wanted") == "stream"
    is_stream = wants_stream or (answer is not None and answer.kind == "stream")
    is_good = 200 <= place.status < 300
    is_complete = answer is not None and (answer.is_done or answer.finish is not None)
    flags = place.flags.split(",")
    left = "DC" in flags and not is_failure(place.labels) and not is_complete
    truncated = (
        is_good
        and not left
        and not is_complete
        and answer is not None
        and (answer.kind == "stream" or (wants_stream and answer.kind == "opaque"))
    )
    says_error = answer is not None and answer.says_error and is_good
    fails = is_failure(place.labels) or truncated or says_error
    judged = answer is not None and is_good and is_complete and not fails
    is_generation = _text(row, "path").endswith(_GENERATION)
    fact = Fact(
        kind=kind,
        ended=place.ended,
        org=place.org,
        service=place.service,
        set_name=place.set_name,
        is_probe=row.get("client") == PROBE_CLIENT,
        slices=(SHADOW,)
        if kind == "copy"
        else (ALL, STREAM if is_stream else PLAIN, *_sizes(row, _whole(row, "bytes"))),
        is_counted_by_envoy=kind == "request" and place.is_named,
        failed=fails and not left,
        attempt_failed=is_failure(place.labels),
        truncated=truncated,
        left=left,
        unmeasured=answer is None and is_good and not left,
        code=_code(place, flags, failed=fails and not left, left=left),
        total_ms=_whole(row, "ms"),
        tokens_in=(answer.prompt or 0) if answer else 0,
        tokens_out=(answer.tokens or 0) if answer else 0,
    )
    if left and wants_stream and (answer is None or answer.first < 0):
        # Who leaves before the first word has waited in silence: a set that hangs is not told by failures alone.
        waited = _waited(row)
        return replace(fact, gap_ms=waited, stalled=waited > stall_ms)
    if answer is None or not is_good:
        return fact
    return _with_figures(fact, row, answer, stall_ms, is_judged=judged, is_generation=is_generation)


def _code(place: _Place, flags: Sequence[str], *, failed: bool, left: bool) -> CodeClass:
    """How it ended for the client. A refusal of the gateway's own credential is a failure like any other."""
    if left:
        return "cancelled"
    if _LATE.intersection(flags) or place.status in _LATE_STATUSES:
        return "timeout"
    if failed or not 200 <= place.status < 500:
        return "5xx"
    if place.status == 429:
        return "429"
    return "2xx" if place.status < 300 else "3xx" if place.status < 400 else "4xx"


def _with_figures(
    fact: Fact,
    row: Mapping[str, Any],
    answer: Answer,
    stall_ms: float,
    *,
    is_judged: bool,
    is_generation: bool,
) -> Fact:
    began = _whole(row, "began")
    gap = answer.longest_gap / 1000 if answer.kind == "stream" and answer.pieces else None
    is_open = answer.kind == "stream" and not answer.is_done and answer.finish is None
    if is_open and answer.pieces and began is not None:
        # It ended in a silence: how long that was is known from the whole time.
        gap = max(gap or 0.0, (_whole(row, "ms") or 0) - (began + answer.last) / 1000)
    is_empty = is_judged and is_generation and answer.kind in ("stream", "plain") and answer.pieces == 0
    tokens = (
        answer.tokens if answer.tokens is not None else (answer.pieces if answer.kind == "stream" else None)
    )
    return replace(
        fact,
        malformed=answer.is_malformed,
        empty=is_empty and not answer.is_malformed,
        stalled=gap is not None and gap > stall_ms,
        stop=answer.finish if is_judged else None,
        ttft_ms=_ttft(row, answer, began) if is_judged or answer.kind == "stream" else None,
        gap_ms=gap,
        itl_ms=_pace(answer) if answer.kind == "stream" else None,
        tokens=tokens if is_judged and is_generation else None,
    )


def _waited(row: Mapping[str, Any]) -> float:
    """From the request's last byte to its end. Of one that was never read to its end nobody waited for the set."""
    asked = _whole(row, "asked")
    return 0.0 if asked is None else max(0.0, (_whole(row, "ms") or 0) - asked / 1000)


def _ttft(row: Mapping[str, Any], answer: Answer, began: int | None) -> float | None:
    """From the request's last byte; after a retry from the attempt that answered, whose fault the former was not.

    An engine may answer before it read the whole request.
    """
    if answer.first < 0 or began is None:
        return None
    is_retried = (_whole(row, "attempts") or 1) > 1
    asked = _whole(row, "tried") if is_retried else _whole(row, "asked")
    return max(0, began + answer.first - min(asked or 0, began)) / 1000


def _pace(answer: Answer) -> float | None:
    """Mean time between tokens; several may come in one piece."""
    steps = max(answer.pieces, answer.tokens or 0) - 1
    return (answer.last - answer.first) / 1000 / steps if answer.pieces > 1 and answer.first >= 0 else None


def _answer(packed: object) -> Answer | None:
    """Raises: ValueError."""
    if packed is None:
        return None
    kind, first, last, longest, pieces, done, bad, failed, finish, tokens, prompt = str(packed).split(" ")
    return Answer(
        kind=kind,
        first=int(first),
        last=max(0, int(last)),
        longest_gap=max(0, int(longest)),
        pieces=max(0, int(pieces)),
        is_done=done == "1",
        is_malformed=bad != "0",
        says_error=failed == "1",
        finish=_finish(finish),
        tokens=min(int(tokens), _MOST_TOKENS) if tokens != "-" else None,
        prompt=min(int(prompt), _MOST_TOKENS) if prompt != "-" else None,
    )


def _finish(told: str) -> str | None:
    reason = _SAME_AS.get(told, told)
    return None if told == "-" else (reason if reason in _FINISHES else "other")


def _sizes(row: Mapping[str, Any], received: int | None) -> tuple[str, ...]:
    """A body without a declared length has its size when it was received; an attempt alone does not know it."""
    length = _text(row, "length")
    if length.isdecimal() and len(length) < 16:
        return (size_slice(int(length)),)
    return () if received is None else (size_slice(received),)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _whole(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) and 0 <= value < 2**53 else None
