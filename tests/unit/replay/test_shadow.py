"""What copies of live requests decide."""

from datetime import UTC, datetime

import pytest

from tidegate.domain import Gate, Verdict, fold
from tidegate.domain.live import SHADOW, Histogram, LiveBatch
from tidegate.domain.policy import ShiftPolicy
from tidegate.replay.shadow import SHADOW_CHECKS, harm_so_far, judge_shadow, median_bounds, share_difference

AT = datetime(2026, 11, 26, tzinfo=UTC)
POLICY = ShiftPolicy(min_requests=50)


def batch(requests: int, *, ms: float = 100.0, slice_: str = "", **counts: int) -> LiveBatch:
    return LiveBatch(
        gateway="g", org="o", service="s", set_name="x", started_at=AT, ended_at=AT, slice=slice_,
        requests=requests, ttft_ms=Histogram.of([ms] * requests), **counts,
    )  # fmt: skip


def verdicts(copies: LiveBatch, live: LiveBatch) -> dict[str, Verdict]:
    return {row.check: row.verdict for row in judge_shadow([copies], [live], POLICY, 0.05)}


def test_a_healthy_shadow_passes():
    rows = judge_shadow([batch(200, slice_=SHADOW)], [batch(1000)], POLICY, 0.05)
    assert fold(Gate.SHADOW, rows, SHADOW_CHECKS).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("copies", "check"),
    [
        (batch(200, failed=40), "shadow.errors"),
        (batch(200, empty=20, malformed=20), "shadow.answers"),
        (batch(200, ms=900.0), "shadow.latency"),
    ],
)
def test_what_copies_met_fails_its_own_row(copies: LiveBatch, check: str):
    found = verdicts(copies, batch(1000))
    assert [name for name, verdict in found.items() if verdict is not Verdict.PASS] == [check]
    assert found[check] is Verdict.FAIL


def test_failures_that_the_live_set_has_too_are_no_harm():
    assert verdicts(batch(400, failed=40), batch(1000, failed=100))["shadow.errors"] is not Verdict.FAIL


def test_too_few_copies_or_none_judge_nothing():
    for copies in ([], [batch(49)]):
        rows = judge_shadow(copies, [batch(1000)], POLICY, 0.05)
        assert {row.verdict for row in rows} == {Verdict.NOT_JUDGED}
    assert "no gateway measured a copy" in judge_shadow([], [batch(9)], POLICY, 0.05)[0].summary


def test_copies_whose_outcome_was_lost_are_no_proof_of_health():
    found = verdicts(batch(200, lost=60), batch(1000))
    assert found["shadow.errors"] is Verdict.NOT_JUDGED


def test_clients_that_left_are_neither_good_nor_bad():
    rows = judge_shadow([batch(60, clients_left=20)], [batch(1000)], POLICY, 0.05)
    assert {row.verdict for row in rows} == {Verdict.NOT_JUDGED}


def test_a_shadow_that_fails_everything_is_known_at_once():
    harm = harm_so_far([batch(8, failed=8)], [batch(100)], POLICY, 0.025)
    assert harm is not None
    assert harm.verdict is Verdict.FAIL
    assert harm_so_far([batch(8)], [batch(100)], POLICY, 0.025) is None
    assert harm_so_far([batch(100, failed=3)], [batch(100, failed=3)], POLICY, 0.025) is None
    assert harm_so_far([], [], POLICY, 0.025) is None


def test_the_bounds_of_a_difference_are_those_of_the_source():
    """Newcombe (1998), table II, example (a): 56/70 and 48/80, two-sided 95 %: 0.0524 to 0.3339."""
    low, high = share_difference(56, 70, 48, 80, 0.025)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_few_values_bound_no_median():
    assert median_bounds(Histogram.of([1.0, 2.0]), 0.025) is None
    assert median_bounds(Histogram(), 0.025) is None
