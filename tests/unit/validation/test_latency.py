"""Speed on the machine that validates: limits of the policy, and the baseline's."""

from typing import Any

import pytest

from tests.unit.validation.engine import judged, report, speed
from tidegate.domain.policy import LatencyPolicy
from tidegate.validation import EngineReport, ValidationStatus
from tidegate.validation.latency import judge_slowdown

PASSED, WARNING, FAILED = ValidationStatus.PASSED, ValidationStatus.WARNING, ValidationStatus.FAILED


@pytest.mark.parametrize(("rate", "status"), [(4.9, FAILED), (5.0, WARNING), (9.9, WARNING), (10.0, PASSED)])
def test_below_five_tokens_a_second_fails_and_below_ten_warns(rate: float, status: ValidationStatus):
    assert judged(report(speed=[speed(rate)]))["latency.speed"].status is status


@pytest.mark.parametrize(("wait", "status"), [(10_001.0, FAILED), (2_001.0, WARNING), (2_000.0, PASSED)])
def test_a_long_wait_for_the_first_token_fails(wait: float, status: ValidationStatus):
    assert judged(report(speed=[speed(ttft_ms=wait)]))["latency.ttft"].status is status


def test_one_slow_answer_of_three_does_not_decide():
    assert judged(report(speed=[speed(1.0), speed(50.0), speed(50.0)]))["latency.speed"].status is PASSED


def test_nothing_measured_is_not_judged():
    results = judged(report(speed=[], speed_problem="the context is too small to measure in"))
    assert results["latency.speed"].status is ValidationStatus.NOT_JUDGED
    assert "too small" in results["latency.speed"].message


def _said(*rates: float) -> EngineReport:
    changes: dict[str, Any] = {"speed": [speed(rate) for rate in rates]}
    return EngineReport.model_validate(report(**changes))


def test_a_candidate_much_slower_than_its_baseline_fails_beyond_the_noise():
    policy = LatencyPolicy()
    assert judge_slowdown(_said(20.0), _said(100.0), policy).status is FAILED
    assert judge_slowdown(_said(60.0), _said(100.0), policy).status is PASSED
    # Three times slower, and nobody could tell: two milliseconds a token.
    assert judge_slowdown(_said(333.0), _said(1000.0), policy).status is PASSED
    assert judge_slowdown(_said(), _said(100.0), policy).status is ValidationStatus.NOT_JUDGED
