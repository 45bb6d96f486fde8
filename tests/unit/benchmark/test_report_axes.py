"""Axes hold their values, ticks are round, and numbers say neither too much nor too little."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.benchmark.report.axes import (
    count,
    linear_axis,
    linear_ticks,
    log_axis,
    log_ticks,
    number,
    percent,
    tick_text,
)

FINITE = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)


@settings(deadline=None, max_examples=80)
@given(st.lists(FINITE, min_size=1, max_size=20))
def test_an_axis_holds_its_values(values):
    axis = linear_axis("x", "", values)
    assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value in values)
    assert axis.low < axis.high


@settings(deadline=None, max_examples=80)
@given(st.lists(st.floats(min_value=0, max_value=1e7), min_size=1, max_size=20))
def test_a_logarithmic_axis_holds_positive_values_and_its_own_edge(values):
    axis = log_axis("x", "ms", values, smallest=0.01)
    assert all(0 <= axis.place(max(value, 0.01)) <= 1 for value in values)
    assert axis.ticks()


@settings(deadline=None, max_examples=80)
@given(FINITE, st.floats(min_value=1e-3, max_value=1e9))
def test_ticks_lie_inside_and_are_few(low, width):
    ticks = linear_ticks(low, low + width)
    assert len(ticks) <= 13
    assert all(low - width * 1e-6 <= tick <= low + width * (1 + 1e-6) for tick in ticks)


def test_ticks_are_round():
    assert linear_ticks(0, 10) == (0, 2, 4, 6, 8, 10)
    assert log_ticks(20, 1500) == (20, 50, 100, 200, 500, 1000)
    assert (
        log_ticks(0.01, 1e6) == tuple(10.0**power for power in range(-2, 7)) or len(log_ticks(0.01, 1e6)) <= 9
    )
    assert log_ticks(1.1, 1.3)[0] == pytest.approx(1.12, abs=0.03)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (math.nan, "–"), (math.inf, "∞"), (0, "0"), (0.012345, "0.0123"), (9.996, "10.0"),
        (12.34, "12.3"), (1234.6, "1 235"), (-5.5, "-5.50"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits_that_carry_something(value, text):
    assert number(value) == text


def test_a_share_that_is_not_all_is_not_called_all():
    assert percent(1.0) == "100 %"
    assert percent(0.99999) == "> 99.9 %"
    assert percent(0.00001) == "< 0.1 %"
    assert percent(0.125) == "12.5 %"
    assert percent(None) == "–"


def test_counts_and_ticks_are_grouped():
    assert count(1234567) == "1 234 567"
    assert tick_text(20_000.0) == "20 000"
    assert tick_text(0.5) == "0.5"
