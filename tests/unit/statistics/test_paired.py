"""Tests on paired answers: against exact enumeration, published behaviour and simulation."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.statistics.simulation import paired_counts, rate_of, tolerance
from tidegate.statistics import (
    detectable_drop,
    largest_loss,
    mcnemar_exact,
    shows_non_inferiority,
    smallest_bank,
    tango_interval,
    tango_z,
)

discordant = st.tuples(st.integers(0, 60), st.integers(0, 60))


@given(discordant)
def test_mcnemar_equals_the_enumerated_binomial_tail(counts: tuple[int, int]):
    losses, wins = counts
    trials = losses + wins
    enumerated = sum(math.comb(trials, k) for k in range(losses, trials + 1)) / 2**trials
    assert mcnemar_exact(losses, wins) == pytest.approx(enumerated, rel=1e-9)


@given(discordant)
def test_one_more_loss_is_always_stronger_evidence_of_a_regression(counts: tuple[int, int]):
    losses, wins = counts
    assert mcnemar_exact(losses + 1, wins) <= mcnemar_exact(losses, wins) + 1e-12


def test_mcnemar_errs_at_most_as_often_as_it_says():
    draw = random.Random(7)
    alarms = sum(mcnemar_exact(losses := _coins(draw, 20), 20 - losses) <= 0.05 for _ in range(2000))
    assert alarms / 2000 <= 0.06


@pytest.mark.parametrize(("margin", "needed"), [(0.05, 52), (0.03, 88), (0.02, 133), (0.01, 268)])
def test_smallest_bank_without_a_differing_answer(margin: float, needed: int):
    assert smallest_bank(margin) == needed
    assert shows_non_inferiority(0, 0, needed, margin)
    assert not shows_non_inferiority(0, 0, needed - 1, margin)


def test_tango_agrees_with_a_restricted_likelihood_searched_numerically():
    losses, wins, pairs, margin = 9, 4, 80, 0.05

    def log_likelihood(win_share: float) -> float:
        same = 1 - 2 * win_share - margin
        return losses * math.log(win_share + margin) + wins * math.log(win_share) + 67 * math.log(same)

    grid = [step / 200_000 for step in range(1, 90_000)]
    win_share = max(grid, key=log_likelihood)
    variance = pairs * (2 * win_share + margin * (1 - margin))
    expected = (losses - wins - pairs * margin) / math.sqrt(variance)
    assert tango_z(losses, wins, pairs, margin) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("pairs", [100, 150, 200, 400])
@pytest.mark.parametrize(("margin", "discordant"), [(0.05, 0.05), (0.05, 0.13), (0.03, 0.2)])
def test_a_candidate_exactly_at_the_margin_seldom_passes(pairs: int, margin: float, discordant: float):
    counts = paired_counts(np.random.default_rng(11), 4000, pairs, margin, discordant)

    passed = rate_of(counts, lambda losses, wins: shows_non_inferiority(losses, wins, pairs, margin))

    # The exact size of the score test lies between 2.4 and 5.7 % from 100 pairs on.
    assert passed <= 0.057 + tolerance(0.057, 4000)


def test_the_wald_interval_would_pass_such_a_candidate_twice_as_often_as_it_says():
    pairs, margin = 150, 0.05
    counts = paired_counts(np.random.default_rng(13), 4000, pairs, margin, 0.05)

    def wald_passes(losses: int, wins: int) -> bool:
        loss = (losses - wins) / pairs
        error = math.sqrt(max(0.0, (losses + wins) / pairs - loss**2) / pairs)
        return loss + 1.645 * error < margin

    assert rate_of(counts, wald_passes) > 0.09


@given(st.integers(1, 200), st.data())
def test_the_interval_of_the_loss_is_the_mirror_of_that_of_the_gain(pairs: int, data: st.DataObject):
    losses = data.draw(st.integers(0, pairs))
    wins = data.draw(st.integers(0, pairs - losses))
    ours, theirs = tango_interval(losses, wins, pairs), tango_interval(wins, losses, pairs)

    assert ours.low - 1e-6 <= (losses - wins) / pairs <= ours.high + 1e-6
    assert ours == pytest.approx((-theirs.high, -theirs.low))


def test_the_ends_of_the_interval_are_where_the_score_is_1_96():
    low, high = tango_interval(9, 4, 80)

    assert (tango_z(9, 4, 80, low), tango_z(9, 4, 80, high)) == pytest.approx((1.96, -1.96), abs=1e-3)
    assert tango_interval(0, 0, 0) == (-1, 1)


def test_the_interval_of_the_loss_covers_it_about_as_often_as_it_says():
    counts = paired_counts(np.random.default_rng(17), 3000, 100, 0.05, 0.15)

    covered = rate_of(counts, lambda b, c: (found := tango_interval(b, c, 100)).low <= 0.05 <= found.high)

    assert abs(covered - 0.95) <= 0.01 + tolerance(0.95, 3000)


@given(st.integers(1, 200), st.data())
def test_largest_loss_is_the_margin_where_the_test_begins_to_pass(pairs: int, data: st.DataObject):
    losses = data.draw(st.integers(0, pairs))
    wins = data.draw(st.integers(0, pairs - losses))
    bound = largest_loss(losses, wins, pairs)
    assert bound >= (losses - wins) / pairs - 1e-6
    if bound < 0.999:
        assert shows_non_inferiority(losses, wins, pairs, min(bound + 1e-3, 0.9999))
    if -0.99 < bound < 0.999:
        assert not shows_non_inferiority(losses, wins, pairs, bound - 1e-3)


def test_nothing_is_known_without_pairs():
    assert largest_loss(0, 0, 0) == 1.0
    assert detectable_drop(0) == 1.0
    assert not shows_non_inferiority(0, 0, 0, 0.05)


@pytest.mark.parametrize(
    ("pairs", "discordant_share", "drop"), [(771, 0.05, 0.02), (685, 0.10, 0.03), (495, 0.20, 0.05)]
)
def test_detectable_drop_agrees_with_the_published_sample_sizes(
    pairs: int, discordant_share: float, drop: float
):
    assert detectable_drop(pairs, discordant_share) == pytest.approx(drop, rel=0.01)


@pytest.mark.parametrize(("losses", "wins", "pairs"), [(-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(losses: int, wins: int, pairs: int):
    with pytest.raises(ValueError, match="losses"):
        tango_z(losses, wins, pairs, 0.05)


def _coins(draw: random.Random, number: int) -> int:
    return sum(draw.random() < 0.5 for _ in range(number))
