"""One short request before a run: is the address right, and does the server take every field that the run would send?

During a run nothing is retried and nothing is left out. So what a server refuses is found out here, once, and told:
on the terminal and in the notes of the run.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from tidegate.cli.bench_target import Target
from tidegate.domain import Refused

if TYPE_CHECKING:
    from tidegate.benchmark import LoadPlan
    from tidegate.benchmark.exchange import Exchange
    from tidegate.benchmark.wire import Wire

TIMEOUT_S = 10.0
PROMPT = "Say hello."
REFUSES = frozenset({400, 422})
"""What servers answer to a field that they do not know."""
NOT_HERE = frozenset({404, 405})
HARMLESS = frozenset({408, 425, 429})
"""Of this moment, not of the request: the run will tell how often it happens."""
MOST_LETTERS = 200
LEFT_OUT: dict[str, dict[str, Any]] = {
    "ignore_eos": {"ignore_eos": False},
    "cache_prompt": {"cache_prompt": None},
    "stream_options": {"asks_usage": False},
    "temperature": {"temperature": None},
}
"""Fields that a run can do without, and what leaves them out of its plan."""


def rehearse(
    target: Target, plan: "LoadPlan", *, demanded: frozenset[str] = frozenset()
) -> tuple[Target, "LoadPlan", tuple[str, ...]]:
    """Target and plan as this server takes them, and what is different from what was asked for.

    `demanded` are fields that are not left out, because somebody asked for them.
    Raises: Refused for a request that the server does not take in any form that we know.
    """
    return asyncio.run(_rehearse(target, plan, demanded))


async def _rehearse(
    target: Target, plan: "LoadPlan", demanded: frozenset[str]
) -> tuple[Target, "LoadPlan", tuple[str, ...]]:
    from tidegate.benchmark.wire import open_wire

    async with open_wire(keep_alive=False) as wire:
        reply = await _ask(wire, target, plan)
        notes: tuple[str, ...] = ()
        if reply.status in NOT_HERE:
            other = replace(target, base_url=other_base(target.base_url))
            second = await _ask(wire, other, plan)
            if second.status is None or second.status in NOT_HERE:
                raise _refused(target, reply, "Check the model and the path: a base URL mostly ends in /v1.")
            notes = (f"{target.base_url} is not there (HTTP {reply.status}); {other.base_url} was asked",)
            target, reply = other, second
        if reply.status in REFUSES:
            for names in _subsets(plan, demanded):
                less = _without(plan, names)
                if (await _ask(wire, target, less)).status == 200:
                    why = (
                        f"{', '.join(names)} left out, because the server refuses it: {_said(target, reply)}"
                    )
                    return target, less, (*notes, why)
        if reply.status is not None and 400 <= reply.status < 500 and reply.status not in HARMLESS:
            raise _refused(target, reply, "Nothing was measured. Change what it complains about.")
        return target, plan, notes


async def _ask(wire: "Wire", target: Target, plan: "LoadPlan") -> "Exchange":
    """As the run asks, for one token."""
    from tidegate.benchmark.bodies import body_of
    from tidegate.benchmark.record import Phase
    from tidegate.benchmark.schedule import PlannedRequest

    arm = target.arm("rehearsal")
    request = PlannedRequest(0, 0, Phase.WARMUP, None, PROMPT, plan.seed, 1)
    return await wire.post(
        arm.url_of(plan.endpoint), arm.request_headers, body_of(plan, arm, request), TIMEOUT_S
    )


def other_base(base: str) -> str:
    """With `/v1` where there is none, and the other way round."""
    return base.removesuffix("/v1") if base.endswith("/v1") else f"{base}/v1"


def _subsets(plan: "LoadPlan", demanded: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """Fields to leave out, as few as possible first."""
    names = [name for name in LEFT_OUT if name not in demanded and _without(plan, (name,)) != plan]
    for count in range(1, len(names) + 1):
        yield from combinations(names, count)


def _without(plan: "LoadPlan", names: tuple[str, ...]) -> "LoadPlan":
    changes: dict[str, Any] = {}
    for name in names:
        changes |= LEFT_OUT[name]
    return replace(plan, **changes)


def _refused(target: Target, reply: "Exchange", remedy: str) -> Refused:
    told = _said(target, reply)
    return Refused(f"{target.base_url} does not take the request of this run: {told}.", remedy=remedy)


def _said(target: Target, reply: "Exchange") -> str:
    """Status and message, which may repeat what it was sent."""
    from tidegate.benchmark.stream import as_object, json_object

    body = json_object(reply.body) or {}
    error = as_object(body.get("error")) or body
    message: Any = error.get("message") or error.get("detail") or body.get("error") or ""
    text = message if isinstance(message, str) else str(message)
    text = target.arm("").without_secrets(" ".join(text.split()))[:MOST_LETTERS].rstrip(".")
    return f"HTTP {reply.status}: {text}" if text else f"HTTP {reply.status}"
