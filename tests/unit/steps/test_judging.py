"""Rounds of a release: kept, joined and judged, however they were cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.steps.measured_runs import noise, run
from tidegate.benchmark import ClientHonesty, RunRecord
from tidegate.domain import Verdict
from tidegate.domain.policy import HardLimits, LatencyMargins, LoadBudget, LoadDesign, PerformancePolicy
from tidegate.steps.judging import Judged, judge_rounds, tolerated_lag_ms
from tidegate.steps.rounds import CANDIDATE, LIVE, Pairs, Round, is_tolerable

POLICY = PerformancePolicy(
    metrics=LatencyMargins(ttft_p95=None),
    design=LoadDesign(block_pairs=6, requests_per_block=4),
    budget=LoadBudget(max_block_pairs=12),
)


def rounds_of(
    candidate: list[float], cuts: list[int], live: list[float] | None = None, failed: int = 0
) -> list[Round]:
    """The same blocks, cut into rounds at these places."""
    other, found = live if live is not None else [1.0] * len(candidate), list[Round]()
    edges = sorted({0, len(candidate), *(cut for cut in cuts if 0 < cut < len(candidate))})
    for low, high in pairwise(edges):
        digest = f"{low}-{high}"
        found.append(
            Round(
                first_pair=low,
                pairs=high - low,
                seconds=1.0,
                concurrency=2,
                candidate=run(
                    CANDIDATE, candidate[low:high], digest=digest, failed=failed if low == 0 else 0
                ),
                live=run(LIVE, other[low:high], digest=digest),
            )
        )
    return found


def told(judged: Judged) -> list[tuple[str, Verdict]]:
    return [(row.check, row.verdict) for row in judged.rows]


def verdict(judged: Judged) -> str:
    if any(row.verdict is Verdict.FAIL for row in judged.rows):
        return "fail"
    return "pass" if judged.rows and all(row.verdict is Verdict.PASS for row in judged.rows) else "open"


@given(st.lists(st.integers(1, 11), max_size=6), st.sampled_from([1.0, 1.15, 1.4]), st.integers(0, 20))
@settings(max_examples=15, deadline=None)
def test_how_pairs_are_cut_into_rounds_changes_nothing(cuts: list[int], ratio: float, seed: int):
    factors = noise(seed, 12, ratio, 0.08)

    whole = judge_rounds(rounds_of(factors, []), POLICY, is_spent=True)
    cut = judge_rounds(rounds_of(factors, cuts), POLICY, is_spent=True)

    assert told(cut) == told(whole)
    assert cut.look == whole.look
    assert [row.summary for row in cut.rows] == [row.summary for row in whole.rows]


def test_an_equal_candidate_passes_at_the_planned_end():
    judged = judge_rounds(rounds_of(noise(1, 6, 1.0, 0.02), [2, 4]), POLICY, is_spent=False)

    assert (verdict(judged), judged.is_over) == ("pass", True)
    assert judged.look is not None
    assert judged.look.kind == "planned"
    assert all(row.data["look"]["alpha"] == 0.03 for row in judged.rows)


def test_before_the_planned_end_good_pairs_are_not_enough_to_pass():
    judged = judge_rounds(rounds_of([1.0, 1.01, 0.99, 1.0], []), POLICY, is_spent=False)

    assert judged == Judged((), is_over=False)


def test_a_candidate_that_is_far_too_slow_is_out_before_the_planned_end():
    judged = judge_rounds(rounds_of(noise(2, 5, 2.0, 0.02), []), POLICY, is_spent=False)

    assert (verdict(judged), judged.is_over) == ("fail", True)
    assert judged.look is not None
    assert judged.look.pairs < 6


def test_without_early_stopping_it_is_measured_to_the_planned_end():
    patient = POLICY.model_copy(update={"early_stopping": False})

    assert not judge_rounds(rounds_of(noise(2, 5, 2.0, 0.02), []), patient, is_spent=False).is_over


def test_an_undecided_planned_end_is_measured_on_and_judged_at_the_end_of_the_budget():
    factors = [1.0, 1.3] * 6

    middle = judge_rounds(rounds_of(factors[:6], []), POLICY, is_spent=False)
    end = judge_rounds(rounds_of(factors, []), POLICY, is_spent=True)

    assert (verdict(middle), middle.is_over) == ("open", False)
    assert end.is_over
    assert all(row.samples for row in end.rows if row.verdict is Verdict.NOT_JUDGED)


def test_a_failed_request_beyond_the_limit_ends_it_at_once():
    judged = judge_rounds(rounds_of([1.0, 1.0, 1.0], [], failed=1), POLICY, is_spent=False)

    assert (verdict(judged), judged.is_over) == ("fail", True)


def test_a_share_of_failures_that_the_rest_may_still_make_good_is_waited_for():
    tolerant = POLICY.model_copy(update={"limits": HardLimits(max_error_share=0.2)})

    assert not judge_rounds(rounds_of([1.0, 1.0, 1.0], [], failed=2), tolerant, is_spent=False).is_over


def test_nothing_measured_is_no_rows_and_so_never_a_pass():
    assert judge_rounds([], POLICY, is_spent=True) == Judged((), is_over=True)


def test_without_a_live_model_the_candidates_own_limits_are_judged_at_the_planned_end():
    alone = [Round(0, 3, 1.0, 2, run(CANDIDATE, [1.0] * 3), None)]
    more = [*alone, Round(3, 3, 1.0, 2, run(CANDIDATE, [1.0] * 3), None)]

    assert not judge_rounds(alone, POLICY, is_spent=False).is_over
    assert verdict(judge_rounds(more, POLICY, is_spent=False)) == "pass"


def test_a_round_in_which_the_client_measured_itself_is_left_out():
    good, spoilt = late_client(0, 4.0), late_client(2, 9.0)

    pairs = Pairs.of([good, spoilt], tolerated_lag_ms=5.0)

    assert pairs.count == 2
    assert pairs.candidate is not None
    assert {entry.block for entry in pairs.candidate.requests} == {0, 1}
    assert pairs.candidate.honesty is not None
    assert (pairs.candidate.honesty.verdict, pairs.candidate.honesty.loop_lag_p99_ms) == ("honest", 4.0)


def test_a_client_is_late_by_less_than_what_the_policy_ignores_anyway():
    assert tolerated_lag_ms(POLICY) == 5.0
    assert tolerated_lag_ms(PerformancePolicy(metrics=LatencyMargins(ttft_p50=None, ttft_p95=None))) == 0.0


def test_an_open_loop_that_sent_late_is_never_made_up_for():
    late = late_client(0, 1.0).candidate.model_copy(update={"mode": "poisson"})

    assert not is_tolerable(late, 100.0)


def late_client(first_pair: int, lag_ms: float) -> Round:
    bound = ClientHonesty(loop_lag_p99_ms=lag_ms, verdict="client-bound", reasons=("it woke late",))
    made = rounds_of([1.0, 1.0], [])[0]
    assert made.live is not None
    arms = [arm.model_copy(update={"honesty": bound}) for arm in (made.candidate, made.live)]
    return Round(first_pair, 2, 1.0, 2, arms[0], arms[1])


def test_a_round_is_the_same_after_it_was_kept():
    made = rounds_of(noise(3, 2, 1.1, 0.1), [])[0]

    assert Round.from_data(made.as_data()) == made


def test_joined_rounds_are_one_sound_run_with_every_request_once():
    factors = noise(3, 6, 1.1, 0.1)
    pairs = Pairs.of(rounds_of(factors, [1, 4]))

    assert pairs.candidate is not None
    assert pairs.live is not None
    # The model refuses a record that contradicts itself: stamps, windows, numbers.
    for arm in (pairs.candidate, pairs.live):
        again = RunRecord.model_validate(arm.model_dump())
        assert [entry.index for entry in again.requests] == list(range(24))
        assert {entry.block for entry in again.requests} == set(range(6))
    assert pairs.candidate.plan_digest == pairs.live.plan_digest != ""
    assert pairs.first(2).count == 2


def test_topics_of_the_prompts_are_shown_beside_the_whole_and_decide_nothing():
    def tagged(label: str, slow: float) -> RunRecord:
        made = run(label, noise(2, 6, 1.0, 0.01))
        slower = run(label, noise(2, 6, slow, 0.01))
        pairs = zip(made.requests, slower.requests, strict=True)
        requests = tuple(
            (late if late.index % 4 == 0 else usual).model_copy(
                update={"tags": ("long",) if late.index % 4 == 0 else ("short",)}
            )
            for usual, late in pairs
        )
        return made.model_copy(update={"requests": requests})

    held = Round(0, 6, 1.0, 2, tagged(CANDIDATE, 2.0), tagged(LIVE, 1.0))
    judged = judge_rounds([held], POLICY, is_spent=True)

    assert verdict(judged) == "pass"
    shown = {row.check: row.data.get("slices", []) for row in judged.rows}
    ratios = {one["tag"]: one["ratio"] for one in shown["performance.ttft"]}
    assert ratios["long"] == pytest.approx(2.0, rel=0.05)
    assert ratios["short"] == pytest.approx(1.0, rel=0.05)
    assert {one["metric"] for one in shown["performance.itl"]} == {"itl_p50"}


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, "pass"), (1.6, "fail")])
def test_simulated_releases_end_as_they_should(ratio: float, expected: str):
    """20 releases each; with a spread of 8 % and 12 pairs nearly all must be right, and none wrong."""
    found = [
        verdict(judge_rounds(rounds_of(noise(seed, 12, ratio, 0.08), []), POLICY, is_spent=True))
        for seed in range(20)
    ]

    wrong = "fail" if expected == "pass" else "pass"
    assert found.count(expected) >= 18
    assert found.count(wrong) == 0
