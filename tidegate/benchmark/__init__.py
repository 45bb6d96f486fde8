"""Load on an endpoint, what it measured, and whether that is good enough. Client traffic is in `traffic`."""

from tidegate.benchmark.judge import PERFORMANCE_CHECKS, judge_performance
from tidegate.benchmark.load import measure
from tidegate.benchmark.measures import ArmResult, Outcome, Sample, Summary, summarise
from tidegate.benchmark.plan import Arm, LoadPlan

__all__ = [
    "PERFORMANCE_CHECKS",
    "Arm",
    "ArmResult",
    "LoadPlan",
    "Outcome",
    "Sample",
    "Summary",
    "judge_performance",
    "measure",
    "summarise",
]
