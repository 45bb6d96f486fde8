"""Load on an endpoint, what it measured, and whether that is good enough. Client traffic is in `traffic`.

Names are loaded when they are first used: who reads a stored run needs no client, and who sends no statistics.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.benchmark.compare import Comparison, compare_runs
    from tidegate.benchmark.definitions import Definition, definitions
    from tidegate.benchmark.goodput import Slo
    from tidegate.benchmark.judge import PERFORMANCE_CHECKS, judge_performance
    from tidegate.benchmark.knee import Knee, SweepStep, find_knee, step_of
    from tidegate.benchmark.load import measure
    from tidegate.benchmark.measures import record_of
    from tidegate.benchmark.metrics import CompareLimits, Limit
    from tidegate.benchmark.plan import Arm, LoadPlan
    from tidegate.benchmark.record import ClientHonesty, Outcome, Phase, RequestRecord, RunRecord
    from tidegate.benchmark.saturation import Saturation, saturation_of
    from tidegate.benchmark.summary import RunSummary, summarise

__all__ = [
    "PERFORMANCE_CHECKS",
    "Arm",
    "ClientHonesty",
    "CompareLimits",
    "Comparison",
    "Definition",
    "Knee",
    "Limit",
    "LoadPlan",
    "Outcome",
    "Phase",
    "RequestRecord",
    "RunRecord",
    "RunSummary",
    "Saturation",
    "Slo",
    "SweepStep",
    "compare_runs",
    "definitions",
    "find_knee",
    "judge_performance",
    "measure",
    "record_of",
    "saturation_of",
    "step_of",
    "summarise",
]

_HOMES = {
    "compare": ("Comparison", "compare_runs"),
    "definitions": ("Definition", "definitions"),
    "goodput": ("Slo",),
    "judge": ("PERFORMANCE_CHECKS", "judge_performance"),
    "knee": ("Knee", "SweepStep", "find_knee", "step_of"),
    "load": ("measure",),
    "measures": ("record_of",),
    "metrics": ("CompareLimits", "Limit"),
    "plan": ("Arm", "LoadPlan"),
    "record": ("ClientHonesty", "Outcome", "Phase", "RequestRecord", "RunRecord"),
    "saturation": ("Saturation", "saturation_of"),
    "summary": ("RunSummary", "summarise"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"tidegate.benchmark.{_MODULE_OF[name]}"), name)
    # A module of the same name was set by its import; from now on the name means what is in it.
    globals()[name] = found
    return found
