"""Chaos drills: break one thing under client traffic, on a stack of their own, and compare with what must come of it.

Every process that is hurt was started by the drill itself; no other service is touched.
"""

from tidegate.drill.judgement import Report, Verdict
from tidegate.drill.permission import may_drill
from tidegate.drill.runner import run_drills
from tidegate.drill.scenario import DRILLS, Drill, find_drills

__all__ = ["DRILLS", "Drill", "Report", "Verdict", "find_drills", "may_drill", "run_drills"]
