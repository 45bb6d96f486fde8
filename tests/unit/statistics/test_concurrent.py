"""Shares of two sets at the same moments: the errors that are promised hold under any peeking, and the power is there."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.statistics.concurrent_paths import many_paths
from tidegate.statistics.block_signs import MEMORY_BLOCKS, sign_path
from tidegate.statistics.concurrent import (
    RateBlock,
    block_evidence,
    closest_pair,
    limit_paths,
    rate_paths,
    requests_until_within,
)

shares = st.floats(1e-3, 0.999)
margins = st.floats(1e-3, 0.9) | st.floats(-0.9, -1e-3)


def reached(paths: np.ndarray, alpha: float) -> float:
    """Share of runs whose capital was 1 / alpha at any look: whoever peeks in whatever pattern sees no more."""
    return float((paths.max(axis=1) >= math.log(1 / alpha)).mean())


def allowed(rate: float, runs: int) -> float:
    return rate + 3 * math.sqrt(rate * (1 - rate) / runs)


@given(shares, shares, st.integers(1, 300), st.integers(1, 300), margins)
def test_the_closest_pair_is_where_the_distance_stops_falling(
    p: float, q: float, old: int, new: int, gap: float
):
    x, y = closest_pair(p, q, old, new, gap)

    def slope(at: float) -> float:
        return old * (at - p) / (at * (1 - at)) + new * (at + gap - q) / ((at + gap) * (1 - at - gap))

    low, high = max(0.0, -gap), min(1.0, 1.0 - gap)
    assert low < x < high
    assert y == pytest.approx(x + gap)
    for step in (1e-6, 1e-4):
        if x + step < high:
            assert slope(x + step) > 0
        if x - step > low:
            assert slope(x - step) < 0


@settings(max_examples=50)
@given(shares, shares, st.integers(1, 5), st.integers(1, 5), st.floats(0.01, 0.5), shares, st.floats(0, 1))
def test_the_mean_of_one_block_is_at_most_one_wherever_the_hypothesis_holds(
    p: float, q: float, old: int, new: int, gap: float, true_old: float, below: float
):
    """Exactly, over all outcomes: against "q <= p + gap", for a bet on harm."""
    if q <= p + gap:
        return
    true_new = min(true_old + gap, 1.0) * below
    mean = sum(
        math.comb(old, i) * true_old**i * (1 - true_old) ** (old - i)
        * math.comb(new, k) * true_new**k * (1 - true_new) ** (new - k)
        * math.exp(block_evidence(RateBlock(i, old, k, new), p, q, gap))
        for i in range(old + 1)
        for k in range(new + 1)
    )  # fmt: skip
    assert mean <= 1 + 1e-6


def test_the_fast_paths_of_the_simulations_are_the_paths_of_the_judge():
    counts = many_paths.draw(np.random.default_rng(3), 4, 60, (0.02, 0.05), (30, 6))
    beyond, within = many_paths(counts, 0.02)
    for run in range(4):
        blocks = [RateBlock(*row) for row in counts[run].tolist()]
        paths = rate_paths(blocks, 0.02)
        assert beyond[run] == pytest.approx(paths.beyond)
        assert within[run] == pytest.approx(paths.within)


@pytest.mark.parametrize(
    ("base", "new", "margin"),
    [(0.005, 0.005, 0.02), (0.005, 0.025, 0.02), (0.3, 0.3, 0.01)],
    ids=["equal", "at the margin", "many events"],
)
def test_a_set_inside_its_margin_is_stopped_in_at_most_alpha_of_ten_thousand_runs(
    base: float, new: float, margin: float
):
    counts = many_paths.draw(np.random.default_rng(17), 10_000, 50, (base, new), (45, 5))
    assert reached(many_paths(counts, margin)[0], 0.05) <= allowed(0.05, 10_000)


def test_a_set_at_the_margin_passes_in_at_most_alpha_of_ten_thousand_runs():
    counts = many_paths.draw(np.random.default_rng(19), 10_000, 50, (0.02, 0.04), (45, 5))
    assert reached(many_paths(counts, 0.02)[1], 0.05) <= allowed(0.05, 10_000)


def test_shares_may_drift_as_long_as_both_sets_drift():
    """Ten times the errors in the second half, on both: a test against what was before would stop it."""
    generator = np.random.default_rng(23)
    halves = [many_paths.draw(generator, 2_000, 50, (share, share), (45, 5)) for share in (0.01, 0.1)]
    beyond, _ = many_paths(np.concatenate(halves, axis=1), 0.02)
    assert reached(beyond, 0.05) <= allowed(0.05, 2_000)


@pytest.mark.parametrize(
    ("base", "new", "most"),
    [(0.005, 1.0, 8), (0.005, 0.3, 30), (0.005, 0.1, 200)],
    ids=["all", "30 %", "10 %"],
)
def test_harm_is_seen_after_so_many_requests_on_the_new_set(base: float, new: float, most: int):
    """A ninth of the traffic, at 1 in 600: the share of alpha of one of some tests and steps."""
    counts = many_paths.draw(np.random.default_rng(29), 300, 400, (base, new), (9, 1))
    hits = many_paths(counts, 0.02)[0] >= math.log(600)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 10**6)
    assert np.median(first) <= most


def test_harm_that_begins_late_is_seen_as_well():
    generator = np.random.default_rng(31)
    good = many_paths.draw(generator, 200, 300, (0.005, 0.005), (45, 5))
    bad = many_paths.draw(generator, 200, 60, (0.005, 0.3), (45, 5))
    beyond, _ = many_paths(np.concatenate([good, bad], axis=1), 0.02)
    hits = beyond >= math.log(600)
    assert hits[:, 300:].any(axis=1).all()
    assert np.median(hits.argmax(axis=1)) <= 320


def test_equal_sets_pass_near_the_planned_number_of_requests():
    planned = requests_until_within(0.02, 0.005, 9.0, math.log(20))
    counts = many_paths.draw(np.random.default_rng(37), 500, 300, (0.005, 0.005), (27, 3))
    hits = many_paths(counts, 0.02)[1] >= math.log(20)
    first = np.where(hits.any(axis=1), (hits.argmax(axis=1) + 1) * 3, 10**6)
    assert 0.5 * planned <= np.median(first) <= 1.5 * planned
    assert (first < 10**6).mean() >= 0.9


def test_without_any_failure_the_exact_bound_is_nearly_reached():
    """(1 - margin)^n <= alpha needs 149 requests whoever tests."""
    paths = rate_paths([RateBlock(0, 9, 0, 1)] * 200, 0.02)
    first = next(n for n, value in enumerate(paths.within, 1) if value >= math.log(20))
    assert 149 <= first <= 165


def test_a_block_without_one_of_the_sets_says_nothing():
    paths = rate_paths([RateBlock(0, 0, 5, 5), RateBlock(3, 9, 0, 0)], 0.02)
    assert paths.beyond == paths.within == (0.0, 0.0)


def test_a_block_that_is_known_to_miss_requests_is_no_proof_of_health_but_may_show_harm():
    healthy = rate_paths([RateBlock(0, 9, 0, 9, False)] * 50, 0.02)
    harmful = rate_paths([RateBlock(0, 9, 9, 9, False)] * 5, 0.02)
    assert set(healthy.within) == {0.0}
    assert harmful.beyond[-1] > math.log(1000)


def test_both_ways_a_smaller_share_is_a_change_too():
    fewer = rate_paths([RateBlock(8, 10, 1, 10)] * 20, 0.2, both_ways=True)
    same = rate_paths([RateBlock(5, 10, 5, 10)] * 40, 0.2, both_ways=True)
    assert fewer.beyond[-1] > math.log(1000)
    assert same.within[-1] > math.log(20)
    assert same.beyond[-1] < 0


def test_against_a_fixed_share_both_errors_hold():
    generator = np.random.default_rng(41)
    events = generator.binomial(5, 0.05, (1_000, 60)).tolist()
    runs = [limit_paths([(k, 5, True) for k in row], 0.05) for row in events]
    for of in ("beyond", "within"):
        paths = np.array([getattr(run, of) for run in runs])
        assert reached(paths, 0.05) <= allowed(0.05, 1_000)


def test_signs_that_are_hits_half_of_the_time_seldom_look_like_evidence():
    signs = np.random.default_rng(43).random((3_000, 100)) < 0.5
    for memory in (math.inf, MEMORY_BLOCKS):
        paths = np.array([sign_path(row, memory) for row in signs.tolist()])
        assert reached(paths, 0.05) <= allowed(0.05, 3_000)


def test_eight_unanimous_blocks_decide_at_one_in_twenty():
    path = sign_path([True] * 10)
    assert next(n for n, value in enumerate(path, 1) if value >= math.log(20)) <= 8
