"""Holm and Benjamini-Hochberg: worked examples, properties, error rates."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.statistics.simulation import tolerance
from tidegate.statistics import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), max_size=20)
both = pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
Adjust = Callable[[list[float]], list[float]]


def test_worked_examples():
    given_values = [0.01, 0.04, 0.03, 0.005]

    assert holm(given_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(given_values) == pytest.approx([0.02, 0.04, 0.04, 0.02])


@both
@given(values=p_values)
def test_adjusting_keeps_the_order_and_never_lowers(adjust: Adjust, values: list[float]):
    adjusted = adjust(values)

    assert all(
        before <= after * (1 + 1e-12) <= 1 + 1e-9 for before, after in zip(values, adjusted, strict=True)
    )
    ordered = [after for _, after in sorted(zip(values, adjusted, strict=True))]
    assert ordered == sorted(ordered)


@given(p_values)
def test_holm_is_the_stricter_one(values: list[float]):
    for strict, loose in zip(holm(values), benjamini_hochberg(values), strict=True):
        assert strict >= loose * (1 - 1e-12)


@both
def test_a_single_test_is_not_corrected(adjust: Adjust):
    assert adjust([0.03]) == pytest.approx([0.03])
    assert adjust([]) == []


def test_holm_errs_at_all_in_at_most_five_percent():
    rows = np.random.default_rng(127).uniform(0, 1, (1500, 8)).tolist()

    assert sum(min(holm(row)) <= 0.05 for row in rows) / 1500 <= 0.05 + tolerance(0.05, 1500)


def test_of_what_benjamini_hochberg_finds_five_percent_are_false():
    draw = np.random.default_rng(131)
    # 10 slices without a change, 10 with a clear one.
    rows = np.hstack([draw.uniform(0, 1, (1000, 10)), draw.beta(0.1, 10, (1000, 10))]).tolist()
    shares = []
    for row in rows:
        found = [index for index, value in enumerate(benjamini_hochberg(row)) if value <= 0.05]
        shares.append(sum(index < 10 for index in found) / max(1, len(found)))

    assert np.mean(shares) <= 0.05 + tolerance(0.05, 1000)


@both
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_values_that_are_no_probabilities_are_refused(adjust: Adjust, value: float):
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjust([0.5, value])
