"""Stop and approve: a person's words to a release, and whether somebody drives it."""

import time
from collections.abc import Callable

from tidegate.domain import (
    Permission,
    Refused,
    Release,
    ReleaseState,
    Secret,
    ServiceRef,
)
from tidegate.release.observer import evidence_digest
from tidegate.steps.ports import Ports
from tidegate.steps.proof import approval_wish, identify

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


def approve_release(
    ports: Ports, release_id: str, actor: str, reason: str, token: Secret | None = None
) -> Release:
    """Let a waiting release go on with its next step. Void once the release leaves the state it was given in.

    What a policy wants approved is approved by somebody with the role for it, and on its list if it has one.

    Raises: Refused.
    """
    release = ports.ledger.get_release(release_id)
    if release.state not in (ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL):
        return release
    asker = identify(ports, approval_wish(ports, release), actor, token, release)
    if release.state is ReleaseState.AWAIT_APPROVAL:
        _require_approver(ports, release.ref, asker.identity)
    if asker.proof is not None:
        ports.ledger.spend(asker.proof, release_id)
    given = {
        "actor": asker.identity,
        "reason": reason,
        "plan_digest": release.plan.digest if release.plan else "",
        "evidence_digest": evidence_digest(ports.ledger.evidence(release_id)),
    }
    ports.ledger.append(release_id, release.epoch, "note", "approve", given)
    return ports.ledger.get_release(release_id)


def _require_approver(ports: Ports, ref: ServiceRef, identity: str) -> None:
    ports.organization(ref.org).require(identity, Permission.APPROVE)
    approvers = ports.service(ref).policy.approval.approvers
    if approvers and identity not in approvers:
        raise Refused(
            f"'{identity}' is not among those who approve releases of {ref}.",
            remedy=f"Ask one of: {', '.join(approvers)}.",
            service=str(ref),
        )


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
