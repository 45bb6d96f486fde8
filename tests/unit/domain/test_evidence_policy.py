"""The parts of a policy that say what evidence is wanted: defaults, filling up, and errors that name a remedy."""

import json

import pytest
from pydantic import ValidationError

from tidegate.domain.policy import DriftLimits, DriftPolicy, PerformancePolicy, Policy, QualityPolicy, Slo

FLAT = {
    "requests": 24,
    "concurrency": 3,
    "max_tokens": 8,
    "max_ttft_p50_ratio": 1.5,
    "ttft_floor_ms": 40,
    "max_ttft_p95_ms": 900,
    "max_error_share": 0.1,
}


def test_without_a_word_two_medians_and_one_tail_decide_and_what_is_undecided_is_held():
    policy = Policy()

    assert [name for name, _ in policy.performance.metrics.declared()] == ["ttft_p50", "ttft_p95", "itl_p50"]
    assert policy.performance.when_not_judged == "hold"
    assert policy.quality.when_not_judged == "hold"
    assert policy.performance.most_block_pairs == 20


def test_a_margin_that_is_given_in_part_keeps_the_usual_rest():
    policy = PerformancePolicy.model_validate(
        {"metrics": {"itl_p50": {"max_slowdown": 0.3}, "ttft_p95": None}}
    )

    assert policy.metrics.itl_p50 is not None
    assert (policy.metrics.itl_p50.max_ratio, policy.metrics.itl_p50.floor_ms) == (1.3, 2.0)
    assert [name for name, _ in policy.metrics.declared()] == ["ttft_p50", "itl_p50"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"budget": {"max_block_pairs": 4}}, "raise the budget or plan fewer pairs"),
        ({"budget": {"max_requests": 10}}, "lower design.block_pairs"),
        ({"slo": {"min_attainment": 0.9}}, "give slo.ttft_ms"),
        ({"metrics": {"ttft_p51": {"max_slowdown": 0.1}}}, "ttft_p51"),
        ({"requests": 24, "design": {"block_pairs": 3}}, "write it in one form"),
        ({"when_not_judged": "maybe"}, "'hold', 'fail' or 'pass'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_and_the_way_out(given: dict[str, object], said: str):
    with pytest.raises(ValidationError) as caught:
        PerformancePolicy.model_validate(given)

    assert said in str(caught.value)


def test_a_release_planned_under_the_flat_form_goes_on_under_the_same_limits():
    policy = PerformancePolicy.model_validate_json(json.dumps(FLAT), strict=True)

    assert policy.design.requests_per_arm == 24
    assert policy.design.concurrency == 3
    assert policy.limits.max_error_share == 0.1
    assert policy.metrics.ttft_p50 is not None
    assert (policy.metrics.ttft_p50.max_ratio, policy.metrics.ttft_p50.floor_ms) == (1.5, 40)
    assert policy.metrics.ttft_p95 is None
    assert policy.most_block_pairs == policy.design.block_pairs == 6


def test_a_policy_that_was_stored_reads_back_the_same():
    stored = Policy(drift=DriftPolicy(must_not_change=DriftLimits(max_mean_kl=0.02)))

    assert Policy.model_validate_json(stored.model_dump_json(), strict=True) == stored


def test_drift_is_measured_only_where_a_limit_is_declared():
    assert not DriftPolicy().is_declared
    assert DriftPolicy(meant_to_change=DriftLimits(max_nll_rise=0.0)).is_declared


def test_slices_and_a_judge_are_declared_by_name():
    policy = QualityPolicy.model_validate({
        "slices": {"refunds": {"margin": 0.1}},
        "judge": {"url": "http://127.0.0.1:9/v1", "model": "judge-1", "key": "env:JUDGE_KEY"},
    })  # fmt: skip

    assert policy.slices["refunds"].margin == 0.1
    assert policy.judge is not None
    assert policy.judge.key == "env:JUDGE_KEY"
    assert Slo().is_empty
