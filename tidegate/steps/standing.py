"""Holds and quarantine by hand: set by whoever may roll back, lifted by name by whoever may overrule a gate."""

from tidegate.domain import InvalidInput, NotFound, Permission, Refused, ServiceRef
from tidegate.domain.release import MACHINES
from tidegate.domain.standing import Hold, Quarantined
from tidegate.steps.near_copies import know_tensors
from tidegate.steps.overriding import NOBODY
from tidegate.steps.ports import Ports

MINIMUM_REASON = 3


def set_hold(ports: Ports, ref: ServiceRef, actor: str, reason: str) -> Hold:
    """Let nothing be released to the service by itself. A hold that stands stays as it is.

    Raises: NotFound, Refused, InvalidInput.
    """
    ports.service(ref)
    _require(ports, ref.org, actor, Permission.ROLL_BACK, reason)
    return ports.ledger.hold_service(ref, reason=reason, actor=actor)


def lift_hold(ports: Ports, ref: ServiceRef, actor: str, reason: str) -> Hold:
    """Allow automatic releases again. Raises: NotFound when it is not held, Refused, InvalidInput."""
    ports.service(ref)
    _require(ports, ref.org, actor, Permission.OVERRIDE_QUARANTINE, reason)
    lifted = ports.ledger.lift_hold(ref, actor=actor, reason=reason)
    if lifted is None:
        raise NotFound(f"{ref} is not held.", remedy="See what is: tidegate hold list.", service=str(ref))
    _note(ports, lifted.release_id, "hold lifted", actor, reason)
    return lifted


def add_quarantine(ports: Ports, org: str, digest: str, actor: str, reason: str) -> Quarantined:
    """Forbid a file, and every copy of its tensors, to the organization. Raises: NotFound, Refused, InvalidInput."""
    ports.organization(org)
    _require(ports, org, actor, Permission.ROLL_BACK, reason)
    ports.ledger.quarantine(org, digest, reason=f"{reason} (by {actor})", release_id="", actor=actor)
    know_tensors(ports, org, digest)
    found = ports.ledger.quarantined(org, digest)
    assert found is not None, "it was put there a moment ago"
    return found


def lift_quarantine(ports: Ports, org: str, digest: str, actor: str, reason: str) -> Quarantined:
    """Allow the file and its copies again. Raises: NotFound when it is not in quarantine, Refused, InvalidInput."""
    ports.organization(org)
    _require(ports, org, actor, Permission.OVERRIDE_QUARANTINE, reason)
    lifted = ports.ledger.lift_quarantine(org, digest, actor=actor, reason=reason)
    _note(ports, lifted.release_id, "quarantine lifted", actor, reason)
    return lifted


def digest_of(ports: Ports, org: str, text: str) -> str:
    """A digest from what people write: `MODEL:VERSION`, a whole digest, or the first digits of a known one.

    Raises: NotFound, InvalidInput for one that several files begin with.
    """
    if ":" in text:
        name, _, version = text.partition(":")
        return ports.ledger.get_version(org, name, version).digest
    known = {version.digest for version in ports.ledger.list_versions(org)}
    known |= {one.digest for one in ports.ledger.list_quarantine(org)}
    found = sorted(digest for digest in known if digest.startswith(text.lower())) if len(text) >= 8 else []
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInput(
            f"{len(found)} files begin with {text}.", remedy="Give more digits.", field="digest"
        )
    raise NotFound(
        f"{org} knows no file {text}.",
        remedy="Name MODEL:VERSION, or at least 8 digits of a digest: tidegate models list.",
        field="digest",
    )


def _require(ports: Ports, org: str, actor: str, permission: Permission, reason: str) -> None:
    """A person with a name and a reason. Whoever runs this on the installation could sign for anybody in it, so that a
    token would prove no more; where requests are signed the name must be one that the organization knows."""
    if len(reason.strip()) < MINIMUM_REASON:
        raise InvalidInput("It needs a reason.", remedy='For example --reason "fixed in v4".', field="reason")
    organization = ports.organization(org)
    is_machine = actor.startswith(MACHINES)
    if actor in NOBODY or (is_machine and permission is Permission.OVERRIDE_QUARANTINE):
        raise Refused(
            "This is decided by a person, by name.", remedy="Say who you are: --by NAME.", field="by"
        )
    is_signed = any(service.policy.require_signed_requests for service in organization.services.values())
    if organization.role_of(actor) is not None or is_signed:
        organization.require(actor, permission)


def _note(ports: Ports, release_id: str | None, name: str, actor: str, reason: str) -> None:
    """Also in the journal of the release that it came from, once that is over: while it runs, its owner writes there."""
    if not release_id:
        return
    try:
        release = ports.ledger.get_release(release_id)
    except NotFound:
        return
    if release.is_over:
        ports.ledger.append(release_id, 0, "note", name, {"actor": actor, "reason": reason})
