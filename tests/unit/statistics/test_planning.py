"""Sizes and minimum effects: published tables, exact power, and the sentences that gates print."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.statistics.simulation import paired_counts, rate_of, tolerance
from tidegate.statistics import (
    detectable_drop,
    detectable_ratio,
    mcnemar_exact,
    mcnemar_power,
    paired_log_ratio,
    pairs_for_limit,
    plan_latency,
    plan_quality,
    provable_margin,
    questions_for_drop,
    questions_for_margin,
    ratio_power,
    requests_for_share,
    share_p_value,
    shows_non_inferiority,
    smallest_bank,
)

# (discordant share, effect): questions for a fail of that drop, for a proof of that margin.
TABLE = {
    (0.05, 0.02): (771, 774), (0.05, 0.03): (342, 344), (0.05, 0.05): (122, 124),
    (0.10, 0.02): (1544, 1547), (0.10, 0.03): (685, 688), (0.10, 0.05): (246, 248),
    (0.20, 0.02): (3090, 3090), (0.20, 0.03): (1375, 1375), (0.20, 0.05): (495, 495),
}  # fmt: skip


@pytest.mark.parametrize(("setting", "sizes"), TABLE.items())
def test_sizes_agree_with_the_table_for_80_percent_power(
    setting: tuple[float, float], sizes: tuple[int, int]
):
    discordant, effect = setting

    assert questions_for_drop(effect, discordant) == pytest.approx(sizes[0], abs=3)
    assert questions_for_margin(effect, discordant) == pytest.approx(sizes[1], abs=3)


@given(st.floats(0.01, 0.3), st.floats(0.01, 0.5), st.floats(0.01, 0.1), st.floats(0.5, 0.95))
def test_what_a_bank_detects_and_what_it_needs_are_inverse(
    drop: float, discordant: float, alpha: float, power: float
):
    needed = questions_for_drop(drop, discordant, alpha, power)

    assert detectable_drop(needed, discordant, alpha, power) <= drop * (1 + 1e-6)
    assert detectable_drop(needed - 1, discordant, alpha, power) > drop * (1 - 1e-6)


@given(st.integers(20, 5000), st.floats(0.01, 0.5))
def test_a_provable_margin_needs_no_more_questions_than_there_are(pairs: int, discordant: float):
    margin = provable_margin(pairs, discordant)

    assert questions_for_margin(margin, discordant) <= pairs
    assert questions_for_margin(margin * 0.98, discordant) > pairs * 0.98


def test_a_bank_of_fifty_shows_nothing_under_ten_points():
    assert detectable_drop(50) > 0.1
    assert provable_margin(50) > 0.1
    assert detectable_drop(2) == provable_margin(0) == 1.0


@pytest.mark.parametrize(
    ("pairs", "drop", "discordant"), [(246, 0.05, 0.1), (100, 0.0, 0.2), (60, 0.15, 0.25)]
)
def test_exact_power_is_the_rate_of_alarms_in_simulation(pairs: int, drop: float, discordant: float):
    counts = paired_counts(np.random.default_rng(137), 4000, pairs, drop, discordant)
    alarms = rate_of(counts, lambda losses, wins: mcnemar_exact(losses, wins) <= 0.05)
    power = mcnemar_power(pairs, drop, discordant)

    assert abs(alarms - power) <= tolerance(power, 4000)


@pytest.mark.parametrize("discordant", [0.05, 0.1, 0.3])
def test_exact_mcnemar_at_the_planned_size_has_nearly_the_planned_power_and_keeps_its_size(discordant: float):
    needed = questions_for_drop(0.05, discordant)

    assert 0.70 <= mcnemar_power(needed, 0.05, discordant) <= 0.82
    assert mcnemar_power(needed, 0.0, discordant) <= 0.05


@pytest.mark.parametrize(("margin", "discordant"), [(0.05, 0.1), (0.03, 0.05), (0.05, 0.2)])
def test_an_equal_candidate_passes_at_the_planned_size_as_often_as_planned(margin: float, discordant: float):
    needed = questions_for_margin(margin, discordant)
    counts = paired_counts(np.random.default_rng(139), 3000, needed, 0.0, discordant)
    passed = rate_of(counts, lambda losses, wins: shows_non_inferiority(losses, wins, needed, margin))

    # The formula is for large n; Tango's exacting variance costs up to 4 points of power here.
    assert 0.75 <= passed <= 0.85


@pytest.mark.parametrize(("pairs", "limit", "true"), [(10, 1.15, 1.0), (6, 1.5, 1.0), (10, 1.15, 1.1)])
def test_power_of_block_pairs_is_the_rate_of_passes_in_simulation(pairs: int, limit: float, true: float):
    draw, rounds = np.random.default_rng(149), 1000
    ratios = true * draw.lognormal(0, 0.15, (rounds, pairs))
    passed = sum(paired_log_ratio(row, [1.0] * pairs).high < limit for row in ratios.tolist()) / rounds

    assert abs(passed - ratio_power(pairs, limit, 0.15, true)) <= tolerance(
        min(max(passed, 0.05), 0.95), rounds
    )


@given(st.floats(1.05, 3), st.floats(0.01, 0.5))
def test_the_planned_pairs_are_the_fewest_that_have_the_power(limit: float, spread: float):
    needed = pairs_for_limit(limit, spread)

    assert needed is not None
    assert ratio_power(needed, limit, spread) >= 0.8
    assert needed == 2 or ratio_power(needed - 1, limit, spread) < 0.8


@given(st.integers(2, 40), st.floats(1, 3), st.floats(0.01, 1))
def test_a_detectable_slowdown_lies_beyond_the_limit_and_is_found(pairs: int, limit: float, spread: float):
    found = detectable_ratio(pairs, limit, spread)

    assert found > limit
    assert ratio_power(pairs, found / limit, spread) == pytest.approx(0.8, abs=1e-3)


def test_one_pair_shows_no_slowdown():
    assert detectable_ratio(1, 1.1, 0.1) == math.inf
    assert pairs_for_limit(1.0001, 1.0) is None


def test_requests_that_prove_an_error_share_have_the_power_and_keep_the_size():
    trials = requests_for_share(0.01, 0.05)
    assert trials is not None
    misses = np.random.default_rng(151).binomial(trials, [[0.05], [0.01]], (2, 4000))
    power, size = (np.mean([share_p_value(k, trials, 0.01) <= 0.05 for k in row]) for row in misses.tolist())

    assert power >= 0.8 - tolerance(0.8, 4000)
    assert size <= 0.05 + tolerance(0.05, 4000)


def test_the_plan_of_a_bank_in_words():
    assert plan_quality(50, 0.05).describe() == (
        "This bank of 50 questions can detect a drop of 12 points (80% power, 10% of the answers changing). "
        "It can show that an equal candidate loses less than 11 points; a margin of 5 points needs 248 questions."
    )
    assert "cannot detect any drop" in plan_quality(0, 0.05).describe()
    assert "can show no margin" in plan_quality(0, 0.05).describe()


def test_the_plan_of_block_pairs_in_words():
    assert plan_latency(10, 1.15, 0.12).describe() == (
        "With 10 block pairs (spread 12%) and 15% allowed, an equal candidate passes with a chance of 96%, one "
        "that is 27% slower fails with 80%. A chance of 80% to pass needs 7 pairs."
    )
    assert "no slowdown can be shown" in plan_latency(1, 1.15, 0.12).describe()
    assert "more than 10,000" in plan_latency(2, 1.0001, 1.0).describe()


@pytest.mark.parametrize(
    "call",
    [
        lambda: questions_for_drop(0.0),
        lambda: questions_for_drop(0.1, discordant_share=0.0),
        lambda: questions_for_margin(1.0),
        lambda: smallest_bank(0.0),
        lambda: mcnemar_power(50, 0.2, 0.1),
        lambda: pairs_for_limit(1.0, 0.1),
        lambda: ratio_power(5, 1.1, 0.0),
        lambda: requests_for_share(0.05, 0.05),
        lambda: detectable_drop(50, power=1.0),
        lambda: plan_quality(50, 0.05, alpha=0.5),
    ],
)
def test_impossible_settings_are_refused(call):
    with pytest.raises(ValueError, match=r"between|positive|above|exceed"):
        call()
