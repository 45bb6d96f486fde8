"""When requests of an open loop are due: constant, Poisson and gamma arrivals from one seeded generator. Pure.

Two tools of the field do not send what they promise: one seeds every worker alike and adds up their gaps, so
that each gap comes once per worker (lag-1 autocorrelation 0.45 where Poisson has none); one draws exponential
gaps and calls them constant. So the times are drawn once, in one process, before the run, and gaps are never
rescaled to hit a total: a Poisson window holds a random number of requests, that is what Poisson means.
"""

from enum import StrEnum
from math import ceil, sqrt
from typing import TYPE_CHECKING

from tidegate.domain import InvalidInput

if TYPE_CHECKING:
    import numpy as np

NS = 1_000_000_000
MAX_ARRIVALS = 200_000
"""More requests than this in one schedule would measure our memory."""


class Mode(StrEnum):
    """What decides when the next request is sent."""

    CLOSED = "closed"
    """N workers; each sends when its last answer has ended. Hides stalls: a stopped server is asked less."""
    CONSTANT = "constant"
    POISSON = "poisson"
    GAMMA = "gamma"
    """Like Poisson, in bursts (shape below 1) or more even than it (shape above 1)."""
    TRACE = "trace"
    """The times of a recorded trace."""

    @property
    def is_open(self) -> bool:
        """Whether requests have planned times that do not depend on the server."""
        return self is not Mode.CLOSED


def draw_gaps_s(
    mode: Mode, rate: float, burstiness: float, count: int, generator: "np.random.Generator"
) -> list[float]:
    """`count` gaps with the mean 1/rate.

    Gamma: shape k = burstiness, scale 1/(rate k), so that the coefficient of variation is 1/sqrt(k); k = 1 is
    the exponential law of Poisson arrivals. The name and meaning of burstiness are vLLM's.
    """
    match mode:
        case Mode.CONSTANT:
            return [1 / rate] * count
        case Mode.POISSON:
            return generator.exponential(1 / rate, count).tolist()
        case Mode.GAMMA:
            return generator.gamma(burstiness, 1 / (rate * burstiness), count).tolist()
        case _:
            raise InvalidInput(
                f"Arrivals of mode '{mode}' do not follow a law.",
                remedy="Use constant, poisson or gamma.",
                field="mode",
            )


def draw_times_ns(
    mode: Mode,
    rate: float,
    burstiness: float,
    generator: "np.random.Generator",
    *,
    count: int | None = None,
    duration_s: float | None = None,
) -> list[int]:
    """Due times from the start of a window: the first `count`, or all that fall into `duration_s`.

    Constant arrivals begin at 0; random ones begin after their first gap, as arrivals seen from any moment do.
    """
    if mode is Mode.CONSTANT:
        number = count if count is not None else ceil(rate * (duration_s or 0.0) - 1e-9)
        _refuse_too_many(number)
        return [round(index * NS / rate) for index in range(number)]
    if count is not None:
        _refuse_too_many(count)
        return _running_sum(draw_gaps_s(mode, rate, burstiness, count, generator))
    return _times_inside(mode, rate, burstiness, generator, duration_s or 0.0)


def _times_inside(
    mode: Mode, rate: float, burstiness: float, generator: "np.random.Generator", duration_s: float
) -> list[int]:
    """Draw in portions until one arrival falls behind the window; that one and later ones are not used."""
    expected = rate * duration_s
    _refuse_too_many(ceil(expected))
    spread = sqrt(expected / (burstiness if mode is Mode.GAMMA else 1.0))
    gaps: list[float] = []
    while sum(gaps) <= duration_s:
        gaps += draw_gaps_s(mode, rate, burstiness, ceil(expected + 4 * spread) + 16, generator)
        _refuse_too_many(len(gaps) // 4)
    end_ns = round(duration_s * NS)
    return [at for at in _running_sum(gaps) if at < end_ns]


def _running_sum(gaps_s: list[float]) -> list[int]:
    times, at = list[int](), 0.0
    for gap in gaps_s:
        at += gap
        times.append(round(at * NS))
    return times


def _refuse_too_many(count: int) -> None:
    if count > MAX_ARRIVALS:
        raise InvalidInput(
            f"A schedule of {count} requests is more than the {MAX_ARRIVALS} that one run may have.",
            remedy="Lower the rate or the duration, or measure several times.",
            field="rate, duration_s, requests",
        )
