"""Latency ratios from alternating blocks, under a queue whose requests are not independent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.statistics.simulation import queue_waits, tolerance
from tidegate.domain import Verdict
from tidegate.statistics import block_bootstrap_ratio, judge_ratio, quantile_ratio

blocks = st.lists(st.lists(st.floats(0.1, 100), min_size=1, max_size=5), min_size=1, max_size=6)


@given(blocks, st.floats(0.05, 20), st.sampled_from([0.5, 0.9, 0.95]))
def test_a_constant_slowdown_is_found_exactly_at_every_quantile(
    baseline: list[list[float]], factor: float, share: float
):
    candidate = [[value * factor for value in block] for block in baseline]

    assert quantile_ratio(candidate, baseline, share).ratio == pytest.approx(factor)


@given(blocks, blocks)
def test_exchanging_the_arms_turns_the_ratio_over(ours: list[list[float]], theirs: list[list[float]]):
    pairs = min(len(ours), len(theirs))
    there, back = quantile_ratio(ours[:pairs], theirs[:pairs]), quantile_ratio(theirs[:pairs], ours[:pairs])

    assert there.ratio == pytest.approx(1 / back.ratio)
    if pairs > 1:
        assert (there.low, there.high) == pytest.approx((1 / back.high, 1 / back.low))


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_two_equal_servers_under_load_seldom_differ(share: float):
    rounds, pairs, requests = 200, 10, 60
    runs = queue_waits(np.random.default_rng(101), rounds * pairs * 2, requests, 0.8)
    runs = runs.reshape(rounds, 2, pairs, requests)
    different = 0
    for ours, theirs in runs.tolist():
        found = quantile_ratio(ours, theirs, share, alpha=0.025)
        different += not found.low <= 1 <= found.high

    assert different / rounds <= 0.05 + tolerance(0.05, rounds)


def test_common_schedules_pass_an_equal_candidate_and_fail_a_slower_one():
    rounds, pairs, requests = 100, 10, 60
    work = queue_waits(np.random.default_rng(103), rounds * pairs, requests, 0.3)
    own = np.random.default_rng(104).lognormal(0, 0.2, (2, *work.shape))
    shape = (rounds, pairs, requests)
    baseline, equal = ((work * noise).reshape(shape) for noise in own)
    verdicts = {
        slowdown: [
            judge_ratio(quantile_ratio((ours * slowdown).tolist(), theirs.tolist()), 1.15)
            for ours, theirs in zip(equal, baseline, strict=True)
        ]
        for slowdown in (1.0, 1.4)
    }

    assert verdicts[1.0].count(Verdict.PASS) >= 0.98 * rounds
    assert verdicts[1.4].count(Verdict.FAIL) >= 0.98 * rounds


def test_the_block_bootstrap_holds_for_independent_values():
    draw, rounds = np.random.default_rng(107), 120
    runs = draw.lognormal(0, 0.5, (rounds, 2, 200))
    beyond = sum(block_bootstrap_ratio(a, b, 0.5, draw, resamples=99).low > 1 for a, b in runs)

    # 99 resamples and 11 blocks widen the error a little.
    assert beyond / rounds <= 0.07 + tolerance(0.07, rounds)


def test_the_block_bootstrap_deserves_its_flag_under_load():
    draw, rounds = np.random.default_rng(109), 60
    runs = queue_waits(draw, rounds * 2, 400, 0.9).reshape(rounds, 2, 400)
    found = [block_bootstrap_ratio(a, b, 0.5, draw, alpha=0.025, resamples=99) for a, b in runs]

    assert sum(not one.low <= 1 <= one.high for one in found) / rounds > 0.15
    assert all(one.is_optimistic for one in found)
    assert {judge_ratio(one, 1.01) for one in found} == {Verdict.NOT_JUDGED}


def test_equal_seeds_give_equal_bootstrap_bounds():
    ours, theirs = np.random.default_rng(1).lognormal(0, 1, (2, 50)).tolist()
    first, second = (
        block_bootstrap_ratio(ours, theirs, 0.5, np.random.default_rng(2), resamples=50) for _ in range(2)
    )

    assert first == second
    assert first.low <= first.ratio <= first.high


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ([[1.0]], []),
        ([[]], [[1.0]]),
        ([[0.0]], [[1.0]]),
        ([[float("inf")]], [[1.0]]),
        ([[1.0]], [[float("nan")]]),
        ([[1.0, float("nan"), 2.0]], [[1.0]]),
    ],
)
def test_unusable_blocks_are_refused(candidate: list[list[float]], baseline: list[list[float]]):
    with pytest.raises(ValueError, match="needs"):
        quantile_ratio(candidate, baseline)


@pytest.mark.parametrize(("run", "share"), [([1.0] * 19, 0.5), ([0.0] * 20, 0.5), ([1.0] * 20, 1.0)])
def test_unusable_runs_are_refused(run: list[float], share: float):
    with pytest.raises(ValueError, match=r"needs at least 20|between 0 and 1"):
        block_bootstrap_ratio(run, [1.0] * 20, share, np.random.default_rng(0))
