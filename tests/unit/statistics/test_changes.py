"""A rise of a series: the place, the p-value, and how often nothing is called something."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.statistics import rise

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


def _source(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_night_of_a_step_is_found():
    series = [*_source(1).normal(100, 3, 20), *_source(2).normal(120, 3, 8)]
    found = rise(series, _source())
    assert abs(found.place - 20) <= 1
    assert found.p_value < 0.005
    assert found.before == pytest.approx(100, abs=3)
    assert found.after == pytest.approx(120, abs=4)


def test_a_fall_is_no_rise_but_the_rise_of_the_negative_values():
    series = [*_source(1).normal(120, 3, 20), *_source(2).normal(100, 3, 8)]
    assert rise(series, _source()).p_value > 0.5
    assert rise([-value for value in series], _source()).p_value < 0.005


def test_one_odd_night_decides_nothing():
    series = [*_source(3).normal(100, 2, 20), 900.0, *_source(4).normal(100, 2, 5)]
    assert rise(series, _source()).p_value > 0.05


def test_nights_that_are_all_the_same_show_nothing():
    assert rise([5.0] * 12, _source()).p_value == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(FINITE, min_size=4, max_size=20))
def test_the_statistic_is_that_of_its_definition(series: list[float]):
    values = np.array(series)
    signs = np.sign(values[np.newaxis, :] - values[:, np.newaxis])
    by_definition = [signs[: t + 1, t + 1 :].sum() for t in range(len(values) - 1)]
    assert by_definition[rise(series, _source()).place - 1] == max(by_definition)


@settings(max_examples=20, deadline=None)
@given(st.lists(FINITE, min_size=4, max_size=20))
def test_only_the_order_of_values_counts(series: list[float]):
    assert rise(series, _source()).p_value == rise([value * 1024 for value in series], _source()).p_value


def test_the_chance_of_a_false_alarm_is_the_stated_one():
    """400 quiet series of 15 nights, lognormal: 5 % give 20 alarms, with a standard deviation of 4.4."""
    source = _source(7)
    alarms = sum(rise(source.lognormal(0, 0.5, 15), source).p_value <= 0.05 for _ in range(400))
    assert 8 <= alarms <= 33


@pytest.mark.parametrize("series", [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, float("nan")], [0.0] * 1001])
def test_series_that_say_nothing_are_refused(series: list[float]):
    with pytest.raises(ValueError, match="finite values"):
        rise(series, _source())
