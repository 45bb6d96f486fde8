"""Looks at block pairs: how the error rate is divided, and what that does to candidates that are known to be what."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.policy import LatencyMargin, LoadBudget, LoadDesign, PerformancePolicy
from tidegate.statistics import paired_log_ratio
from tidegate.steps.looks import (
    Look,
    allowed_ms,
    excesses,
    look_after,
    most_pairs,
    pairs_of_next_round,
    stops_early,
)

MARGIN = LatencyMargin(max_slowdown=0.15, floor_ms=5)
POLICY = PerformancePolicy()


def policy(
    pairs: int = 10, most: int | None = None, *, early: bool = True, step: int = 2
) -> PerformancePolicy:
    return PerformancePolicy(
        design=LoadDesign(block_pairs=pairs, requests_per_block=10),
        budget=LoadBudget(max_block_pairs=most, step_block_pairs=step),
        early_stopping=early,
    )


def looks_of(chosen: PerformancePolicy) -> list[Look]:
    """All looks of a release that is never decided."""
    most = most_pairs(chosen)
    found = [look_after(pairs, chosen, is_spent=pairs == most) for pairs in range(1, most + 1)]
    return [look for look in found if look is not None]


@given(st.integers(3, 30), st.integers(0, 30), st.booleans(), st.integers(1, 9), st.floats(0.01, 0.2))
@settings(max_examples=100, deadline=None)
def test_all_looks_together_use_no_more_than_alpha(
    pairs: int, more: int, early: bool, step: int, alpha: float
):
    chosen = policy(pairs, pairs + more, early=early, step=step).model_copy(update={"alpha": alpha})

    looks = looks_of(chosen)

    by_interval = sum(look.alpha for look in looks if look.kind != "early")
    once = max((look.alpha for look in looks if look.kind == "early"), default=0.0)
    assert by_interval + once <= alpha + 1e-5
    assert [look.kind for look in looks if look.kind != "early"] == ["planned", *(["final"] if more else [])]


@given(st.integers(3, 30), st.integers(0, 30), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_rounds_end_exactly_at_the_planned_end_and_at_the_end_of_the_budget(pairs: int, more: int, step: int):
    chosen, ends = policy(pairs, pairs + more, step=step), [0]
    while size := pairs_of_next_round(ends[-1], chosen):
        assert size <= step
        ends.append(ends[-1] + size)

    assert pairs in ends
    assert ends[-1] == pairs + more


def test_pairs_that_may_not_decide_are_made_up_for_by_as_many_as_the_budget_has():
    chosen = policy(6, 12, step=2)

    assert pairs_of_next_round(0, chosen, wasted=12) == 2
    assert pairs_of_next_round(4, chosen, wasted=19) == 1
    assert pairs_of_next_round(4, chosen, wasted=20) == 0
    paid = chosen.model_copy(update={"budget": LoadBudget(max_block_pairs=12, max_requests=10_000)})
    assert pairs_of_next_round(4, paid, wasted=8) == 0


def test_a_budget_of_requests_is_a_budget_of_pairs():
    limited = policy().model_copy(update={"budget": LoadBudget(max_requests=250)})

    assert most_pairs(limited) == 12


def test_a_budget_that_ends_early_gives_its_look_what_the_planned_end_would_have_had():
    look = look_after(6, policy(), is_spent=True)

    assert look == Look("final", 6, 0.04)
    assert look_after(10, policy(), is_spent=False) == Look("planned", 10, 0.03)
    assert look_after(10, policy(most=10, early=False), is_spent=True) == Look("planned", 10, 0.05)


def test_a_difference_below_the_floor_is_inside_whatever_its_ratio():
    assert allowed_ms(1.0, MARGIN) == 6.0
    assert allowed_ms(100.0, MARGIN) == pytest.approx(115.0)
    assert excesses([5.0, 120.0], [1.0, 100.0], MARGIN) == pytest.approx([5 / 6, 120 / 115])


def test_every_metric_must_be_inside_for_an_early_pass_and_one_beyond_fails():
    look = Look("early", 9, 0.01)
    inside, beyond = [0.9] * 9, [1.3 + index / 100 for index in range(9)]

    assert stops_early(look, [inside, inside], POLICY) == "pass"
    assert stops_early(look, [inside, beyond], POLICY) == "fail"
    assert stops_early(look, [inside, [0.9, 1.1] * 4 + [0.9]], POLICY) == ""
    assert stops_early(look, [], POLICY) == ""


def verdicts_of(chosen: PerformancePolicy, ratio: float, spread: float, seed: int) -> tuple[str, int]:
    """Verdict and pairs used of one metric whose candidate is truly this many times as slow."""
    most = most_pairs(chosen)
    logs = np.random.default_rng(seed).normal(math.log(ratio), spread, most)
    excess = [float(value) for value in np.exp(logs) / MARGIN.max_ratio]
    for pairs in range(1, most + 1):
        look = look_after(pairs, chosen, is_spent=pairs == most)
        if look is None:
            continue
        if look.kind == "early":
            if said := stops_early(look, [excess[:pairs]], chosen):
                return said, pairs
            continue
        found = paired_log_ratio(excess[:pairs], [1.0] * pairs, look.alpha)
        if found.high < 1 or found.low > 1:
            return ("pass" if found.high < 1 else "fail"), pairs
    return "not judged", most


@pytest.mark.parametrize("spread", [0.05, 0.3])
def test_simulated_at_the_margin_neither_verdict_errs_more_often_than_it_says(spread: float):
    """400 releases of a candidate exactly at the margin; 5 % and three standard errors are 33."""
    found = [verdicts_of(policy(), MARGIN.max_ratio, spread, seed)[0] for seed in range(400)]

    assert found.count("pass") <= 33
    assert found.count("fail") <= 33


def test_simulated_an_equal_candidate_passes_and_a_slow_one_is_out_before_the_planned_end():
    equal = [verdicts_of(policy(), 1.0, 0.1, seed) for seed in range(200)]
    slow = [verdicts_of(policy(), 1.6, 0.1, seed) for seed in range(200)]

    assert sum(verdict == "pass" for verdict, _ in equal) >= 190
    assert all(verdict == "fail" for verdict, _ in slow)
    assert sorted(pairs for _, pairs in slow)[100] < 10
