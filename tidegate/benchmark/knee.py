"""Where a server stops keeping up: the knee of a sweep over rising load.

Method `throughput hinge`: below the knee the achieved rate follows the offered load, y = a x; above it stays at
the capacity, y = c. Both are fitted on logarithms for every place of the bend, the best one is taken, and the
knee is the load c / a at which the two lines meet. In an open loop a is about 1; in a closed loop, with the
concurrency as load, it is the rate of one user, and the knee is the balanced system's N* of operational analysis
(P. J. Denning and J. P. Buzen, Computing Surveys 10 (1978) 225-261).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from tidegate.benchmark.figures import Published
from tidegate.benchmark.goodput import Slo
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.saturation import saturation_of
from tidegate.benchmark.summary import summarise
from tidegate.domain import InvalidInput

METHOD = "throughput hinge"
KEEPS_UP = 0.95
"""Share of what the line promises that a step must achieve to count as keeping up."""
FEWEST_STEPS = 3


@dataclass(frozen=True)
class SweepStep:
    """One step of a sweep. `offered` is a rate or a concurrency, `achieved` requests per second that succeeded."""

    offered: float
    achieved: float
    ttft_p95_ms: float | None = None
    goodput: float | None = None
    is_growing: bool = False
    """In flight grew throughout (`saturation`): not a steady state, whatever was achieved."""


class Knee(Published):
    """What a sweep says about the capacity."""

    verdict: Literal["found", "not reached", "below the first step"]
    method: str = METHOD
    offered: float | None = Field(default=None, description="Load at the knee; None unless found.")
    low: float | None = Field(default=None, description="Highest load that was still kept up with.")
    high: float | None = Field(default=None, description="Lowest load that was not.")
    capacity: float | None = Field(default=None, description="Requests per second above the knee.")
    best_goodput: float | None = Field(
        default=None, description="Most good requests per second of all steps."
    )
    best_goodput_at: float | None = Field(default=None, description="Load of that step.")
    ttft_growth: float | None = Field(
        default=None, description="p95 TTFT of the highest step over that of the lowest."
    )
    summary: str


def step_of(run: RunRecord, offered: float, slo: Slo | None = None) -> SweepStep:
    """One run as a step of a sweep."""
    summary = summarise(run, slo)
    ttft = summary.ttft_planned or summary.ttft
    return SweepStep(
        offered=offered,
        achieved=summary.request_rate.value,
        ttft_p95_ms=ttft.p95.value if ttft.p95 is not None else None,
        goodput=None if summary.goodput is None else summary.goodput.value,
        is_growing=saturation_of(run).verdict == "growing",
    )


def find_knee(steps: Sequence[SweepStep]) -> Knee:
    """Raises InvalidInput for fewer than three steps, or loads that are not positive and different."""
    ordered = sorted(steps, key=lambda step: step.offered)
    loads = [step.offered for step in ordered]
    if (
        len(ordered) < FEWEST_STEPS
        or len(set(loads)) != len(loads)
        or not all(0 < load < math.inf for load in loads)
    ):
        raise InvalidInput(
            f"A knee needs {FEWEST_STEPS} steps or more of different, positive load.",
            remedy="Sweep over more steps.",
            field="steps",
        )
    slope = _slope(ordered)
    kept = [_keeps_up(step, slope) for step in ordered]
    extra: dict[str, Any] = {**_goodput(ordered), "ttft_growth": _growth(ordered)}
    if all(kept):
        text = f"the server kept up with every step, up to {loads[-1]:g}"
        return Knee(verdict="not reached", low=loads[-1], summary=text, **extra)
    if not kept[0]:
        text = f"the server did not keep up with the first step of {loads[0]:g}"
        capacity = max(step.achieved for step in ordered)
        return Knee(verdict="below the first step", high=loads[0], capacity=capacity, summary=text, **extra)
    # The first step that fell behind: what a later one achieved by luck does not move the bend.
    behind = kept.index(False)
    low, high = loads[behind - 1], loads[behind]
    found = _hinges(ordered)
    places = [place for place, _ in found]
    knee, capacity = found[-1]
    low, high = min(low, *places), max(high, *places)
    text = (
        f"the server keeps up until {knee:.3g} (between {low:.3g} and {high:.3g}) and then answers "
        f"{capacity:.3g} requests per second"
    )
    return Knee(verdict="found", offered=knee, low=low, high=high, capacity=capacity, summary=text, **extra)


def _slope(steps: Sequence[SweepStep]) -> float:
    """Requests per second per unit of load where the load is lowest: of the first steps, the best."""
    return max(step.achieved / step.offered for step in steps[:2])


def _keeps_up(step: SweepStep, slope: float) -> bool:
    return step.achieved >= KEEPS_UP * slope * step.offered and not step.is_growing


def _hinges(steps: Sequence[SweepStep]) -> list[tuple[float, float]]:
    """(knee, capacity) with each step left out once, where enough remain, and of all steps last."""
    found: list[tuple[float, float]] = []
    if len(steps) > FEWEST_STEPS:
        found = [_hinge([*steps[:place], *steps[place + 1 :]]) for place in range(1, len(steps) - 1)]
    return [*found, _hinge(steps)]


def _hinge(steps: Sequence[SweepStep]) -> tuple[float, float]:
    points = [(math.log(step.offered), math.log(max(step.achieved, 1e-9))) for step in steps]
    best = (math.inf, 0.0, 0.0)
    for bend in range(1, len(points)):
        rising, flat = points[:bend], points[bend:]
        slope = math.fsum(y - x for x, y in rising) / len(rising)
        level = math.fsum(y for _, y in flat) / len(flat)
        error = math.fsum((y - min(x + slope, level)) ** 2 for x, y in points)
        best = min(best, (error, level - slope, level))
    return math.exp(best[1]), math.exp(best[2])


def _goodput(steps: Sequence[SweepStep]) -> dict[str, float]:
    known = [(step.goodput, step.offered) for step in steps if step.goodput is not None]
    if not known:
        return {}
    best, at = max(known, key=lambda entry: (entry[0], -entry[1]))
    return {"best_goodput": best, "best_goodput_at": at}


def _growth(steps: Sequence[SweepStep]) -> float | None:
    known = [step.ttft_p95_ms for step in steps if step.ttft_p95_ms]
    return known[-1] / known[0] if len(known) > 1 else None
