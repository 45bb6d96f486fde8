"""What the gateways' own reports prove: who is there, who has a route, and which sets a silent one may still use. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tidegate.domain import GatewayStatus, Route, ServiceRef

GATEWAY_ALIVE_S = 5.0
"""A gateway that is silent for longer is not waited for. What it may still send to is kept all the same."""


def alive(statuses: Iterable[GatewayStatus], now: datetime) -> list[GatewayStatus]:
    """Gateways that serve and were heard of."""
    limit = now - timedelta(seconds=GATEWAY_ALIVE_S)
    return [status for status in statuses if status.state == "serving" and status.seen_at >= limit]


def is_confirmed(
    statuses: Sequence[GatewayStatus], now: datetime, ref: ServiceRef, route: Route | None
) -> bool:
    """Every live gateway has this very route; with no live gateway nothing is confirmed.

    By service: a set of another organization that a gateway cannot reach holds up nobody but its owner.
    """
    present = alive(statuses, now)
    wanted = route.generation if route else 0
    return bool(present) and all(
        max(status.observed_generation, status.observed.get(str(ref), 0)) >= wanted for status in present
    )


def silent_sets(statuses: Sequence[GatewayStatus], now: datetime) -> dict[str, tuple[str, ...]]:
    """Set -> silent gateways that may still send to it: a partitioned one goes on with what it had."""
    present = {status.gateway for status in alive(statuses, now)}
    found: dict[str, tuple[str, ...]] = {}
    for status in statuses:
        if status.state == "serving" and status.gateway not in present:
            for name in status.routed_sets:
                found[name] = (*found.get(name, ()), status.gateway)
    return found
