"""Rollback and stop: a person's way out, with the same machine as everything else."""

import time
from collections.abc import Callable

from tidegate.domain import (
    NotFound,
    Refused,
    Release,
    ReleaseRequest,
    ReleaseState,
    Secret,
    ServiceRef,
    idempotency_key,
)
from tidegate.steps.pipeline import StepOutcome, resume
from tidegate.steps.ports import Ports
from tidegate.steps.proof import identify, rollback_wish

OWNER_ALIVE_S = 10.0
OWNER_POLL_S = 0.1
AFTER_THE_POINT_OF_RECORD = frozenset({ReleaseState.COMMITTING, ReleaseState.RETIRING})


def request_rollback(
    ports: Ports, ref: ServiceRef, actor: str, reason: str, token: Secret | None = None
) -> Release:
    """Find out who asks, record the wish to roll back, and say which release carries it out.

    A release under way is stopped: it brings its own traffic back. Otherwise a release to the version
    behind the `previous` alias is requested; it needs no judging, only proof that its set is ready now (S3).

    Raises: NotFound when there is nothing to go back to, Refused when it is quarantined (S10) or when whoever
    asks may not.
    """
    ports.service(ref)
    active = ports.ledger.active_release(ref)
    if active is not None and active.request.trigger == "rollback":
        return active
    asker = identify(ports, rollback_wish(ports, ref), actor, token, active)
    if active is not None and active.state not in AFTER_THE_POINT_OF_RECORD:
        if asker.proof is not None:
            ports.ledger.spend(asker.proof, active.id)
        return stop_release(ports, active.id, asker.identity, reason)
    previous = ports.ledger.get_alias(ref, "previous")
    if previous is None:
        raise NotFound(
            f"{ref} has no previous version to go back to.",
            remedy=f"See the versions with: tidegate models list, then: tidegate release {ref} MODEL:VERSION.",
            service=str(ref),
        )
    failed_before = ports.ledger.quarantine_reason(ref.org, previous.digest)
    if failed_before is not None:
        raise Refused(
            f"The previous version {previous.label} of {ref} is quarantined: {failed_before}",
            remedy=f"Release a sound version: tidegate release {ref} MODEL:VERSION "
            "(with --override-quarantine REASON for this one).",
            service=str(ref),
        )
    request = ReleaseRequest(
        org=ref.org,
        service=ref.service,
        model=previous.name,
        version=previous.version,
        requested_by=asker.identity,
        trigger="rollback",
        reason=reason,
    )
    key = idempotency_key(ref, previous.digest, request.trigger)
    return ports.ledger.request_release(request, previous.digest, key=key, proof=asker.proof)


def roll_back_service(
    ports: Ports, ref: ServiceRef, actor: str, reason: str, token: Secret | None = None
) -> Release:
    """Request the rollback and carry it out in this process.

    A stopped release whose owner is alive is left to its owner, which sees the stop within a tenth of a second.
    """
    release = request_rollback(ports, ref, actor, reason, token)
    if not is_owner_alive(ports, release):
        resume(ports, release.id)
    return ports.ledger.get_release(release.id)


def bring_back(
    ports: Ports,
    ref: ServiceRef,
    actor: str,
    reason: str,
    token: Secret | None = None,
    timeout_s: float = 300.0,
) -> StepOutcome:
    """Roll back and wait for the outcome; an owner that dies on the way is replaced by this process."""
    release = request_rollback(ports, ref, actor, reason, token)
    deadline = time.monotonic() + timeout_s
    while is_owner_alive(ports, release) and time.monotonic() < deadline:
        time.sleep(OWNER_POLL_S)
        release = ports.ledger.get_release(release.id)
    return resume(ports, release.id)


def stop_release(ports: Ports, release_id: str, actor: str, reason: str) -> Release:
    """Ask a release to stop and bring its traffic back. Its owner, or reconcile, does it.

    Asking a release that is over changes nothing.
    """
    release = ports.ledger.get_release(release_id)
    if not release.is_over:
        ports.ledger.append(release_id, release.epoch, "abort", "stop", {"actor": actor, "reason": reason})
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
