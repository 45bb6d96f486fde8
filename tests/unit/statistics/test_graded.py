"""Graded scores: clustered t and paired BCa, and what they say when nothing varies."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.statistics.simulation import tolerance
from tidegate.statistics import clustered_difference, paired_bca, unit_means

differences = st.lists(st.floats(-1, 1), min_size=2, max_size=40)


@given(differences, st.data())
def test_bounds_surround_the_mean_and_stay_in_range(values: list[float], data: st.DataObject):
    clusters = data.draw(st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values)))
    found = clustered_difference(values, clusters)

    assert -1 - 1e-9 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= 1 + 1e-9
    assert found.units == len(set(clusters))


@given(differences)
def test_the_other_way_round_is_the_mirror(values: list[float]):
    ours, theirs = clustered_difference(values), clustered_difference([-value for value in values])

    assert (ours.low, ours.high) == pytest.approx((-theirs.high, -theirs.low))


def test_without_clusters_it_is_students_paired_interval():
    found = clustered_difference([0.1, 0.3, -0.1, 0.2])

    # mean 0.125, sd 0.170783, t(0.95, 3) = 2.353363
    assert found.high == pytest.approx(0.125 + 2.353363 * 0.170783 / 2, abs=1e-5)


def test_copies_of_a_question_in_its_cluster_add_no_certainty():
    once = clustered_difference([0.1, 0.3, -0.1, 0.2])
    copied = clustered_difference([0.1, 0.3, -0.1, 0.2] * 5, ["a", "b", "c", "d"] * 5)

    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))


def test_related_questions_fool_the_naive_interval_and_not_the_clustered_one():
    draw, rounds, groups, size = np.random.default_rng(83), 600, 10, 20
    shared = draw.normal(0, math.sqrt(0.3), (rounds, groups, 1))
    values = ((shared + draw.normal(0, math.sqrt(0.7), (rounds, groups, size))) * 0.1).clip(-1, 1)
    clusters = np.repeat(np.arange(groups), size).tolist()
    naive = clustered = 0
    for row in values.reshape(rounds, -1).tolist():
        simple, robust = clustered_difference(row, alpha=0.025), clustered_difference(row, clusters, 0.025)
        naive += not simple.low <= 0 <= simple.high
        clustered += not robust.low <= 0 <= robust.high

    assert naive / rounds > 0.3
    assert abs(clustered / rounds - 0.05) <= tolerance(0.05, rounds)


def test_a_real_drop_is_found_as_often_as_students_test_promises():
    draw, rounds = np.random.default_rng(89), 600
    # Shift 0.05, sd 0.2, n 100: power of a one-sided t test at 0.05 is 0.799.
    rows = draw.normal(-0.05, 0.2, (rounds, 100)).tolist()
    found = sum(clustered_difference(row).high < 0 for row in rows) / rounds

    assert abs(found - 0.80) <= tolerance(0.8, rounds)


def test_three_equal_answers_prove_nothing_and_59_prove_five_points():
    assert clustered_difference([0.0] * 3).low < -0.6
    assert clustered_difference([0.0] * 58).low < -0.05
    assert clustered_difference([0.0] * 59).low > -0.05
    assert paired_bca([0.0] * 59, np.random.default_rng(0)) == clustered_difference([0.0] * 59)


def test_clusters_that_all_differ_alike_are_no_certainty_either():
    found = clustered_difference([0.1, -0.1] * 10, [index // 2 for index in range(20)])

    assert (found.units, found.low < -0.2, found.high > 0.2) == (10, True, True)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.95])
def test_an_error_rate_that_is_none_is_refused(alpha: float):
    for bounds in (
        clustered_difference,
        lambda values, **rest: paired_bca(values, np.random.default_rng(0), **rest),
    ):
        with pytest.raises(ValueError, match="alpha"):
            bounds([0.1, 0.2], alpha=alpha)


def test_a_single_cluster_bounds_nothing():
    found = clustered_difference([0.1, 0.2, 0.3], ["one"] * 3)

    assert (found.low, found.high, found.units) == (-1, 1, 1)


def test_samples_of_a_question_are_averaged_before_they_count():
    assert unit_means(["a", "b", "a"], [1.0, 0.5, 0.0]) == {"a": 0.5, "b": 0.5}


def test_equal_seeds_give_equal_bounds():
    values = np.random.default_rng(1).uniform(-1, 0.5, 40).tolist()

    assert paired_bca(values, np.random.default_rng(7)) == paired_bca(values, np.random.default_rng(7))


def test_bca_bounds_err_about_as_often_as_they_say_on_skewed_scores():
    draw, rounds = np.random.default_rng(97), 400
    rows = (0.2 - draw.exponential(0.2, (rounds, 60))).clip(-1, 1)
    low = high = 0
    for row in rows.tolist():
        found = paired_bca(row, draw, resamples=499)
        low += found.low > 0
        high += found.high < 0

    # One point of allowance: the method is exact only in the limit of many questions.
    assert low / rounds <= 0.06 + tolerance(0.05, rounds)
    assert high / rounds <= 0.06 + tolerance(0.05, rounds)


@pytest.mark.parametrize("values", [[], [1.2], [math.nan]])
def test_differences_that_cannot_be_are_refused(values: list[float]):
    for bounds in (clustered_difference, lambda given: paired_bca(given, np.random.default_rng(0))):
        with pytest.raises(ValueError, match="between -1 and 1"):
            bounds(values)


def test_a_missing_cluster_is_refused():
    with pytest.raises(ValueError, match="cluster for each of 2"):
        clustered_difference([0.1, 0.2], ["a"])
