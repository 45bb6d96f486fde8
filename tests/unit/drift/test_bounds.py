"""Bounds from the likeliest tokens hold for every pair of distributions that they are stated for."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tidegate.drift.bounds import FLOOR, kl_bounds


def listed(logs: np.ndarray, count: int) -> dict[str, float]:
    return {str(token): float(logs[token]) for token in np.argsort(-logs)[:count]}


def log_softmax(values: np.ndarray) -> np.ndarray:
    return values - values.max() - math.log(np.exp(values - values.max()).sum())


@settings(max_examples=300)
@given(
    seed=st.integers(0, 100_000),
    size=st.integers(2, 400),
    k=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    spread=st.floats(0.05, 5),
    change=st.floats(0, 5),
)
def test_the_exact_divergence_lies_between_the_bounds(
    seed: int, size: int, k: tuple[int, int], spread: float, change: float
):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, spread, size)
    p = log_softmax(logits)
    q = log_softmax(logits + change * generator.normal(0, 1, size))
    assume(q.min() > FLOOR)
    exact = float((np.exp(p) * (p - q)).sum())
    found = kl_bounds(listed(p, k[0]), listed(q, k[1]))
    assert found.low <= exact + 1e-5
    assert found.high >= exact - 1e-9


@given(seed=st.integers(0, 1000), size=st.integers(2, 50))
def test_whole_lists_give_the_divergence_itself(seed: int, size: int):
    generator = np.random.default_rng(seed)
    p, q = (log_softmax(generator.normal(0, 1, size)) for _ in range(2))
    found = kl_bounds(listed(p, size), listed(q, size))
    exact = float((np.exp(p) * (p - q)).sum())
    assert found.low == pytest.approx(exact, abs=1e-4)
    assert found.high == pytest.approx(exact, abs=1e-4)


def test_a_likely_token_that_the_other_list_lacks_raises_the_lower_bound():
    base = {"a": math.log(0.9), "b": math.log(0.05)}
    cand = {"c": math.log(0.5), "d": math.log(0.4)}
    assert kl_bounds(base, cand).low > 1


def test_equal_lists_are_bounded_by_what_they_leave_out():
    logs = {"a": math.log(0.6), "b": math.log(0.399)}
    found = kl_bounds(logs, logs)
    assert found.low < 1e-6
    assert 0 < found.high < 0.05
    assert found.rest == pytest.approx(0.001)


@pytest.mark.parametrize("wrong", [{}, {"a": 0.1, "b": 0.0}, {"a": math.nan}])
def test_lists_that_are_no_distribution_are_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="sum to 1"):
        kl_bounds(wrong, {"a": -1.0})
