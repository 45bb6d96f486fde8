"""Divergences of two distributions, against the formulas in plain 64-bit numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.drift.measure import TokenMeasures, compare, joined


def logits(seed: int, rows: int, size: int, spread: float) -> np.ndarray:
    return (np.random.default_rng(seed).normal(0, spread, (rows, size)) + 7).astype(np.float32)


def log_softmax(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 40),
    size=st.integers(2, 300),
    spread=st.floats(0.1, 8),
    other=st.floats(0, 4),
)
def test_every_quantity_is_what_its_formula_says(
    seed: int, rows: int, size: int, spread: float, other: float
):
    base = logits(seed, rows, size, spread)
    cand = (base + other * logits(seed + 1, rows, size, 1)).astype(np.float32)
    actual = np.random.default_rng(seed).integers(0, size, rows)
    found = compare(base, cand, actual)
    p, q = log_softmax(base), log_softmax(cand)
    places = np.arange(rows)
    expected = {
        "kl": (np.exp(p) * (p - q)).sum(axis=1),
        "reverse_kl": (np.exp(q) * (q - p)).sum(axis=1),
        "base_nll": -p[places, actual],
        "cand_nll": -q[places, actual],
        "delta_p": np.exp(q[places, actual]) - np.exp(p[places, actual]),
        "base_entropy": -(np.exp(p) * p).sum(axis=1),
        "base_top_p": np.exp(p.max(axis=1)),
        "cand_top_p": np.exp(q.max(axis=1)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-5, atol=2e-5, err_msg=name)
    np.testing.assert_array_equal(found.same_top, base.argmax(axis=1) == cand.argmax(axis=1))


@given(seed=st.integers(0, 1000), rows=st.integers(1, 30))
def test_equal_logits_have_no_divergence_at_all(seed: int, rows: int):
    same = logits(seed, rows, 50, 3)
    found = compare(same, same.copy(), np.zeros(rows, dtype=np.int64))
    assert not found.kl.any()
    assert not found.reverse_kl.any()
    assert not found.delta_p.any()
    assert found.same_top.all()


def test_a_constant_added_to_all_logits_changes_nothing():
    base = logits(1, 5, 400, 3)
    found = compare(base, base + np.float32(4), np.arange(5))
    assert found.kl.max() < 1e-6


def test_two_tokens_agree_with_the_divergence_worked_out_by_hand():
    base = np.log(np.array([[0.5, 0.5]], dtype=np.float32))
    cand = np.log(np.array([[0.25, 0.75]], dtype=np.float32))
    found = compare(base, cand, np.array([0]))
    assert found.kl[0] == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3), abs=1e-6)
    assert found.delta_p[0] == pytest.approx(-0.25, abs=1e-6)


def test_numbers_that_are_not_finite_are_seen():
    base = logits(1, 2, 4, 1)
    base[1, 2] = np.nan
    with np.errstate(invalid="ignore"):
        found = compare(base, logits(2, 2, 4, 1), np.array([0, 1]))
    assert not found.is_finite
    assert compare(base[:1], base[:1], np.array([0])).is_finite


def test_blocks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="logits of"):
        compare(logits(1, 2, 4, 1), logits(1, 2, 5, 1), np.array([0, 1]))


def test_no_part_is_no_token():
    assert len(joined([])) == 0
    assert isinstance(joined([]), TokenMeasures)
