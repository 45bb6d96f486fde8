"""Stopping a release, and whether somebody drives it."""

import time
from collections.abc import Callable

from tidegate.domain import Release
from tidegate.steps.ports import Ports

OWNER_ALIVE_S = 10.0
OWNER_POLL_S = 0.1


def stop_release(ports: Ports, release_id: str, actor: str, reason: str, trigger: str = "abort") -> Release:
    """Ask a release to stop and bring its traffic back. Its owner, or reconcile, does it. `trigger` says what asks.

    Asking a release that is over changes nothing.
    """
    release = ports.ledger.get_release(release_id)
    if not release.is_over:
        told = {"actor": actor, "reason": reason, "trigger": trigger}
        ports.ledger.append(release_id, release.epoch, "abort", "stop", told)
    return ports.ledger.get_release(release_id)


def is_owner_alive(ports: Ports, release: Release) -> bool:
    """Somebody drove it within the last ten seconds (owners say so every two)."""
    if release.owner_seen_at is None or release.is_over:
        return False
    return (ports.clock() - release.owner_seen_at).total_seconds() < OWNER_ALIVE_S


def is_abandoned(ports: Ports, release: Release, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Nobody drives it any more. An owner that died a moment ago still counts as alive: it is watched until it
    speaks again, within two seconds, or has been silent for ten."""
    last_seen = release.owner_seen_at
    while is_owner_alive(ports, release):
        sleep(OWNER_POLL_S)
        release = ports.ledger.get_release(release.id)
        if release.owner_seen_at != last_seen:
            return False
    return not release.is_over
