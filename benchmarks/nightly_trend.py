"""How often the nightly trend raises a false alarm, and how soon it sees a service that became slower.

    python -m benchmarks.nightly_trend [--services 300] [--nights 90]

Simulated nights of services whose median TTFT varies from night to night by a lognormal factor; every night is
judged by the real rule, as the nightly run does, until the first alarm.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from tidegate.domain import Verdict
from tidegate.domain.policy import NightlyPolicy
from tidegate.steps.night_figures import Night, NightFigures, judge_trends

START = datetime(2026, 1, 1, 3, 17, tzinfo=UTC)
CHANGED_ON = 30


@dataclass(frozen=True)
class Found:
    """Of many services: the share with an alarm, and the nights from the change to it."""

    alarms: float
    delays: tuple[int, ...]


def first_alarm(values: Sequence[float], policy: NightlyPolicy) -> int | None:
    """The night of the first alarm, counted from 0."""
    nights = [
        Night(
            at=START + timedelta(days=number),
            figures=NightFigures(night=str(number), digest="1" * 64, ttft_p50_ms=value),
        )
        for number, value in enumerate(values)
    ]
    for last in range(policy.nights_for_trend, len(nights) + 1):
        if judge_trends(nights[:last], policy)[0].verdict is Verdict.FAIL:
            return last - 1
    return None


def simulate(services: int, nights: int, spread: float, rise: float, policy: NightlyPolicy) -> Found:
    """`rise` is the factor from night 30 on; 1 for a service that stays as it is."""
    source = np.random.default_rng(20261126)
    alarms: list[int] = []
    for _ in range(services):
        values = 100 * source.lognormal(0, spread, nights)
        values[CHANGED_ON:] *= rise
        found = first_alarm(list(values), policy)
        if found is not None:
            alarms.append(found)
    return Found(len(alarms) / services, tuple(night - CHANGED_ON + 1 for night in alarms))


def main() -> None:
    arguments = _arguments()
    policy = NightlyPolicy()
    print(
        f"{arguments.services} services of {arguments.nights} nights, an alarm needs p <= {policy.trend_alpha:g} "
        f"and more than {policy.max_trend:.0%}"
    )
    print(f"{'night to night':>15} {'change':>8} {'alarms':>8}  nights until seen (median, 90 %)")
    for spread in (0.05, 0.1, 0.2):
        for rise in (1.0, 1.1, 1.25, 1.5):
            found = simulate(arguments.services, arguments.nights, spread, rise, policy)
            late = [delay for delay in found.delays if delay > 0]
            seen = f"{np.median(late):.0f}, {np.quantile(late, 0.9):.0f}" if rise > 1 and late else ""
            print(f"{spread:>15.0%} {rise - 1:>8.0%} {found.alarms:>8.1%}  {seen}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=300)
    parser.add_argument("--nights", type=int, default=90)
    return parser.parse_args()


if __name__ == "__main__":
    main()
