"""Judging live requests: always-valid tests of the new set against the old one at the same moments. Pure."""

from tidegate.domain.policy import LiveMetrics, LivePolicy
from tidegate.release.live.expectation import ExpectedStep, expected_requests
from tidegate.release.live.judgement import LiveJudgement
from tidegate.release.live.judging import judge_live

__all__ = ["ExpectedStep", "LiveJudgement", "LiveMetrics", "LivePolicy", "expected_requests", "judge_live"]
