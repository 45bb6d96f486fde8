"""Betting on a margin: valid at the boundary, early on both sides, independent of batches."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.statistics.simulation import paired_paths, stops, tolerance
from tidegate.domain import Verdict
from tidegate.statistics import bet_on_margin, log_capitals

scores = st.lists(st.floats(-1, 1), max_size=60)
ROUNDS = 1000


def test_an_equal_candidate_passes_and_a_ruined_one_fails():
    assert bet_on_margin([0.0] * 200, 0.05).verdict is Verdict.PASS
    assert bet_on_margin([-1.0] * 20, 0.05).verdict is Verdict.FAIL


def test_too_few_answers_are_not_judged():
    found = bet_on_margin([0.0] * 20, 0.05)

    assert (found.verdict, found.used) == (Verdict.NOT_JUDGED, 20)
    assert 1 < found.capital_within < 20


def test_nothing_seen_is_not_judged():
    found = bet_on_margin([], 0.05)

    assert (found.verdict, found.capital_within, found.capital_beyond) == (Verdict.NOT_JUDGED, 1, 1)


@given(scores, st.integers(0, 60), st.floats(0, 0.5))
def test_a_decision_depends_on_the_order_and_never_on_when_somebody_looked(
    values: list[float], look: int, margin: float
):
    early, late = bet_on_margin(values[:look], margin), bet_on_margin(values, margin)

    if early.verdict is not Verdict.NOT_JUDGED:
        assert early == late


@given(scores, st.floats(0, 0.9))
def test_no_value_can_ruin_either_side(values: list[float], margin: float):
    for capital in log_capitals(values, margin):
        assert np.all(np.isfinite(capital))
        assert np.all(np.diff(capital, prepend=0.0) >= math.log(1 - 0.75) - 1e-9)


@given(scores, st.integers(0, 59), st.floats(-1, 1))
def test_what_is_bet_does_not_know_the_value_it_bets_on(values: list[float], place: int, other: float):
    changed = [other if index == place else value for index, value in enumerate(values)]

    for ours, theirs in zip(log_capitals(values, 0.05), log_capitals(changed, 0.05), strict=True):
        np.testing.assert_array_equal(ours[:place], theirs[:place])


@pytest.mark.parametrize("discordant", [0.05, 0.1, 0.3])
def test_at_the_margin_each_side_errs_at_most_as_often_as_it_says(discordant: float):
    paths = paired_paths(np.random.default_rng(61), ROUNDS, 1000, 0.05, discordant)

    within, beyond = (stops(capital)[0] for capital in log_capitals(paths, 0.05))

    assert within <= 0.05 + tolerance(0.05, ROUNDS)
    assert beyond <= 0.05 + tolerance(0.05, ROUNDS)


def test_graded_scores_at_the_margin_seldom_pass():
    draw = np.random.default_rng(67)
    # Skewed differences whose mean is exactly -0.05.
    differences = np.clip(0.15 - draw.exponential(0.2, (ROUNDS, 800)), -1, 1)
    differences -= differences.mean() + 0.05

    within, _ = stops(log_capitals(differences, 0.05)[0])

    assert within <= 0.05 + tolerance(0.05, ROUNDS)


def test_stopping_early_is_nearly_free_for_an_equal_candidate():
    paths = paired_paths(np.random.default_rng(71), ROUNDS, 1000, 0.0, 0.1)

    power, median = stops(log_capitals(paths, 0.05)[0])

    assert power > 0.93
    assert median == pytest.approx(248, rel=0.1)


@pytest.mark.parametrize(("drop", "at_most"), [(0.10, 200), (0.15, 110), (0.25, 60)])
def test_a_candidate_beyond_the_margin_fails_early(drop: float, at_most: int):
    paths = paired_paths(np.random.default_rng(73), ROUNDS, 1000, drop, max(drop, 0.1))

    power, median = stops(log_capitals(paths, 0.05)[1])

    assert power > 0.95
    assert median <= at_most


@pytest.mark.parametrize(
    ("values", "margin"), [([1.5], 0.05), ([math.nan], 0.05), ([0.0], 1.0), ([0.0], -0.1)]
)
def test_impossible_scores_and_margins_are_refused(values: list[float], margin: float):
    with pytest.raises(ValueError, match="must lie between"):
        bet_on_margin(values, margin)
