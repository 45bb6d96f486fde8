"""Asks two versions the same sampled requests, one right after the other, and keeps what can be compared.

Whichever is asked first has the warmer machine, so the order alternates. Answers are compared and thrown away: only
counts, times and lengths are left. Tools that a model wants to call are never called.
"""

import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tidegate.benchmark import Arm, Outcome
from tidegate.benchmark.measures import read_answer
from tidegate.benchmark.wire import Exchange, Wire, open_wire


@dataclass(frozen=True)
class ReplayLimits:
    """How much is asked, and how long."""

    concurrency: int = 2
    max_tokens: int = 128
    request_timeout_s: float = 60.0
    max_seconds: float = 300.0


@dataclass(frozen=True)
class Reply:
    """What one version made of a request. `fingerprint` is a hash of the text, for agreement only."""

    error: str = ""
    problem: str = ""
    """Why a complete answer is of no use: empty, or not the JSON that was asked for."""
    tokens: int | None = None
    elapsed_ms: float = 0.0
    finish: str | None = None
    fingerprint: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.error


@dataclass(frozen=True)
class ReplayedPair:
    """One request and both answers."""

    number: int
    new: Reply
    old: Reply


async def replay_pairs(
    requests: Sequence[Mapping[str, Any]], new: Arm, old: Arm, limits: ReplayLimits
) -> list[ReplayedPair]:
    """In the order of the requests. One that was not begun before the time was over is left out."""
    numbers = itertools.count()
    end = time.monotonic() + limits.max_seconds
    pairs: list[ReplayedPair] = []

    async def work(wire: Wire) -> None:
        for number in numbers:
            if number >= len(requests) or time.monotonic() > end:
                return
            pairs.append(await _pair(wire, number, requests[number], new, old, limits))

    async with open_wire(keep_alive=False) as wire:
        await asyncio.gather(*(work(wire) for _ in range(limits.concurrency)))
    return sorted(pairs, key=lambda pair: pair.number)


async def _pair(
    wire: Wire, number: int, request: Mapping[str, Any], new: Arm, old: Arm, limits: ReplayLimits
) -> ReplayedPair:
    replies: dict[str, Reply] = {}
    for arm in (new, old) if number % 2 == 0 else (old, new):
        body = json.dumps(asked_alike(request, arm.model, limits.max_tokens)).encode()
        done = await wire.post(arm.url, arm.request_headers, body, limits.request_timeout_s)
        replies[arm.name] = read_reply(done, wants_json(request))
    return ReplayedPair(number, replies[new.name], replies[old.name])


def asked_alike(request: Mapping[str, Any], model: str, max_tokens: int) -> dict[str, Any]:
    """The request without chance in it, so that a difference between two answers is one between two models."""
    own = request.get("max_completion_tokens") or request.get("max_tokens")
    kept = {name: value for name, value in request.items() if name not in ("n", "max_completion_tokens")}
    return {
        **kept,
        "model": model,
        "temperature": 0,
        "seed": 0,
        "stream": False,
        "cache_prompt": False,
        "max_tokens": min(own, max_tokens) if isinstance(own, int) and own > 0 else max_tokens,
    }


def wants_json(request: Mapping[str, Any]) -> bool:
    wanted = request.get("response_format")
    return isinstance(wanted, dict) and cast("dict[str, Any]", wanted).get("type") in (
        "json_object",
        "json_schema",
    )


def read_reply(done: Exchange, is_json: bool) -> Reply:
    """Judge one exchange. Nothing of what was said stays but a hash."""
    parsed, outcome, error = read_answer(done, False)
    if outcome is not Outcome.OK:
        return Reply(error=error or outcome.value, elapsed_ms=done.total_ms)
    text, has_call = _said(done.body)
    problem = "" if text.strip() or has_call else "empty"
    if is_json and not problem and not has_call and parsed.finish_reason != "length" and not _is_json(text):
        problem = "not the JSON that was asked for"
    return Reply(
        problem=problem,
        tokens=parsed.tokens,
        elapsed_ms=done.total_ms,
        finish=parsed.finish_reason,
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def _said(body: bytes) -> tuple[str, bool]:
    """Text of the first choice, and whether it wants to call a tool."""
    found: Any = json.loads(body)
    message: Any = found["choices"][0].get("message") or {}
    return str(message.get("content") or ""), bool(message.get("tool_calls"))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def agreement(pairs: Iterable[ReplayedPair]) -> tuple[int, int]:
    """Pairs of complete answers with the very same text, and all pairs of complete answers."""
    complete = [pair for pair in pairs if pair.new.is_ok and pair.old.is_ok]
    return sum(pair.new.fingerprint == pair.old.fingerprint for pair in complete), len(complete)
