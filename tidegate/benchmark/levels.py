"""One plan at several levels of load: a sweep to overload, and the search for the highest load under an SLO.

Every level is a run of its own, with its own warm-up and window, and a seed of its own: what one level has put
into the server's cache must not serve the next one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from tidegate.benchmark.goodput import Slo, attainment
from tidegate.benchmark.load import OnEvent, WrapWire, measure
from tidegate.benchmark.plan import Arm, LoadPlan
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.search import HighestLoad, LevelSearch, Probe, SearchPlan
from tidegate.benchmark.wire import Wire

CountGood = Callable[[RunRecord], tuple[int, int]]
"""Good and planned requests of a run."""
MIN_COMPLETED = 0.9
"""Share of the offered requests that must end as fast as they come; below it the queue only grows."""
MAX_TTFT_GROWTH = 10.0
"""Median TTFT against that of the first level."""
LEAST_GAIN = 1.03
"""More throughput than that is expected from more requests at once."""


def at_level(plan: LoadPlan, level: float, number: int) -> LoadPlan:
    """The plan with another rate (open loop) or number of requests at once (closed loop), as one block."""
    changed = replace(plan, blocks=1, seed=plan.seed + number)
    return replace(changed, rate=level) if plan.mode.is_open else replace(changed, concurrency=round(level))


@dataclass(frozen=True)
class Level:
    """One level of a sweep as far as the sweep itself looks at it; `knee.step_of` makes of its run what finds a knee."""

    level: float
    run: RunRecord
    completed_rate: float
    """Answers that ended in order per second of the window, whenever they were sent."""
    ttft_ms: float | None
    overload: str
    """Why nothing higher is worth trying; empty when it is."""


async def sweep(
    arm: Arm,
    plan: LoadPlan,
    levels: Sequence[float],
    *,
    wire: Wire | None = None,
    on_event: OnEvent | None = None,
    stop: asyncio.Event | None = None,
    wrap: WrapWire | None = None,
) -> AsyncIterator[Level]:
    """Measure rising levels, and end behind the first one that the server does not keep up with."""
    done: list[Level] = []
    for number, level in enumerate(sorted(levels)):
        runs = await measure(
            [arm], at_level(plan, level, number), wire=wire, on_event=on_event, stop=stop, wrap=wrap
        )
        done.append(judged_level(level, runs[arm.name], done))
        yield done[-1]
        if done[-1].overload or (stop is not None and stop.is_set()):
            return


def judged_level(level: float, run: RunRecord, before: Sequence[Level]) -> Level:
    """Whether a level is already overload."""
    start, end = run.window_ns
    ended = sum(1 for one in run.requests if one.is_ok and one.end_ns and start <= one.end_ns < end)
    rate = ended / ((end - start) / 1e9)
    waits = [
        (one.chunk_ns[0] - (one.start_ns or 0)) / 1e6 for one in run.measured() if one.is_ok and one.chunk_ns
    ]
    ttft = median(waits) if waits else None
    return Level(level, run, rate, ttft, _overload(run, rate, ttft, before))


def _overload(run: RunRecord, rate: float, ttft_ms: float | None, before: Sequence[Level]) -> str:
    if ttft_ms is None:
        return "no request succeeded"
    if run.is_open_loop:
        start, end = run.window_ns
        offered = len(run.measured()) / ((end - start) / 1e9)
        if rate < MIN_COMPLETED * offered:
            return f"{rate:.3g} answers/s of {offered:.3g} requests/s: the queue grows"
    elif len(before) >= 2 and rate < LEAST_GAIN * max(one.completed_rate for one in before[:-1]):
        return f"{rate:.3g} answers/s: more requests at once bring no more"
    first = next((one.ttft_ms for one in before if one.ttft_ms), None)
    if run.is_open_loop and first is not None and ttft_ms > MAX_TTFT_GROWTH * first:
        return f"median TTFT {ttft_ms:.0f} ms, {ttft_ms / first:.0f} times that of the lowest level"
    return ""


def good_under(slo: Slo) -> CountGood:
    """Counts what keeps every limit of a service level; what failed or was never sent is a miss."""

    def count(run: RunRecord) -> tuple[int, int]:
        found = attainment(run, slo)
        return found.good, found.planned

    return count


async def find_highest(
    arm: Arm,
    plan: LoadPlan,
    search_plan: SearchPlan,
    count_good: CountGood,
    *,
    limit_s: float = 1800.0,
    wire: Wire | None = None,
    on_event: OnEvent | None = None,
    on_probe: Callable[[Probe, RunRecord], None] | None = None,
    on_unjudged: Callable[[float, RunRecord], None] | None = None,
    stop: asyncio.Event | None = None,
    trusts_client: bool = False,
    wrap: WrapWire | None = None,
) -> HighestLoad:
    """Search with real load; from `limit_s` on no probe begins. `count_good` is mostly `good_under(slo)`.

    A client that measured itself ends the search, unless `trusts_client`: its probes would judge the client. That run
    is given to `on_unjudged`.
    """
    search, number = LevelSearch(search_plan), 0
    until = time.monotonic() + limit_s
    while (level := search.next_level()) is not None:
        if time.monotonic() >= until:
            search.end(f"{limit_s:g} s were over")
            break
        runs = await measure(
            [arm], at_level(plan, level, number), wire=wire, on_event=on_event, stop=stop, wrap=wrap
        )
        number += 1
        run = runs[arm.name]
        if stop is not None and stop.is_set():
            search.end("it was stopped")
            break
        if not trusts_client and run.honesty is not None and run.honesty.verdict == "client-bound":
            search.end(f"at {level:g} this client measured itself: {run.honesty.reasons[0]}")
            if on_unjudged is not None:
                on_unjudged(level, run)
            break
        probe = search.tell(level, *count_good(run))
        if on_probe is not None:
            on_probe(probe, run)
    return search.result()
