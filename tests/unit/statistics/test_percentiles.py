"""Percentiles and their order-statistic intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.statistics.simulation import tolerance
from tidegate.statistics import percentile_interval, smallest_sample


@pytest.mark.parametrize(("share", "needed"), [(0.5, 20), (0.9, 100), (0.95, 200), (0.99, 1000), (0.05, 200)])
def test_an_interval_needs_ten_samples_beyond_the_percentile(share: float, needed: int):
    assert smallest_sample(share, 10) == needed
    assert percentile_interval([1.0] * (needed - 1), share) is None
    assert percentile_interval([1.0] * needed, share) is not None


@given(st.integers(0, 10_000), st.integers(200, 400), st.sampled_from([0.5, 0.9, 0.95]))
def test_the_interval_holds_the_value_that_numpy_gives(seed: int, samples: int, share: float):
    values = np.random.default_rng(seed).lognormal(0, 1, samples).round(1).tolist()
    found = percentile_interval(values, share)

    assert found is not None
    assert found.value == pytest.approx(np.quantile(values, share))
    assert found.low <= found.value <= found.high
    assert {found.low, found.high} <= set(values)


def test_known_ranks_of_a_median():
    # P(B <= 39) = 0.0176 and P(B <= 40) = 0.0284 for B ~ Bin(100, 1/2): ranks 40 and 61.
    found = percentile_interval([float(rank) for rank in range(1, 101)], 0.5)

    assert found is not None
    assert (found.low, found.value, found.high) == (40, 50.5, 61)


@pytest.mark.parametrize(("share", "samples"), [(0.5, 60), (0.95, 200), (0.99, 1000)])
def test_the_interval_covers_the_truth_at_least_as_often_as_it_says(share: float, samples: int):
    draws = np.random.default_rng(113).exponential(1, (400, samples))
    truth = -math.log(1 - share)
    found = [percentile_interval(row, share) for row in draws.tolist()]
    covered = sum(one is not None and one.low <= truth <= one.high for one in found) / len(found)

    assert covered >= 0.95 - tolerance(0.95, len(found))


def test_failures_lengthen_the_tail_instead_of_leaving_it():
    found = percentile_interval([1.0] * 195 + [math.inf] * 5, 0.95)

    assert found is not None
    assert (found.value, found.high) == (1.0, math.inf)
    worse = percentile_interval([1.0] * 100 + [math.inf] * 100, 0.95)
    assert worse is not None
    assert worse.value == math.inf


@pytest.mark.parametrize(
    ("values", "share", "confidence"),
    [([1.0] * 20, 0.0, 0.95), ([1.0] * 20, 0.5, 1.0), ([math.nan] * 20, 0.5, 0.95)],
)
def test_impossible_arguments_are_refused(values: list[float], share: float, confidence: float):
    with pytest.raises(ValueError, match=r"between 0 and 1|NaN"):
        percentile_interval(values, share, confidence)
