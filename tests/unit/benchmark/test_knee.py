"""Where a server stops keeping up, from the steps of a sweep and from one run."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.benchmark.runs import MS, request, run
from tidegate.benchmark.goodput import Slo
from tidegate.benchmark.knee import SweepStep, find_knee, step_of
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.saturation import saturation_of, slope
from tidegate.domain import InvalidInput

RATES = (1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0)


def sweep(capacity: float, noise: float = 0.0, seed: int = 0, slope_of_line: float = 1.0) -> list[SweepStep]:
    draw = random.Random(seed)
    return [
        SweepStep(rate, min(slope_of_line * rate, capacity) * (1 + draw.uniform(-noise, noise)))
        for rate in RATES
    ]


@pytest.mark.parametrize("capacity", [3.0, 7.0, 10.0, 14.0, 20.0])
def test_the_knee_is_where_the_offered_load_meets_the_capacity(capacity: float):
    found = find_knee(sweep(capacity))
    assert found.verdict == "found"
    assert found.method == "throughput hinge"
    assert found.offered == pytest.approx(capacity)
    assert found.capacity == pytest.approx(capacity)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= capacity <= found.high


@given(st.floats(2.5, 25), st.integers(0, 1000))
@settings(max_examples=60)
def test_noise_of_two_percent_moves_the_knee_by_little_and_never_out_of_its_bracket(
    capacity: float, seed: int
):
    found = find_knee(sweep(capacity, 0.02, seed))
    assert found.offered == pytest.approx(capacity, rel=0.08)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.offered <= found.high  # pyright: ignore[reportOperatorIssue]
    assert found.low <= capacity * 1.05
    assert found.high >= capacity * 0.95


def test_the_knee_of_a_closed_loop_is_a_number_of_users():
    # One user gets 2 requests per second; the server has 10.
    found = find_knee(sweep(10, slope_of_line=2))
    assert found.offered == pytest.approx(5)
    assert found.capacity == pytest.approx(10)


def test_a_server_that_keeps_up_with_everything_has_no_knee_yet():
    found = find_knee(sweep(100))
    assert (found.verdict, found.offered, found.low) == ("not reached", None, 32)
    assert "kept up with every step, up to 32" in found.summary


def test_a_server_that_is_behind_from_the_first_step_is_said_so():
    steps = [SweepStep(rate, 0.9, is_growing=True) for rate in (1.0, 2.0, 4.0)]
    found = find_knee(steps)
    assert (found.verdict, found.high, found.capacity) == ("below the first step", 1.0, 0.9)


def test_a_step_whose_queue_grew_does_not_count_as_kept_up():
    steps = [SweepStep(rate, rate, is_growing=rate >= 8) for rate in RATES]
    found = find_knee(steps)
    assert found.verdict == "found"
    assert found.low == 4


def test_the_best_goodput_may_lie_below_the_knee():
    steps = [
        SweepStep(rate, min(rate, 10), ttft_p95_ms=10 * rate, goodput=min(rate, 9 - rate / 8))
        for rate in RATES
    ]
    found = find_knee(steps)
    assert found.best_goodput_at == 8
    assert found.best_goodput == 8
    assert found.ttft_growth == pytest.approx(32)


@pytest.mark.parametrize("loads", [(1.0, 2.0), (1.0, 1.0, 2.0), (0.0, 1.0, 2.0)])
def test_a_knee_needs_three_different_loads(loads: tuple[float, ...]):
    with pytest.raises(InvalidInput):
        find_knee([SweepStep(load, load) for load in loads])


def queue(rate: float, service_ms: float, seed: int, count: int = 600) -> RunRecord:
    """Poisson arrivals at one server whose answers take exponential times."""
    draw = random.Random(seed)
    now_ms, free_ms, requests = 0.0, 0.0, []
    for index in range(count):
        now_ms += draw.expovariate(rate / 1000)
        free_ms = max(free_ms, now_ms) + draw.expovariate(1 / service_ms)
        wait = free_ms - now_ms
        requests.append(request(index, now_ms, wait, 0, chunks=1, planned_ns=round(now_ms * MS)))
    return run(requests, mode="poisson", window_ns=(0, round((now_ms + 1) * MS)))


def test_a_server_that_cannot_keep_up_is_recognised_by_what_piles_up():
    found = [saturation_of(queue(10, 125, seed)) for seed in range(10)]
    assert {one.verdict for one in found} == {"growing"}
    mean_share = sum(one.piled_share or 0 for one in found) / 10
    # 10 arrive, 8 leave: a fifth piles up, and TTFT grows by 250 ms in each second.
    assert mean_share == pytest.approx(0.2, abs=0.05)
    assert all(one.ttft is not None and one.ttft.low > 0 for one in found)


def test_a_server_that_keeps_up_is_seldom_called_growing():
    verdicts = [saturation_of(queue(10, 60, seed)).verdict for seed in range(40)]
    assert verdicts.count("growing") <= 3
    assert verdicts.count("steady") >= 33


def test_a_closed_loop_and_a_handful_of_requests_are_not_applicable():
    closed = queue(10, 125, 0).model_copy(update={"mode": "closed"})
    assert saturation_of(closed).verdict == "not applicable"
    assert saturation_of(queue(10, 60, 0, count=10)).verdict == "not applicable"


def test_a_slope_is_the_least_squares_one():
    found = slope([0, 1, 2, 3], [1, 3, 5, 7], "x")
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    noisy = slope([0, 1, 2, 3, 4], [0, 1.2, 1.8, 3.1, 3.9], "x")
    # By hand: squares of the residuals 0.091, of the times 10: 0.97 with a standard error of 0.0551 and t(0.975, 3) = 3.1824.
    assert noisy.value == pytest.approx(0.97)
    assert noisy.high - noisy.value == pytest.approx(3.1824 * 0.0551, rel=0.01)


def test_a_run_becomes_a_step_of_a_sweep():
    whole = queue(10, 60, 1)
    step = step_of(whole, 10, Slo(ttft_ms=10_000))
    assert step.offered == 10
    assert step.achieved == pytest.approx(10, rel=0.15)
    assert step.goodput == pytest.approx(step.achieved, rel=0.02)
    assert step.ttft_p95_ms is not None
    assert not step.is_growing
