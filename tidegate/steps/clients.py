"""Whether the clients of the live model notice that it is measured beside them. Pure.

The gateways count per set, ours and theirs together: what this process sent is taken off again.
"""

from dataclasses import dataclass

from tidegate.benchmark import RunRecord
from tidegate.domain import TrafficCounts
from tidegate.domain.policy import ShiftPolicy
from tidegate.statistics import share_e_value

MIN_FAILURES = 3
EVIDENCE_OF_HARM = 20.0


@dataclass(frozen=True)
class Clients:
    """What clients of one set experienced in a stretch of time."""

    requests: int
    failed: int
    mean_ms: float | None


def clients_of(counts: TrafficCounts, ours: RunRecord | None) -> Clients:
    """The counts without our own requests, those of the warm-up among them."""
    own = [] if ours is None else [request for request in ours.requests if request.sent_ns is not None]
    times = [
        (request.end_ns - request.sent_ns) / 1e6
        for request in own
        if request.end_ns is not None and request.sent_ns is not None
    ]
    number, own_ms = len(own), sum(times)
    left = max(0, counts.latency_count - number)
    return Clients(
        requests=max(0, counts.requests - number),
        failed=max(0, counts.failed - sum(not request.is_ok for request in own)),
        mean_ms=max(0.0, counts.latency_ms_sum - own_ms) / left if left else None,
    )


def disturbance(usual: Clients, now: Clients, policy: ShiftPolicy) -> str:
    """How clients fare worse than before, by the limits of live traffic; empty when they do not, or are too few."""
    if (
        now.failed >= MIN_FAILURES
        and now.failed > policy.max_error_share * now.requests
        and share_e_value(now.failed, max(now.requests, now.failed), policy.max_error_share)
        >= EVIDENCE_OF_HARM
    ):
        return f"{now.failed} of {now.requests} requests of clients failed"
    if (
        usual.mean_ms is None
        or now.mean_ms is None
        or min(usual.requests, now.requests) < policy.min_requests
    ):
        return ""
    is_slower = now.mean_ms > usual.mean_ms * policy.max_latency_ratio
    if is_slower and now.mean_ms - usual.mean_ms > policy.latency_floor_ms:
        return f"requests of clients took {now.mean_ms:.0f} ms instead of {usual.mean_ms:.0f} ms"
    return ""
