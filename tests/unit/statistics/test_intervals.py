"""Wilson interval, paired ratio interval and percentiles."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.statistics import paired_log_ratio, percentile, smallest_sample, wilson_interval


@given(st.integers(0, 500), st.data())
def test_wilson_contains_the_observed_share_and_stays_in_range(trials: int, data: st.DataObject):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= high <= 1
    if trials:
        assert low <= successes / trials <= high


def test_wilson_known_values():
    low, high = wilson_interval(0, 48)
    assert (low, high) == (0.0, pytest.approx(0.0741, abs=1e-4))
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_wilson_covers_the_truth_about_as_often_as_it_says():
    draw, covered = random.Random(3), 0
    for _ in range(2000):
        successes = sum(draw.random() < 0.1 for _ in range(60))
        low, high = wilson_interval(successes, 60)
        covered += low <= 0.1 <= high
    assert 0.92 <= covered / 2000 <= 0.98


def test_ratio_interval_of_constant_slowdown_is_exact():
    found = paired_log_ratio([20.0, 30.0, 44.0], [10.0, 15.0, 22.0])
    assert (found.ratio, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_ratio_interval_matches_a_worked_example():
    logs = [0.1, 0.3, -0.1, 0.2]
    found = paired_log_ratio([math.exp(x) for x in logs], [1.0] * 4)
    # mean 0.125, sd 0.170783, t(0.95, 3) = 2.353363
    assert math.log(found.high) == pytest.approx(0.125 + 2.353363 * 0.170783 / 2, abs=1e-5)


def test_ratio_bounds_err_about_as_often_as_they_say():
    draw, beyond, rounds = random.Random(5), 0, 1500
    for _ in range(rounds):
        found = paired_log_ratio([draw.lognormvariate(0, 0.3) for _ in range(6)], [1.0] * 6)
        beyond += found.low > 1
    assert 0.03 <= beyond / rounds <= 0.07


def test_one_block_pair_bounds_nothing():
    found = paired_log_ratio([5.0], [1.0])
    assert (found.low, found.high) == (0.0, math.inf)


@pytest.mark.parametrize(("candidate", "baseline"), [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0])])
def test_unusable_blocks_are_refused(candidate: list[float], baseline: list[float]):
    with pytest.raises(ValueError, match="needs"):
        paired_log_ratio(candidate, baseline)


@pytest.mark.parametrize(("share", "needed"), [(0.5, 2), (0.9, 10), (0.95, 20), (0.99, 100), (0.05, 20)])
def test_smallest_sample_of_a_percentile(share: float, needed: int):
    assert smallest_sample(share) == needed


def test_percentiles_appear_only_with_enough_samples():
    assert percentile([], 0.5) is None
    assert percentile([7.0], 0.5) == 7.0
    assert percentile([1.0] * 19, 0.95) is None
    assert percentile([float(n) for n in range(21)], 0.95) == 19.0
