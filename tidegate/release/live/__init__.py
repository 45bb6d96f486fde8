"""Judging live requests: always-valid tests of the new set against the old one at the same moments. Pure."""

from tidegate.release.live.judgement import LiveJudgement

__all__ = ["LiveJudgement"]
