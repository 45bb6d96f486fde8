"""Two runs side by side: when they compare, what is said, and how often it is wrong."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.benchmark.queue_server import two_arms
from tests.unit.benchmark.runs import PLAN, TAKEN_AT, failed, not_sent, request, run
from tidegate.benchmark.apart import persistence, widened
from tidegate.benchmark.compare import compare_runs, p_beyond
from tidegate.benchmark.compared import Comparison, MetricComparison
from tidegate.benchmark.metrics import CompareLimits, Limit, metric_named
from tidegate.benchmark.record import ClientHonesty, RequestRecord, RunRecord
from tidegate.benchmark.wording import change, change_range
from tidegate.domain import InvalidInput, Verdict
from tidegate.statistics import RatioInterval, paired_log_ratio

P50 = CompareLimits({"ttft_p50": Limit(1.15, 0.0)})


def arm(name: str, ttfts: Sequence[Sequence[float]], **changes: Any) -> RunRecord:
    """Blocks of requests with these TTFTs."""
    requests = [
        request(block * 1000 + place, (block * 1000 + place) * 2, ttft, block=block)
        for block, values in enumerate(ttfts)
        for place, ttft in enumerate(values)
    ]
    return run(requests, id=name, label=name, **changes)


def steady(
    name: str, factor: float = 1.0, blocks: int = 10, per_block: int = 20, seed: int = 0, **changes: Any
) -> RunRecord:
    draw = random.Random(seed)
    values = [[50 * factor * draw.lognormvariate(0, 0.05) for _ in range(per_block)] for _ in range(blocks)]
    return arm(name, values, **changes)


def only(found: Comparison) -> MetricComparison:
    assert len(found.metrics) == 1
    return found.metrics[0]


@pytest.mark.parametrize(
    ("factor", "verdict", "said"),
    [(1.0, Verdict.PASS, "within the 15 % allowed"), (1.05, Verdict.PASS, "% slower (3.1 to"),
     (1.5, Verdict.FAIL, "more than the 15 % allowed"), (0.5, Verdict.PASS, "faster")],
)  # fmt: skip
def test_a_ratio_is_judged_by_its_interval_and_said_in_words(factor: float, verdict: Verdict, said: str):
    found = compare_runs(steady("a"), steady("b", factor, seed=1), P50)
    row = only(found)
    assert (found.verdict, row.verdict) == (verdict, verdict)
    assert row.ratio == pytest.approx(factor, rel=0.05)
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.ratio < row.high  # pyright: ignore[reportOperatorIssue]
    assert said in row.summary
    assert "judged on 10 block pairs, 400 requests; differences above" in row.summary
    assert row.base_ms == pytest.approx(50, rel=0.03)


def test_the_statistic_is_the_paired_log_ratio_of_block_quantiles():
    ours = [[10.0, 20.0, 30.0], [11.0, 24.0, 28.0], [9.0, 18.0, 40.0]]
    theirs = [[12.0, 25.0, 30.0], [13.0, 21.0, 28.0], [9.0, 19.0, 70.0]]
    row = only(compare_runs(arm("a", ours), arm("b", theirs), P50))
    expected = paired_log_ratio([25, 21, 19], [20, 24, 18])
    assert (row.ratio, row.low, row.high) == pytest.approx((expected.ratio, expected.low, expected.high))
    assert [(pair.block, pair.base, pair.candidate) for pair in row.blocks] == [
        (0, 20, 25),
        (1, 24, 21),
        (2, 18, 19),
    ]
    assert row.pairs == 3
    assert row.requests == 18


def test_what_is_too_uncertain_is_not_judged_and_says_what_it_may_be():
    draw = random.Random(2)
    noisy = [[50 * draw.lognormvariate(0, 0.5)] * 3 for _ in range(4)]
    other = [[60 * draw.lognormvariate(0, 0.5)] * 3 for _ in range(4)]
    row = only(compare_runs(arm("a", noisy), arm("b", other), P50))
    assert row.verdict is Verdict.NOT_JUDGED
    assert "too uncertain to decide with 15 % allowed" in row.summary
    assert "faster to" in row.summary
    assert "measured on 4 block pairs, 24 requests" in row.summary


def test_a_difference_below_the_floor_is_allowed_whatever_the_ratio():
    limits = CompareLimits({"ttft_p50": Limit(1.15, 5.0)})
    row = only(compare_runs(arm("a", [[2, 2, 2]] * 5), arm("b", [[4, 4, 4]] * 5), limits))
    assert row.verdict is Verdict.PASS
    assert "within the 5 ms that are always allowed" in row.summary
    assert row.allowed_ratio == pytest.approx(3.5)
    beyond = only(compare_runs(arm("a", [[2, 2, 2]] * 5), arm("b", [[8, 8, 8]] * 5), limits))
    assert beyond.verdict is Verdict.FAIL
    assert "more than the 5 ms allowed" in beyond.summary


def test_noise_far_below_the_floor_does_not_keep_an_equal_model_from_passing():
    """As on a busy machine: chunks of one read are 0.02 ms apart or 3 ms, and 4 ms are allowed anyway."""
    limits = CompareLimits({"ttft_p50": Limit(1.5, 4.0)})
    base = arm("a", [[value] * 3 for value in (0.02, 0.04, 0.03, 0.02, 0.04, 2.0)])
    noisy = arm("b", [[value] * 3 for value in (3.0, 0.02, 1.5, 0.04, 0.03, 0.04)])
    assert only(compare_runs(base, noisy, limits)).verdict is Verdict.PASS

    slow = arm("c", [[value] * 3 for value in (3.0, 9.0, 1.5, 9.0, 2.0, 12.0)])
    assert only(compare_runs(base, slow, limits)).verdict is not Verdict.PASS


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_simulated_a_model_exactly_at_the_floor_seldom_passes(spread: float):
    limits, draw, passed = CompareLimits({"ttft_p50": Limit(1.15, 40.0)}), np.random.default_rng(5), 0
    for _ in range(200):
        ours = 50 * np.exp(draw.normal(0, spread, 6))
        base, slow = arm("a", [[10.0] * 2] * 6), arm("b", [[float(value)] * 2 for value in ours])
        passed += only(compare_runs(base, slow, limits)).verdict is Verdict.PASS
    assert passed <= 200 * 0.09  # 0.05 and 2.6 standard deviations of 200 draws


Change = Callable[[RunRecord], RunRecord]


def altered(**plan: Any) -> Change:
    return lambda found: found.model_copy(update={"plan": {**PLAN, **plan}})


def updated(**values: Any) -> Change:
    return lambda found: found.model_copy(update=values)


def with_requests(make: Callable[[RequestRecord], RequestRecord]) -> Change:
    return lambda found: found.model_copy(update={"requests": tuple(map(make, found.requests))})


BOUND = ClientHonesty(verdict="client-bound", reasons=("CPU 97 % of a core",))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (altered(max_tokens=48), "the length of the answers (max_tokens) differs: 24 and 48"),
        (altered(ignore_eos=False), "whether answers may end early"),
        (updated(cache_prompt=True), "the use of the prompt cache"),
        (updated(mode="poisson"), "the load differs: closed and poisson"),
        (updated(honesty=BOUND), "the candidate run is client-bound: CPU 97 % of a core"),
        (updated(requests=()), "the candidate run has no requests in its measured window"),
        (with_requests(lambda one: one if one.index % 3 == 0 else not_sent(one.index, block=one.block)), "only 67 of 200"),
        (with_requests(lambda one: one if one.index % 3 == 0 else failed(one.index, block=one.block)), "only 67 of 200"),
        (with_requests(lambda one: one.model_copy(update={"prompt_tokens": 10, "cached_tokens": 9})), "prompt cache helped"),
    ],
)  # fmt: skip
def test_runs_that_were_made_differently_are_not_compared_and_the_reason_is_said(change: Change, reason: str):
    base = steady("a")
    if "helped" in reason:
        base = with_requests(lambda one: one.model_copy(update={"prompt_tokens": 10, "cached_tokens": 0}))(
            base
        )
    found = compare_runs(base, change(steady("b", seed=1)), P50)
    assert found.verdict is Verdict.NOT_JUDGED
    assert any(reason in obstacle for obstacle in found.obstacles), found.obstacles
    assert only(found).summary.startswith("p50 TTFT cannot be compared: ")


@pytest.mark.parametrize(
    ("metric", "change", "reason"),
    [
        ("itl_p50", with_requests(lambda one: one.model_copy(update={"token_source": "chunks"})), "nobody counted"),
        ("ttft_p95", with_requests(lambda one: one if one.index % 10 else failed(one.index, block=one.block)),
         "20 of 200 requests of the candidate run failed"),
        ("e2e_p50", with_requests(lambda one: request(one.index, one.index, chunks=40, block=one.block)), "different lengths"),
        ("gap_p95", with_requests(lambda one: request(one.index, one.index, chunks=6, per_chunk=4, block=one.block)),
         "chunks hold different numbers of tokens: 1.00 and 4.00"),
    ],
)  # fmt: skip
def test_a_metric_that_means_something_else_in_one_run_is_not_compared(
    metric: str, change: Change, reason: str
):
    limits = CompareLimits({metric: Limit(1.15, 0.0), "ttft_p50": Limit(1.5, 0.0)})
    found = compare_runs(steady("a"), change(steady("b", seed=1)), limits)
    row = found.metric(metric)
    assert row is not None
    assert row.verdict is Verdict.NOT_JUDGED
    assert reason in row.reason
    other = found.metric("ttft_p50")
    assert other is not None
    assert other.verdict is Verdict.PASS


def test_a_p95_needs_blocks_of_twenty_and_every_metric_three_pairs():
    thin = compare_runs(
        steady("a", per_block=19), steady("b", per_block=19), CompareLimits({"ttft_p95": Limit(1.25)})
    )
    assert "0 blocks of 20 requests or more measured on both sides, 3 needed" in only(thin).reason
    few = compare_runs(steady("a", blocks=2), steady("b", blocks=2), P50)
    assert "2 blocks measured on both sides, 3 needed" in only(few).reason


def test_runs_without_common_blocks_are_shown_with_a_warning_and_never_judged():
    base, other = steady("a"), steady("b", 2.0, seed=1, plan={**PLAN, "digest": "other requests"})
    found = compare_runs(base, other, P50)
    row = only(found)
    assert not found.is_paired
    assert row.is_optimistic
    assert row.verdict is Verdict.NOT_JUDGED
    assert row.ratio == pytest.approx(2, rel=0.05)
    assert "runs without common blocks decide nothing" in row.summary
    assert "too narrow under load" in found.notes[0]
    again = compare_runs(base, other, P50)
    assert again == found
    few = steady("c", per_block=1, plan={**PLAN, "digest": "x"})
    assert "20 of each needed" in only(compare_runs(steady("a", per_block=1), few, P50)).reason


def test_runs_of_other_times_and_machines_are_noted():
    later = steady("b", seed=1, created_at=TAKEN_AT + timedelta(days=1), machine={"cpu": "y"})
    found = compare_runs(steady("a", machine={"cpu": "x"}), later, P50)
    assert found.is_paired
    assert not found.is_side_by_side
    assert ["not taken side by side" in note for note in found.notes] == [True, False]
    assert only(found).method == "block pairs, widened for drift"
    beside = compare_runs(steady("a"), steady("b"), P50)
    assert beside.is_side_by_side
    assert only(beside).method == "block pairs"


def test_pairs_that_drift_together_count_as_fewer():
    found = paired_log_ratio([1.2, 1.3, 1.1, 1.25], [1, 1, 1, 1])
    assert widened(found, 0.0) == found
    half = widened(found, 0.6)
    # n (1 - r) / (1 + r) is a quarter of n: the interval is twice as wide.
    assert half.high / half.ratio == pytest.approx((found.high / found.ratio) ** 2)
    assert half.spread == pytest.approx(2 * found.spread)
    assert persistence([0.1, 0.1, 0.1]) == 0
    assert persistence([0, 1, 0, 1, 0, 1, 0, 1]) == 0
    assert persistence([0, 0, 0, 0, 1, 1, 1, 1]) > 0.6


def test_drift_between_runs_of_other_times_raises_few_false_alarms():
    draw = np.random.default_rng(7)
    rounds, pairs, kept = 400, 20, 0.5
    alarms = {"plain": 0, "widened": 0}
    for _ in range(rounds):
        levels = np.zeros((2, pairs))
        for block in range(pairs):
            before = levels[:, block - 1] if block else draw.normal(0, 0.1, 2) / (1 - kept**2) ** 0.5
            levels[:, block] = kept * before + draw.normal(0, 0.1, 2)
        ours, theirs = np.exp(levels)
        found = paired_log_ratio(ours.tolist(), theirs.tolist())
        alarms["plain"] += found.low > 1
        alarms["widened"] += widened(found, persistence((levels[0] - levels[1]).tolist())).low > 1
    # 5 % are stated. What t takes for independent errs three times as often, the widened interval little more.
    assert alarms["plain"] / rounds > 0.12
    assert alarms["widened"] / rounds < 0.09


def test_a_fail_among_several_metrics_must_survive_holm():
    # Beyond the limit alone (p = 0.03), but one of three metrics may be so by chance.
    draw = np.random.default_rng(0)
    excess = draw.normal(0, 0.02, 10)
    excess = (excess - excess.mean()) / excess.std(ddof=1) * 0.02 + 0.0135
    base = arm("a", [[50.0] * 5] * 10)
    candidate = arm("b", [[50 * 1.15 * float(np.exp(one))] * 5 for one in excess])
    alone = only(compare_runs(base, candidate, P50))
    assert alone.verdict is Verdict.FAIL
    assert alone.p_beyond == pytest.approx(0.03, abs=0.01)
    three = CompareLimits({"ttft_p50": Limit(1.15), "itl_p50": Limit(1.15), "stall_p50": Limit(1.15)})
    found = compare_runs(base, candidate, three).metric("ttft_p50")
    assert found is not None
    assert found.verdict is Verdict.NOT_JUDGED
    assert found.p_beyond == pytest.approx(0.09, abs=0.03)
    assert "among several metrics that may be chance (p = 0.09" in found.summary


def test_the_p_value_and_the_bound_say_the_same():
    found = paired_log_ratio([1.2, 1.3, 1.1, 1.25], [1, 1, 1, 1])
    assert p_beyond(found, found.low) == pytest.approx(0.05)
    assert p_beyond(found, found.high) == pytest.approx(0.95)
    assert p_beyond(RatioInterval(1.2, 1.2, 1.2, 3, 0.05), 1.1) == 0
    assert p_beyond(RatioInterval(1.2, 1.2, 1.2, 3, 0.05), 1.3) == 1


def test_slices_are_shown_with_their_adjusted_chance_and_decide_nothing():
    def tagged(name: str, slow: float) -> RunRecord:
        draw = random.Random(name)
        requests = [
            request(block * 10 + place, block * 10 + place,
                    50 * draw.lognormvariate(0, 0.02) * (slow if place % 2 else 1),
                    block=block, tags=("long",) if place % 2 else ("short",))
            for block in range(8) for place in range(10)
        ]  # fmt: skip
        return run(requests, id=name)

    found = compare_runs(tagged("a", 1), tagged("b", 1.5), CompareLimits({"ttft_p50": Limit(2.0)}))
    assert found.verdict is Verdict.PASS
    shown = {(one.tag, one.metric): one for one in found.slices}
    assert shown["long", "ttft_p50"].ratio == pytest.approx(1.5, rel=0.05)
    assert shown["long", "ttft_p50"].q_slower < 0.001
    assert shown["short", "ttft_p50"].q_slower > 0.05


def test_errors_of_both_runs_are_shown_beside_the_latencies():
    bad = with_requests(lambda one: one if one.index % 20 else failed(one.index, block=one.block))
    found = compare_runs(steady("a"), bad(steady("b")), P50)
    assert (found.base_errors.hits, found.candidate_errors.hits, found.candidate_errors.n) == (0, 10, 200)


@pytest.mark.parametrize("name", ["ttft", "ttft_p42", "speed_p50", ""])
def test_a_metric_that_does_not_exist_is_refused(name: str):
    with pytest.raises(InvalidInput, match="no latency that can be compared"):
        compare_runs(steady("a"), steady("b"), CompareLimits({name: Limit(1.1)}))


def test_requests_count_in_whatever_order_and_number_of_parts_they_were_stored():
    base, candidate = steady("a"), steady("b", 1.1, seed=1)
    draw = random.Random(1)
    shuffled = list(candidate.requests)
    draw.shuffle(shuffled)
    again = candidate.model_copy(update={"requests": tuple(shuffled)})
    assert compare_runs(base, again, P50) == compare_runs(base, candidate, P50)


@given(st.floats(0.2, 5), st.floats(0.2, 5))
@settings(max_examples=40)
def test_swapping_the_runs_turns_the_ratio_round(first: float, second: float):
    draw = random.Random(3)
    ours = arm("a", [[50 * first * draw.lognormvariate(0, 0.1) for _ in range(3)] for _ in range(4)])
    theirs = arm("b", [[50 * second * draw.lognormvariate(0, 0.1) for _ in range(3)] for _ in range(4)])
    there, back = only(compare_runs(ours, theirs, P50)), only(compare_runs(theirs, ours, P50))
    assert there.ratio is not None
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.low == pytest.approx(1 / (there.high or 1))


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(1.0, "the same"), (1.12, "12 % slower"), (0.97, "3 % faster"), (1.004, "the same"), (4.0, "4 times as long"),
     (1.015, "1.5 % slower")],
)  # fmt: skip
def test_a_change_is_said_as_a_person_says_it(ratio: float, said: str):
    assert change(ratio) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(1.04, 1.2, "4 to 20 %"), (0.93, 1.02, "7 % faster to 2 % slower"), (0.8, 0.9, "10 to 20 %"),
     (3.5, 8.0, "3.5 to 8 times"), (1.0, 1.0, "the same"), (1.0, 1.2, "the same to 20 % slower")],
)  # fmt: skip
def test_a_range_is_said_as_a_person_says_it(low: float, high: float, said: str):
    assert change_range(low, high) == said


def test_the_names_of_metrics_say_what_they_are():
    assert metric_named("ttft_p95").label == "p95 TTFT"
    assert metric_named("ttft_p95").fewest_per_block == 20
    assert metric_named("ttft_p99").fewest_per_block == 100
    assert metric_named("itl_p50").fewest_per_block == 1


ROUNDS = 50


@pytest.mark.parametrize("utilisation", [0.3, 0.8])
def test_two_equal_servers_fail_no_more_often_than_stated(utilisation: float):
    # At a limit of "no slower at all" every fail is a false alarm; each bound errs in 5 %.
    limits = CompareLimits({"ttft_p50": Limit(1.0), "ttft_p95": Limit(1.0)})
    alarms = 0
    for seed in range(ROUNDS):
        found = compare_runs(*two_arms(utilisation, seed, pairs=8, requests=24), limits)
        alarms += found.verdict is Verdict.FAIL
    # 5 % for both metrics together; 9.2 points are three standard errors of 50 rounds.
    assert alarms / ROUNDS <= 0.05 + 0.092


def test_a_server_at_the_margin_seldom_passes_and_one_far_beyond_it_nearly_always_fails():
    limits = CompareLimits({"ttft_p50": Limit(1.15), "ttft_p95": Limit(1.25)})
    verdicts = [
        compare_runs(*two_arms(0.3, seed, pairs=10, requests=40, slower=1.4), limits).verdict
        for seed in range(12)
    ]
    assert verdicts.count(Verdict.FAIL) >= 10
    at_margin = CompareLimits({"ttft_p50": Limit(1.15)})
    passed = sum(
        compare_runs(*two_arms(0.05, seed, pairs=8, requests=20, slower=1.15), at_margin).verdict
        is Verdict.PASS
        for seed in range(ROUNDS)
    )
    assert passed / ROUNDS <= 0.05 + 0.092
