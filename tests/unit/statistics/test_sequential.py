"""E-values: against their integrals, under continuous peeking, and how soon they decide."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from tests.unit.statistics.simulation import evidence_along, paired_paths, stops, tolerance
from tidegate.statistics import (
    discordant_e_value,
    first_crossing,
    log_share_evidence,
    share_below_e_value,
    share_e_value,
    sign_e_value,
)

counts = st.tuples(st.integers(0, 200), st.integers(0, 200))
ROUNDS = 1000


@pytest.mark.parametrize(
    ("misses", "trials", "allowed"), [(0, 0, 0.1), (3, 20, 0.05), (0, 30, 0.2), (9, 9, 0.5)]
)
def test_the_closed_form_is_the_integral_over_all_larger_shares(misses: int, trials: int, allowed: float):
    def ratio(p: float) -> float:
        return (p / allowed) ** misses * ((1 - p) / (1 - allowed)) ** (trials - misses)

    averaged = quad(ratio, allowed, 1)[0] / (1 - allowed)

    assert share_e_value(misses, trials, allowed) == pytest.approx(averaged, rel=1e-6)


@given(st.integers(0, 40), st.floats(0.01, 0.99))
def test_the_expected_e_value_at_the_allowed_share_is_one(trials: int, allowed: float):
    values = [share_e_value(k, trials, allowed) for k in range(trials + 1)]
    chances = [math.comb(trials, k) * allowed**k * (1 - allowed) ** (trials - k) for k in range(trials + 1)]

    assert math.fsum(v * c for v, c in zip(values, chances, strict=True)) == pytest.approx(1, rel=1e-6)


@given(counts)
def test_one_more_loss_is_more_evidence_and_one_more_win_is_less(pair: tuple[int, int]):
    losses, wins = pair
    now = discordant_e_value(losses, wins)

    assert discordant_e_value(losses + 1, wins) >= now * (1 - 1e-9)
    assert discordant_e_value(losses, wins + 1) <= now * (1 + 1e-9)


@given(st.integers(0, 100), st.integers(0, 100), st.floats(0.01, 0.99))
def test_evidence_for_less_is_evidence_for_more_in_the_mirror(misses: int, hits: int, allowed: float):
    below = share_below_e_value(misses, misses + hits, allowed)

    assert below == pytest.approx(share_e_value(hits, misses + hits, 1 - allowed))


@pytest.mark.parametrize("dissents", [(0, 7), (1, 11), (2, 14)])
def test_block_pairs_that_decide_by_their_signs(dissents: tuple[int, int]):
    beyond, pairs = dissents
    ratios = [1.3] * beyond + [0.9] * (pairs - beyond)

    assert sign_e_value(ratios, 1.15).within >= 20
    assert sign_e_value(ratios[:-1], 1.15).within < 20
    assert sign_e_value(ratios, 1.15).beyond < 1


def test_a_ratio_at_the_limit_counts_for_neither_side():
    assert sign_e_value([1.15] * 9, 1.15) == pytest.approx(sign_e_value([1.15] * 9, 1.15)[::-1])
    assert sign_e_value([1.15] * 9, 1.15).within < 1


def test_nothing_seen_is_no_evidence():
    assert (discordant_e_value(0, 0), share_e_value(0, 0, 0.01)) == pytest.approx((1, 1))
    assert sign_e_value([], 1.1) == pytest.approx((1, 1))


def test_where_nothing_is_allowed_one_miss_is_proof():
    assert share_e_value(1, 1000, 0) == math.inf
    assert share_e_value(0, 1000, 0) < 1


def test_large_counts_neither_overflow_nor_become_nan():
    assert share_e_value(5000, 5000, 0.001) == math.inf
    assert share_e_value(0, 100_000, 0.5) == pytest.approx(0)
    assert not np.isnan(log_share_evidence(0, 10**7, 0.9))


def test_continuous_peeking_keeps_the_error_rate_that_mcnemar_loses():
    paths = paired_paths(np.random.default_rng(41), ROUNDS, 1000, 0.0, 0.2)
    losses, discordant = (paths < 0).cumsum(axis=1), (paths != 0).cumsum(axis=1)
    most = int(discordant.max()) + 1
    critical = np.array([_critical_losses(number) for number in range(most)])
    peeking = (losses >= critical[discordant]).any(axis=1).mean()

    alarms, _ = stops(evidence_along(losses, discordant, 0.5))

    assert peeking > 0.15
    assert alarms <= 0.031 + tolerance(0.031, ROUNDS)


@pytest.mark.parametrize(
    ("drop", "discordant", "median"), [(0.06, 0.1, 149), (0.10, 0.2, 111), (0.15, 0.25, 63)]
)
def test_a_worse_candidate_is_stopped_early(drop: float, discordant: float, median: float):
    paths = paired_paths(np.random.default_rng(43), ROUNDS, 1000, drop, discordant)

    power, stopped = stops(evidence_along((paths < 0).cumsum(1), (paths != 0).cumsum(1), 0.5))

    assert power > 0.95
    assert stopped == pytest.approx(median, rel=0.25)


@pytest.mark.parametrize(("allowed", "true", "median"), [(0.01, 0.05, 108), (0.05, 0.30, 10)])
def test_errors_beyond_the_allowed_share_are_found_soon(allowed: float, true: float, median: float):
    misses = (np.random.default_rng(47).random((ROUNDS, 600)) < true).cumsum(axis=1)

    power, stopped = stops(evidence_along(misses, np.arange(1, 601), allowed))

    assert power > 0.97
    assert stopped == pytest.approx(median, rel=0.3)


@pytest.mark.parametrize("share", [0.01, 0.005])
def test_an_allowed_share_of_errors_seldom_alarms_however_often_one_looks(share: float):
    misses = (np.random.default_rng(53).random((ROUNDS, 1000)) < share).cumsum(axis=1)

    alarms, _ = stops(evidence_along(misses, np.arange(1, 1001), 0.01))

    assert alarms <= 0.05 + tolerance(0.05, ROUNDS)


@given(st.lists(st.floats(-5, 10), max_size=30), st.integers(0, 30))
def test_the_first_crossing_stands_whatever_comes_later(path: list[float], cut: int):
    whole, early = first_crossing(np.array(path)), first_crossing(np.array(path[:cut]))

    if early is not None:
        assert whole == early


@pytest.mark.parametrize(
    "call",
    [
        lambda: share_e_value(3, 2, 0.1),
        lambda: share_e_value(-1, 2, 0.1),
        lambda: share_e_value(1, 2, 1.0),
        lambda: discordant_e_value(-1, 3),
        lambda: sign_e_value([0.0], 1.1),
        lambda: sign_e_value([math.nan], 1.1),
        lambda: first_crossing(np.zeros(2), 1.0),
    ],
)
def test_what_cannot_be_is_refused(call):
    with pytest.raises(ValueError, match=r"must lie|positive"):
        call()


def _critical_losses(differing: int) -> int:
    """Fewest losses of so many differing answers that exact McNemar calls significant."""
    chances = np.array([math.comb(differing, k) for k in range(differing, -1, -1)], dtype=object)
    within = np.cumsum(chances) * 20 <= 2**differing
    return differing + 1 - int(within.sum())
