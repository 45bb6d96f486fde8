"""Advice on policies: what the asked-for evidence could never decide."""

import pytest

from tidegate.domain import Policy
from tidegate.domain.policy import (
    LatencyMargin,
    LatencyMargins,
    LoadDesign,
    PerformancePolicy,
    QualityPolicy,
    QuestionBudget,
    SlicePolicy,
)
from tidegate.quality import Bank, Question
from tidegate.steps.policy_advice import advice_on


def bank(questions: int) -> Bank:
    asked = tuple(
        Question(id=f"q{number}", topic="t", prompt=f"p{number}", scorer="contains", expect="x", tags=("rare",) if number < 3 else ())
        for number in range(questions)
    )  # fmt: skip
    return Bank(name="b", digest="d", questions=asked)


def quality(**values: object) -> Policy:
    return Policy(quality=QualityPolicy.model_validate(values))


def performance(metrics: LatencyMargins | None = None, **design: int) -> Policy:
    return Policy(
        performance=PerformancePolicy(metrics=metrics or LatencyMargins(), design=LoadDesign(**design))
    )


def messages(policy: Policy, questions: int = 400, slots: int | None = None) -> list[str]:
    return [f"{one.field}: {one.message}" for one in advice_on(policy, bank(questions), slots)]


def test_the_built_in_policy_with_a_large_bank_needs_no_advice():
    assert messages(Policy()) == []


@pytest.mark.parametrize(
    ("policy", "questions", "said"),
    [
        (quality(margin=0.05), 100, "cannot decide a margin of 5 points when answers change: 100 questions are asked"),
        (quality(margin=0.05), 100, "248 are needed"),
        (quality(margin=0.02), 100, "can never decide a margin of 2 points"),
        (quality(budget=QuestionBudget(max_questions=40)), 400, "quality.budget.max_questions"),
        (quality(slices={"rare": SlicePolicy(margin=0.1)}), 400, "has 3 questions of 'rare'"),
        (quality(when_not_judged="pass"), 400, "quality.when_not_judged: a candidate about which"),
    ],
)  # fmt: skip
def test_a_bank_that_is_too_small_is_said_with_what_would_do(policy: Policy, questions: int, said: str):
    assert any(said in message for message in messages(policy, questions))


def test_too_few_pairs_for_a_narrow_margin():
    narrow = LatencyMargins(ttft_p50=LatencyMargin(max_slowdown=0.02, floor_ms=1), ttft_p95=None)

    assert any("show an equal candidate to be inside 2%" in text for text in messages(performance(narrow)))


def test_a_tail_of_few_requests_is_their_maximum():
    (said,) = messages(performance(requests_per_block=10))

    assert said.startswith(
        "performance.design.requests_per_block: ttft_p95 of 10 requests is little more than"
    )
    assert said.endswith("20 are the fewest that have one")


def test_streams_that_will_not_be_sent_are_said():
    assert any("2 will be sent" in text for text in messages(performance(concurrency=8), slots=4))


def test_nothing_compared_is_said():
    nothing = LatencyMargins(ttft_p50=None, ttft_p95=None, itl_p50=None)

    assert any("no latency is compared" in text for text in messages(performance(nothing)))
