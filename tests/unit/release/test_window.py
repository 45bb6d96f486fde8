"""A look at live traffic: what fails it, what passes it, and how seldom a sound set is taken out."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import TrafficCounts, Verdict
from tidegate.domain.policy import ShiftPolicy
from tidegate.release import Window, judge_window

POLICY = ShiftPolicy()


def counts(requests: int, failed: int = 0, hidden: int = 0, latency_ms: float = 20.0) -> TrafficCounts:
    return TrafficCounts(
        set_name="green", requests=requests, failed=failed, attempts_failed=hidden,
        latency_ms_sum=latency_ms * requests, latency_count=requests, at=datetime(2026, 11, 26, tzinfo=UTC),
    )  # fmt: skip


def look(new: TrafficCounts, old: TrafficCounts | None = None, look_s: float = 60.0) -> Verdict:
    return judge_window(Window(new, old), POLICY, look_s=look_s)[0]


@pytest.mark.parametrize(
    ("requests", "failed", "verdict"),
    [
        (3, 3, Verdict.FAIL), (2, 2, Verdict.NOT_JUDGED), (15, 3, Verdict.FAIL), (16, 3, Verdict.NOT_JUDGED),
        (27, 4, Verdict.FAIL), (60, 3, Verdict.NOT_JUDGED), (94, 8, Verdict.FAIL), (100, 2, Verdict.PASS),
        (100, 0, Verdict.PASS), (49, 0, Verdict.NOT_JUDGED),
    ],
)  # fmt: skip
def test_failures_against_an_allowed_share_of_two_percent(requests: int, failed: int, verdict: Verdict):
    assert look(counts(requests, failed)) is verdict


def test_a_failure_that_a_retry_hid_counts():
    assert look(counts(40, 0, hidden=10)) is Verdict.FAIL
    assert look(counts(0, 0, hidden=3)) is Verdict.FAIL


@given(st.integers(0, 300), st.integers(0, 300))
def test_one_more_failure_never_makes_a_failed_look_good(requests: int, failed: int):
    before, after = look(counts(requests + failed, failed)), look(counts(requests + failed + 1, failed + 1))

    if before is Verdict.FAIL:
        assert after is Verdict.FAIL


@pytest.mark.parametrize(("allowed", "verdict"), [(0.0, Verdict.FAIL), (1.0, Verdict.PASS)])
def test_a_policy_may_allow_no_failure_or_every_one(allowed: float, verdict: Verdict):
    policy = POLICY.model_copy(update={"max_error_share": allowed})

    assert judge_window(Window(counts(60, 3), None), policy, look_s=60.0)[0] is verdict


def test_a_set_at_its_limit_is_seldom_taken_out_though_it_is_looked_at_after_every_request():
    failures = (np.random.default_rng(7).random((300, 600)) < 0.02).cumsum(axis=1)
    outcomes = {(n, k) for n in range(1, 601) for k in np.unique(failures[:, n - 1]).tolist()}
    fails = {(n, k) for n, k in outcomes if look(counts(n, k)) is Verdict.FAIL}
    taken_out = sum(any((n, k) in fails for n, k in enumerate(row, 1)) for row in failures.tolist())

    assert taken_out / 300 <= 0.05


def test_a_set_that_fails_thirty_percent_is_out_at_once():
    failures = (np.random.default_rng(11).random((200, 60)) < 0.3).cumsum(axis=1)
    needed = [
        next((n for n, k in enumerate(row, 1) if look(counts(n, k)) is Verdict.FAIL), 61)
        for row in failures.tolist()
    ]

    assert np.median(needed) <= 12
    assert max(needed) <= 60


def test_clearly_slower_requests_fail_and_slightly_slower_ones_do_not():
    assert look(counts(60, latency_ms=400), counts(60, latency_ms=100)) is Verdict.FAIL
    assert look(counts(60, latency_ms=140), counts(60, latency_ms=100)) is Verdict.PASS


def test_without_counts_or_time_nothing_is_judged():
    assert judge_window(None, POLICY, look_s=60.0)[0] is Verdict.NOT_JUDGED
    assert look(counts(500), look_s=1.0) is Verdict.NOT_JUDGED
