"""One rule from interval and margin to a verdict."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import Verdict
from tidegate.statistics import RatioInterval, judge_interval, judge_ratio

number = st.floats(-10, 10)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.02, 0.03, Verdict.PASS),
        (0.06, 0.1, Verdict.FAIL),
        (0.02, 0.08, Verdict.NOT_JUDGED),
        (0.01, 0.05, Verdict.PASS),
    ],
)
def test_pass_inside_fail_beyond_and_not_judged_across_the_limit(low: float, high: float, verdict: Verdict):
    assert judge_interval(low, high, 0.05) is verdict


@given(number, number, number)
def test_a_wider_interval_never_decides_what_a_narrow_one_did_not(middle: float, limit: float, width: float):
    narrow = judge_interval(middle - abs(width), middle + abs(width), limit)
    wide = judge_interval(middle - abs(width) - 1, middle + abs(width) + 1, limit)

    assert wide in (narrow, Verdict.NOT_JUDGED)


def test_an_optimistic_interval_decides_nothing():
    assert judge_ratio(RatioInterval(1.0, 0.99, 1.01, 30, 0.05), 1.1) is Verdict.PASS
    assert (
        judge_ratio(RatioInterval(1.0, 0.99, 1.01, 30, 0.05, is_optimistic=True), 1.1) is Verdict.NOT_JUDGED
    )


@pytest.mark.parametrize(("low", "high", "limit"), [(1, 0, 1), (math.nan, 1, 1), (0, 1, math.nan)])
def test_an_interval_that_is_none_is_refused(low: float, high: float, limit: float):
    with pytest.raises(ValueError, match="low <= high"):
        judge_interval(low, high, limit)
