"""Load on an endpoint, what it measured, and whether that is good enough. Client traffic is in `traffic`.

Names are loaded when they are first used: who reads a stored run needs no client, and who sends no statistics.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidegate.benchmark.arrivals import Mode
    from tidegate.benchmark.compare import compare_runs
    from tidegate.benchmark.compared import Comparison
    from tidegate.benchmark.definitions import Definition, definitions
    from tidegate.benchmark.goodput import Slo
    from tidegate.benchmark.judge import PERFORMANCE_CHECKS, judge_performance
    from tidegate.benchmark.knee import Knee, SweepStep, find_knee, step_of
    from tidegate.benchmark.levels import find_highest, good_under, sweep
    from tidegate.benchmark.load import measure, measure_until_interrupted
    from tidegate.benchmark.measures import record_of
    from tidegate.benchmark.metrics import CompareLimits, Limit
    from tidegate.benchmark.plan import Arm, Endpoint, LoadPlan
    from tidegate.benchmark.record import ClientHonesty, Outcome, Phase, RequestRecord, RunRecord
    from tidegate.benchmark.saturation import Saturation, saturation_of
    from tidegate.benchmark.search import HighestLoad, SearchPlan, rising_levels
    from tidegate.benchmark.summary import RunSummary, summarise
    from tidegate.benchmark.trace import Trace, read_trace

__all__ = [
    "PERFORMANCE_CHECKS",
    "Arm",
    "ClientHonesty",
    "CompareLimits",
    "Comparison",
    "Definition",
    "Endpoint",
    "HighestLoad",
    "Knee",
    "Limit",
    "LoadPlan",
    "Mode",
    "Outcome",
    "Phase",
    "RequestRecord",
    "RunRecord",
    "RunSummary",
    "Saturation",
    "SearchPlan",
    "Slo",
    "SweepStep",
    "Trace",
    "compare_runs",
    "definitions",
    "find_highest",
    "find_knee",
    "good_under",
    "judge_performance",
    "measure",
    "measure_until_interrupted",
    "read_trace",
    "record_of",
    "rising_levels",
    "saturation_of",
    "step_of",
    "summarise",
    "sweep",
]

_HOMES = {
    "arrivals": ("Mode",),
    "compare": ("compare_runs",),
    "compared": ("Comparison",),
    "definitions": ("Definition", "definitions"),
    "goodput": ("Slo",),
    "judge": ("PERFORMANCE_CHECKS", "judge_performance"),
    "knee": ("Knee", "SweepStep", "find_knee", "step_of"),
    "levels": ("find_highest", "good_under", "sweep"),
    "load": ("measure", "measure_until_interrupted"),
    "measures": ("record_of",),
    "metrics": ("CompareLimits", "Limit"),
    "plan": ("Arm", "Endpoint", "LoadPlan"),
    "record": ("ClientHonesty", "Outcome", "Phase", "RequestRecord", "RunRecord"),
    "saturation": ("Saturation", "saturation_of"),
    "search": ("HighestLoad", "SearchPlan", "rising_levels"),
    "summary": ("RunSummary", "summarise"),
    "trace": ("Trace", "read_trace"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"tidegate.benchmark.{_MODULE_OF[name]}"), name)
    # A module of the same name was set by its import; from now on the name means what is in it.
    globals()[name] = found
    return found
