"""The arrival processes themselves: rate, spread, independence and law, with fixed seeds."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import gamma, kstest

from tidegate.benchmark.arrivals import NS, Mode, draw_times_ns
from tidegate.domain import InvalidInput

RATE = 40.0
COUNT = 4000
LAWS = [
    (Mode.POISSON, 1.0),
    (Mode.GAMMA, 0.25),
    (Mode.GAMMA, 4.0),
]


def gaps_s(mode: Mode, burstiness: float, seed: int) -> np.ndarray:
    times = draw_times_ns(mode, RATE, burstiness, np.random.default_rng(seed), count=COUNT)
    return np.diff(np.array(times) / NS, prepend=0.0)


@pytest.mark.parametrize(("mode", "burstiness"), LAWS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_arrivals_have_the_rate_the_spread_and_the_law_they_are_named_for(
    mode: Mode, burstiness: float, seed: int
):
    gaps = gaps_s(mode, burstiness, seed)
    spread = 1 / sqrt(burstiness)
    assert gaps.mean() == pytest.approx(1 / RATE, rel=4 * spread / sqrt(COUNT))
    assert gaps.std() / gaps.mean() == pytest.approx(spread, rel=0.1)
    law = gamma(burstiness, scale=1 / (RATE * burstiness))
    assert kstest(gaps, law.cdf).pvalue > 0.01


@pytest.mark.parametrize(("mode", "burstiness"), LAWS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_gap_says_nothing_about_the_next_one(mode: Mode, burstiness: float, seed: int):
    gaps = gaps_s(mode, burstiness, seed)
    correlation = np.corrcoef(gaps[:-1], gaps[1:])[0, 1]
    assert abs(correlation) < 2 / sqrt(COUNT)


def test_constant_is_constant():
    times = draw_times_ns(Mode.CONSTANT, 64.0, 1.0, np.random.default_rng(0), duration_s=2.0)
    assert times[0] == 0
    assert set(np.diff(times)) == {NS // 64}
    assert len(times) == 128


def test_a_random_window_holds_a_random_number_of_requests_and_none_behind_its_end():
    counts: list[int] = []
    for seed in range(200):
        times = draw_times_ns(Mode.POISSON, 10.0, 1.0, np.random.default_rng(seed), duration_s=5.0)
        assert times == sorted(times)
        assert times[-1] < 5 * NS
        counts.append(len(times))
    # Poisson: mean and variance are both rate times duration.
    assert np.mean(counts) == pytest.approx(50, abs=3 * sqrt(50 / 200))
    assert np.var(counts) == pytest.approx(50, rel=0.35)


def test_the_same_seed_gives_the_same_times():
    first, again, other = (
        draw_times_ns(Mode.GAMMA, 5.0, 0.5, np.random.default_rng(seed), count=50) for seed in (7, 7, 8)
    )
    assert first == again != other


@pytest.mark.parametrize("mode", [Mode.CONSTANT, Mode.POISSON, Mode.GAMMA])
def test_a_schedule_without_bound_is_refused(mode: Mode):
    with pytest.raises(InvalidInput, match="more than"):
        draw_times_ns(mode, 1e4, 1.0, np.random.default_rng(0), duration_s=1e4)


def test_closed_loops_and_traces_follow_no_law():
    with pytest.raises(InvalidInput, match="do not follow a law"):
        draw_times_ns(Mode.TRACE, 1.0, 1.0, np.random.default_rng(0), count=3)
