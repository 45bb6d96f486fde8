"""Whether a server keeps up with an open load: does what is in flight grow for as long as the run lasts?

Of a server that keeps up the queue wanders, of one that does not it grows by (rate - capacity) in each second,
and the figures of such a run say how long it lasted, not how fast the server is. The window is cut into parts;
the slope of their means, with Student's t interval, tells growth from wandering.
"""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from tidegate.benchmark.chunks import chunking_of
from tidegate.benchmark.figures import Published
from tidegate.benchmark.latencies import judged_figure, latencies
from tidegate.benchmark.record import RunRecord
from tidegate.benchmark.windows import PARTS, S, Windows, in_flight_levels, time_at_levels

CONFIDENCE = 0.95
LEAST_PILED_SHARE = 0.02
"""Of the arrivals; a slower growth than this is no over-saturation, however certain it is."""


class Slope(Published):
    """Change per second of the window, with its 95 % interval over the parts."""

    value: float
    low: float
    high: float
    unit: str


class Saturation(Published):
    """`growing`: more arrives than is answered. `unclear`: the interval holds both."""

    verdict: Literal["steady", "growing", "unclear", "not applicable"]
    in_flight: Slope | None = Field(default=None, description="Requests in flight gained per second.")
    ttft: Slope | None = Field(default=None, description="Milliseconds of TTFT gained per second.")
    piled_share: float | None = Field(
        default=None, description="Share of the arrivals that was never caught up with."
    )


def saturation_of(run: RunRecord) -> Saturation:
    """For open loops; a closed loop cannot pile up requests."""
    span = max(Windows.of(run).spans, key=lambda found: found[1] - found[0])
    arrivals = [request for request in run.measured() if request.start_ns is not None]
    if not run.is_open_loop or len(arrivals) < 2 * PARTS:
        return Saturation(verdict="not applicable")
    width = (span[1] - span[0]) / PARTS
    middles = [(number + 0.5) * width / S for number in range(PARTS)]
    levels = in_flight_levels(run.requests)
    means: list[float] = []
    for number in range(PARTS):
        part = (round(span[0] + number * width), round(span[0] + (number + 1) * width))
        spent = time_at_levels(levels, part)
        means.append(sum(level * time for level, time in spent.items()) / (part[1] - part[0]))
    growth = slope(middles, means, "requests/s")
    # Against the arrivals of this span: other blocks have queues of their own.
    rate = sum(span[0] <= (request.start_ns or 0) <= span[1] for request in arrivals) / (width * PARTS / S)
    return Saturation(
        verdict=_verdict(growth, rate),
        in_flight=growth,
        ttft=_ttft_slope(run, span[0], width, middles),
        piled_share=max(0.0, growth.value / rate) if rate else None,
    )


def slope(times_s: Sequence[float], values: Sequence[float], unit: str) -> Slope:
    """Least squares through at least three points; t interval with n - 2 degrees of freedom."""
    from tidegate.statistics.distributions import t_quantile

    count = len(values)
    mean_time, mean_value = math.fsum(times_s) / count, math.fsum(values) / count
    spread = math.fsum((time - mean_time) ** 2 for time in times_s)
    value = (
        math.fsum(
            (time - mean_time) * (found - mean_value) for time, found in zip(times_s, values, strict=True)
        )
        / spread
    )
    rest = math.fsum(
        (found - mean_value - value * (time - mean_time)) ** 2
        for time, found in zip(times_s, values, strict=True)
    )
    half = t_quantile((1 + CONFIDENCE) / 2, count - 2) * math.sqrt(rest / (count - 2) / spread)
    return Slope(value=value, low=value - half, high=value + half, unit=unit)


def _verdict(growth: Slope, rate: float) -> Literal["steady", "growing", "unclear"]:
    least = LEAST_PILED_SHARE * rate
    if growth.low > 0 and growth.value >= least:
        return "growing"
    return "steady" if growth.high < least or growth.value <= 0 else "unclear"


def _ttft_slope(run: RunRecord, start_ns: int, width: float, middles: Sequence[float]) -> Slope | None:
    """Over the parts in which something began and was answered; None for fewer than three."""
    figure, chunking = judged_figure("ttft", run.is_open_loop), chunking_of(run.requests)
    parts: dict[int, list[float]] = {}
    for request in run.measured():
        value = figure(latencies(request, chunking)) if request.is_ok else None
        if value is not None and request.start_ns is not None and request.start_ns >= start_ns:
            parts.setdefault(int((request.start_ns - start_ns) / width), []).append(value)
    known = sorted(number for number in parts if number < len(middles))
    if len(known) < 3:
        return None
    means = [math.fsum(parts[number]) / len(parts[number]) for number in known]
    return slope([middles[number] for number in known], means, "ms/s")
