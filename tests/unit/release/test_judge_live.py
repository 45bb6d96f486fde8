"""The judge of live requests: what stops, what raises, and what is not judged."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain import Gate, Histogram, LiveBatch, Verdict
from tidegate.release.live import LiveJudgement, LiveMetrics, LivePolicy, expected_requests, judge_live

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
POLICY = LivePolicy()
FAMILY = 4
TIMES = (90.0, 100.0, 110.0, 120.0)


def batch(second: int, requests: int, *, slower: float = 1.0, **changes: Any) -> LiveBatch:
    """Requests that ended within one second; healthy unless something else is said."""
    times = [TIMES[n % len(TIMES)] * slower for n in range(requests)]
    given: dict[str, Any] = {
        "gateway": "g", "org": "o", "service": "s", "set_name": "x",
        "started_at": START + timedelta(seconds=second), "ended_at": START + timedelta(seconds=second + 0.9),
        "requests": requests, "attempts": requests, "stops": {"stop": requests},
        "ttft_ms": Histogram.of(times), "itl_ms": Histogram.of(time / 10 for time in times),
        "gap_ms": Histogram.of(times), "tokens": Histogram.of(time / 2 for time in times),
    }  # fmt: skip
    return LiveBatch(**(given | changes))


def seconds(count: int, requests: int, **changes: Any) -> list[LiveBatch]:
    return [batch(second, requests, **changes) for second in range(count)]


def judge(new: list[LiveBatch], old: list[LiveBatch], **given: Any) -> LiveJudgement:
    return judge_live(new, old, given.pop("policy", POLICY), family=FAMILY, **given)


def only(**margins: float | None) -> LivePolicy:
    off = dict.fromkeys(LiveMetrics.model_fields, None)
    return LivePolicy(metrics=LiveMetrics(**(off | margins)))


def test_equal_sets_pass_with_a_row_for_every_metric():
    found = judge(seconds(80, 4), seconds(80, 36))

    assert found.verdict is Verdict.PASS
    assert found.requests == 320
    assert found.missing == found.harmful == ()
    assert found.needed_requests is None
    assert {row.check for row in found.rows} == {f"live.{name}" for name in LiveMetrics.model_fields}
    assert {row.gate for row in found.rows} == {Gate.LIVE}
    assert all(row.samples is not None and row.numbers for row in found.rows)


@pytest.mark.parametrize(
    ("metric", "spoiled"),
    [
        ("errors", {"failed": 2}), ("attempts", {"attempts_failed": 2}), ("truncated", {"truncated": 2}),
        ("empty", {"empty": 2}), ("malformed", {"malformed": 2}), ("stalls", {"gap_ms": Histogram.of([9000.0] * 4)}),
        ("stops", {"stops": {"length": 4}}), ("stops", {"stops": {"surprise": 4}}), ("ttft_p50", {"slower": 2.0}),
        ("itl_p50", {"slower": 2.0}), ("length", {"tokens": Histogram.of([9.0] * 4)}),
        ("length", {"tokens": Histogram.of([900.0] * 4)}),
    ],
)  # fmt: skip
def test_each_kind_of_harm_stops_and_is_named(metric: str, spoiled: dict[str, Any]):
    found = judge(seconds(40, 4, **spoiled), seconds(40, 36))

    assert found.verdict is Verdict.FAIL
    assert metric in found.harmful
    assert next(row for row in found.rows if row.check == f"live.{metric}").verdict is Verdict.FAIL


def test_a_set_that_fails_everything_is_out_after_five_seconds_of_one_request_each():
    assert judge(seconds(6, 1, failed=1, attempts_failed=1), seconds(6, 9)).verdict is Verdict.FAIL


def test_too_few_requests_are_not_judged_and_the_need_is_told():
    found = judge(seconds(10, 4), seconds(10, 36))

    assert found.verdict is Verdict.NOT_JUDGED
    assert "errors" in found.missing
    assert found.needed_requests is not None
    assert judge(seconds(10 + found.needed_requests // 4, 4), seconds(200, 36)).verdict is Verdict.PASS


@pytest.mark.parametrize("of", ["old", "new", "both"])
def test_without_requests_on_either_set_nothing_is_judged(of: str):
    """The new one may be perfect: without the old one at the same moments nobody can tell."""
    found = judge(
        [] if of in ("new", "both") else seconds(200, 9), [] if of in ("old", "both") else seconds(200, 9)
    )

    assert found.verdict is Verdict.NOT_JUDGED
    assert found.missing


def test_the_old_sets_requests_of_other_moments_are_no_baseline_without_being_said_to_be():
    later = [
        one.model_copy(update={"ended_at": one.ended_at + timedelta(hours=1)}) for one in seconds(80, 36)
    ]
    assert judge(seconds(80, 4, failed=0), later).verdict is not Verdict.PASS


def test_failures_of_both_sets_are_not_the_new_ones_fault():
    """A broken client, or a provider: half of everything fails, everywhere."""
    found = judge(seconds(60, 4, failed=2), seconds(60, 36, failed=18), policy=only(errors=0.1))
    assert found.verdict is not Verdict.FAIL


def test_a_measurement_that_was_lost_never_helps_to_pass():
    found = judge(seconds(200, 4, lost=1), seconds(200, 36))
    assert found.verdict is Verdict.NOT_JUDGED
    assert found.harmful == ()


def test_a_metric_that_only_one_set_has_is_missing_and_not_passed():
    nothing = Histogram()
    found = judge(seconds(80, 4, itl_ms=nothing), seconds(80, 36))
    assert found.verdict is Verdict.NOT_JUDGED
    assert found.missing == ("itl_p50",)


def test_what_this_traffic_never_has_is_not_waited_for():
    """No streams anywhere: there are no gaps."""
    nothing = {"itl_ms": Histogram(), "gap_ms": Histogram()}
    assert judge(seconds(80, 4, **nothing), seconds(80, 36, **nothing)).verdict is Verdict.PASS


def test_null_shows_a_metric_and_does_not_judge_it():
    found = judge(seconds(80, 4, slower=3.0), seconds(80, 36), policy=only(errors=0.02))

    assert found.verdict is Verdict.PASS
    shown = next(row for row in found.rows if row.check == "live.ttft_p50")
    assert shown.verdict is Verdict.NOT_JUDGED
    assert "shown only" in shown.summary


def test_no_margin_at_all_passes_nothing():
    assert judge(seconds(80, 4), seconds(80, 36), policy=only()).verdict is Verdict.NOT_JUDGED


def test_probes_are_evidence_marked_as_such():
    both = [seconds(80, 4, is_probe=True), seconds(80, 4, is_probe=True)]
    found = judge(both[0], both[1])

    assert found.verdict is Verdict.PASS
    assert (found.requests, found.probes) == (0, 320)
    assert "320 probes" in found.reason


def test_healthy_probes_do_not_hide_failing_clients():
    new = [*seconds(40, 20, is_probe=True), *seconds(40, 2, failed=2)]
    old = [*seconds(40, 20, is_probe=True), *seconds(40, 18)]
    assert judge(new, old).verdict is Verdict.FAIL


def test_probes_are_never_compared_with_clients():
    assert judge(seconds(80, 4, is_probe=True), seconds(80, 36)).verdict is Verdict.NOT_JUDGED


def test_copies_of_requests_are_nobodys_requests():
    assert judge(seconds(80, 4, slice="shadow"), seconds(80, 36, slice="shadow")).requests == 0


def test_one_broken_slice_stops_although_the_whole_looks_well():
    policy = POLICY.model_copy(update={"slices": ("plain",)})
    new = [*seconds(60, 20), *seconds(60, 1, failed=1, slice="plain")]
    old = [*seconds(60, 180), *seconds(60, 9, slice="plain")]

    found = judge(new, old, policy=policy)
    assert found.harmful == ("errors@plain",)
    assert "(plain)" in found.reason


def test_a_thin_slice_does_not_hold_a_release_up():
    policy = POLICY.model_copy(update={"slices": ("plain", "stream")})
    assert judge(seconds(80, 4), seconds(80, 36), policy=policy).verdict is Verdict.PASS


def test_alone_it_is_compared_with_what_was_usual():
    usual = seconds(60, 36)
    assert judge(seconds(80, 5), [], before=usual).verdict is Verdict.PASS
    assert judge(seconds(80, 5, slower=2.0), [], before=usual).harmful == ("ttft_p50", "itl_p50", "length")
    assert "errors" in judge(seconds(40, 5, failed=1), [], before=usual).harmful


def test_a_first_release_has_the_policys_own_limit():
    good = judge(seconds(80, 5), [], before=[])
    assert good.verdict is Verdict.PASS
    assert "limit of 5" in next(row.summary for row in good.rows if row.check == "live.errors")
    assert judge(seconds(40, 5, failed=2), [], before=[]).verdict is Verdict.FAIL
    assert judge([], [], before=[]).verdict is Verdict.NOT_JUDGED


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=30, max_size=60), st.integers(2, 4))
def test_in_how_many_parts_the_counts_of_a_second_come_changes_nothing(failures: list[int], parts: int):
    new = [batch(second, 8, failed=failed) for second, failed in enumerate(failures)]
    pieces = [
        batch(
            second, 8 // parts + (8 % parts if n == 0 else 0), failed=failed if n == 0 else 0, gateway=f"g{n}"
        )
        for second, failed in enumerate(failures)
        for n in range(parts)
    ]
    policy, old = only(errors=0.05), seconds(len(failures), 16, failed=1)

    whole, cut = (judge(of, old, policy=policy) for of in (new, pieces[::-1]))
    assert (whole.verdict, whole.rows[0].p_value) == (cut.verdict, cut.rows[0].p_value)


def test_what_was_once_shown_to_be_harm_stays_harm():
    new = seconds(20, 4, failed=2)
    later = [batch(20 + second, 4) for second in range(60)]
    assert judge([*new, *later], seconds(80, 36)).verdict is Verdict.FAIL


def test_of_many_healthy_releases_few_are_stopped_though_they_are_judged_by_every_metric():
    """All metrics, the real judge, at the end of a look: harm that was shown at any second of it stays shown."""
    generator = np.random.default_rng(11)

    def side(requests: int) -> Callable[[int], LiveBatch]:
        def one(second: int) -> LiveBatch:
            times = 100 * np.exp(0.4 * generator.standard_normal(requests))
            counts = {
                name: int(generator.binomial(requests, 0.01)) for name in ("failed", "empty", "malformed")
            }
            return batch(second, requests, ttft_ms=Histogram.of(times.tolist()), **counts)

        return one

    verdicts = [
        judge([side(4)(second) for second in range(60)], [side(16)(second) for second in range(60)]).verdict
        for _ in range(60)
    ]
    assert verdicts.count(Verdict.FAIL) <= 3


def test_the_plan_says_what_each_step_takes():
    steps = expected_requests(POLICY, (10, 50, 100), 2.0)

    assert [step.weight for step in steps] == [10, 50, 100]
    assert all(100 < step.requests < 1000 for step in steps)
    assert steps[0].seconds == pytest.approx(steps[0].requests / 0.2)
    assert expected_requests(POLICY, (10,), None)[0].seconds is None


def test_a_narrow_margin_is_told_to_take_longer():
    narrow = expected_requests(only(errors=0.005), (10,), 1.0)[0]
    assert narrow.requests > 5 * expected_requests(only(errors=0.02), (10,), 1.0)[0].requests
