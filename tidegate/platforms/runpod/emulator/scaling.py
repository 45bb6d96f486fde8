"""How many workers an endpoint should have, and which of them go. Pure: a fleet and a demand in, steps out."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

QUOTA_BY_BALANCE = ((900, 60), (700, 50), (500, 40), (300, 30), (200, 20), (100, 10))
SMALLEST_QUOTA = 5


@dataclass(frozen=True)
class Rules:
    """The part of an endpoint's configuration that the autoscaler reads."""

    min_workers: int
    max_workers: int
    idle_timeout_s: float
    queue_delay_s: float | None
    request_count: int | None


@dataclass(frozen=True)
class Demand:
    """What waits and what runs. Jobs of low priority are not in `queued`: they never cause a scale-up."""

    queued: int
    in_progress: int
    oldest_wait_s: float


@dataclass(frozen=True)
class WorkerView:
    """One worker that is not leaving yet."""

    id: str
    is_ready: bool
    is_busy: bool
    is_stale: bool
    idle_s: float
    age_s: float


@dataclass(frozen=True)
class Plan:
    """Workers to start, and workers to drain, in that order of leaving."""

    start: int
    drain: tuple[str, ...]


def worker_quota(balance_usd: float) -> int:
    """The sum of `workers.max` that an account may ask for."""
    return next((quota for least, quota in QUOTA_BY_BALANCE if balance_usd >= least), SMALLEST_QUOTA)


def wanted_workers(rules: Rules, demand: Demand, current: int) -> int:
    """Within [min, max]: by waiting time or by requests per worker, as the endpoint's scaler says."""
    if rules.request_count is not None:
        target = math.ceil((demand.queued + demand.in_progress) / rules.request_count)
    elif demand.queued and demand.oldest_wait_s >= (rules.queue_delay_s or 0):
        target = min(current + 1, demand.queued + demand.in_progress)
    else:
        target = 0
    return min(max(target, rules.min_workers), rules.max_workers)


def plan(rules: Rules, demand: Demand, workers: Sequence[WorkerView], may_grow: bool = True) -> Plan:
    """The next step towards the wanted fleet.

    Stale idle workers go at once, busy ones after their job. Workers above the maximum go as soon as they
    idle; others only after the idle timeout, and never below what is wanted.
    """
    stale_idle = [worker.id for worker in workers if worker.is_stale and not worker.is_busy]
    staying = [worker for worker in workers if worker.id not in set(stale_idle)]
    wanted = wanted_workers(rules, demand, len(staying))
    surplus = len(staying) - wanted
    if surplus < 0:
        return Plan(start=-surplus if may_grow else 0, drain=tuple(stale_idle))
    over_maximum = max(0, len(staying) - rules.max_workers)
    leaving = _in_drain_order(worker for worker in staying if not worker.is_busy)
    at_once = [worker.id for worker in leaving[:over_maximum]]
    rested = [
        worker.id
        for worker in leaving[over_maximum:surplus]
        if worker.is_ready and worker.idle_s >= rules.idle_timeout_s
    ]
    return Plan(start=0, drain=(*stale_idle, *at_once, *rested))


def _in_drain_order(workers: Iterable[WorkerView]) -> list[WorkerView]:
    """Those that never became ready first, then the longest idle."""
    return sorted(workers, key=lambda worker: (worker.is_ready, -worker.idle_s, worker.age_s, worker.id))


def shrunk_maximum(
    current: int, unused_s: float, shrink_after_s: float, park_after_s: float, shrunk_to: int = 2
) -> int:
    """Unused endpoints lose their workers: to two after three days, to none after seven."""
    if unused_s >= park_after_s:
        return 0
    if unused_s >= shrink_after_s:
        return min(current, shrunk_to)
    return current
