"""Whether clients beside a measurement are worse off: our own requests are taken off what gateways count."""

import pytest

from tests.unit.steps.measured_runs import NOW, run
from tidegate.domain import TrafficCounts
from tidegate.domain.policy import ShiftPolicy
from tidegate.steps.clients import Clients, clients_of, disturbance

LIMITS = ShiftPolicy(min_requests=10, max_error_share=0.02, max_latency_ratio=3, latency_floor_ms=50)
USUAL = Clients(requests=100, failed=0, mean_ms=40.0)


def counts(requests: int, each_ms: float, failed: int = 0) -> TrafficCounts:
    return TrafficCounts(
        set_name="blue", requests=requests, failed=failed, latency_ms_sum=requests * each_ms,
        latency_count=requests, at=NOW,
    )  # fmt: skip


def test_what_we_sent_ourselves_is_not_what_clients_sent():
    ours = run("live", [1.0, 1.0], failed=1)
    measured = [entry for entry in ours.requests if entry.is_ok]
    own_ms = sum((entry.end_ns - entry.sent_ns) / 1e6 for entry in ours.requests)  # type: ignore[operator]
    both = counts(28, 0.0).model_copy(update={"failed": 3, "latency_ms_sum": 20 * 40.0 + own_ms})

    found = clients_of(both, ours)

    assert len(measured) == 7
    assert (found.requests, found.failed) == (20, 2)
    assert found.mean_ms == pytest.approx(40.0)


def test_counts_that_lag_behind_are_nobody_and_not_less_than_nobody():
    assert clients_of(counts(3, 10.0), run("live", [1.0])) == Clients(0, 0, None)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Clients(100, 0, 60.0), ""),
        (Clients(100, 0, 200.0), "took 200 ms instead of 40 ms"),
        (Clients(5, 0, 900.0), ""),
        (Clients(100, 2, 40.0), ""),
        (Clients(50, 12, 40.0), "12 of 50 requests of clients failed"),
        (Clients(100, 0, None), ""),
    ],
    ids=["a little slower", "much slower", "too few to say", "two failures", "many failures", "no latency"],
)
def test_clients_are_disturbed_by_the_limits_of_live_traffic(now: Clients, said: str):
    assert disturbance(USUAL, now, LIMITS).endswith(said)
    assert bool(disturbance(USUAL, now, LIMITS)) == bool(said)
