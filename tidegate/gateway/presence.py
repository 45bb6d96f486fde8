"""What a gateway owes the others: when it heard of the ledger last, and which sets it may still send to.

Releases wait for gateways that speak, and keep the sets of those that do not. So a gateway names a set before it
sends to it, and unnames it only when no request can reach it any more.
"""

import time
import uuid
from collections.abc import Callable, Iterable

from tidegate.domain import Route
from tidegate.gateway.publish import Live

FRESH_S = 3.0
"""Shorter than the silence after which releases go on without a gateway: until then nothing was retired behind it."""
DRAINED = "drained"
"""What a person wants of a gateway that is to serve nobody until told otherwise."""
_RENEW = "renew:"


def renewal(boot: str) -> str:
    """The wish that the agent of this boot hands its clients over to a new one. Said twice, it is done once."""
    return f"{_RENEW}{boot}"


class Presence:
    """For one run of an agent."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic):
        self.boot = uuid.uuid4().hex[:12]
        self._now = monotonic
        self._heard_at: float | None = None
        self._pending: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()

    def heard(self) -> float | None:
        """The ledger answered. Returns for how long it had not, if that was long enough for others to go on alone."""
        before, self._heard_at = self._heard_at, self._now()
        if before is None or self._heard_at - before <= FRESH_S:
            return None
        return self._heard_at - before

    def is_fresh(self) -> bool:
        """Whether what was heard last is still true: nobody goes on without a gateway that spoke just now."""
        return self._heard_at is not None and self._now() - self._heard_at <= FRESH_S

    def expect(self, routes: Iterable[Route]) -> None:
        """These routes are about to be published, perhaps in several attempts."""
        self._pending = _names(routes)

    def done(self) -> None:
        """What was expected is published."""
        self._pending = frozenset()

    def routed_sets(self, live: Live) -> tuple[str, ...]:
        """Every set that Envoy may send to, now or by the publication under way."""
        draining = {upstream.set_name for one in live.draining for upstream in one.upstreams}
        return tuple(sorted(_names(live.routes) | draining | self._pending))

    def is_told(self, routes: Iterable[Route]) -> bool:
        """Whether the ledger already knows that this gateway may send to all sets of these routes."""
        return _names(routes) <= self._told

    def told(self, sets: Iterable[str]) -> None:
        """The ledger has this report."""
        self._told = frozenset(sets)


def _names(routes: Iterable[Route]) -> frozenset[str]:
    return frozenset(upstream.set_name for route in routes for upstream in route.upstreams)
