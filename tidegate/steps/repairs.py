"""Puts one difference right. Fenced by the epoch that stood when it was seen: a release that began since then wins."""

from tidegate.domain import (
    Fenced,
    NeedsOperator,
    ServiceRef,
    SetState,
    SetStatus,
    Upstream,
)
from tidegate.release.ports import LEFT
from tidegate.steps.differences import ADDRESS, Difference, Intended, Repair
from tidegate.steps.ports import Ports
from tidegate.steps.proof import Asker
from tidegate.steps.rollback_manager import RollbackManager

RECONCILE = "tidegate:reconcile"
"""Who it says it is. Nobody can ask under this name: it is no person and no machine of an organization."""


def repair(ports: Ports, intended: Intended, found: Difference) -> str:
    """What was done, as a sentence; empty when nothing was. Raises: Fenced when a release began meanwhile."""
    ref, name = intended.ref, found.set_name
    match found.repair:
        case Repair.READDRESS:
            return f"{ref}: published {name} at its new address" if assert_addresses(ports, ref) else ""
        case Repair.START:
            return _start(ports, intended, name)
        case Repair.WEIGHTS:
            return _put_weights(ports, intended, name)
        case Repair.ALIAS:
            return _move_alias(ports, intended)
        case Repair.LEAVE:
            ports.ledger.set_state(name, LEFT, epoch=intended.epoch)
            return f"{name} was marked for removal"
        case Repair.DELETE:
            return _delete(ports, intended, name)
        case Repair.ROLL_BACK:
            return go_back(ports, ref, found.summary, "drift")
        case Repair.NONE:
            return ""


def go_back(ports: Ports, ref: ServiceRef, reason: str, trigger: str) -> str:
    """To the version before, when its set is ready now; otherwise the service is held for a person."""
    manager = RollbackManager(ports)
    safety = manager.verify_rollback_safety(ref)
    if not (safety.is_safe and safety.is_warm):
        missing = next((one.summary for one in safety.preconditions if one.verdict != "pass"), "no warm set")
        ports.ledger.hold_service(ref, reason=f"{reason}; not rolled back: {missing}", actor=RECONCILE)
        raise NeedsOperator(
            f"{ref} was not rolled back ({missing}): {reason}",
            remedy=f"Release a sound version: tidegate release {ref} MODEL:VERSION.",
        )
    outcome = manager.execute_rollback(
        ref, actor=RECONCILE, reason=reason, trigger=trigger, asker=Asker(RECONCILE)
    )
    return f"{ref} went back to {outcome.target}: {reason}"


def _start(ports: Ports, intended: Intended, name: str) -> str:
    known = ports.ledger.get_set(name)
    if known is None:
        return ""
    _check_fence(ports, intended)
    platform = ports.platform(intended.ref)
    status = platform.status(name)
    if status.state is SetState.ABSENT:
        platform.create(known[0])
    else:
        platform.start(name)
    return f"{name} was started again"


def _put_weights(ports: Ports, intended: Intended, live: str) -> str:
    route = intended.route
    assert route is not None, "weights drift only where a route is"
    weights = {name: 100 if name == live else 0 for name in route.weights}
    stand_in = route.stand_in if route.stand_in != live else None
    wanted = route.model_copy(
        update={"weights": weights, "mirror": None, "newest": live, "stand_in": stand_in}
    )
    ports.ledger.put_route(wanted, epoch=intended.epoch, expected_generation=route.generation)
    return f"{intended.ref}: all traffic is on {live} again"


def _move_alias(ports: Ports, intended: Intended) -> str:
    ref, live = intended.ref, intended.live_digest
    version = ports.ledger.version_by_digest(ref.org, live) if live else None
    if version is None:
        return ""
    reason = f"it serves {ref}, and the alias named another version"
    ports.ledger.set_alias(ref, "champion", version, actor=RECONCILE, reason=reason, epoch=intended.epoch)
    return f"champion of {ref} names {version.label} again"


def _delete(ports: Ports, intended: Intended, name: str) -> str:
    """The tombstone first, fenced: a release that begins after it plans without this set, and one that began before
    it keeps it. A crash between the two leaves an orphan, which the next sweep removes."""
    ports.ledger.set_state(name, "deleted", epoch=intended.epoch)
    ports.platform(intended.ref).delete(name)
    return f"{name} was removed"


def _check_fence(ports: Ports, intended: Intended) -> None:
    """A platform cannot be fenced: look once more."""
    if ports.ledger.current_epoch(intended.ref) != intended.epoch:
        raise Fenced(f"A release of {intended.ref} began meanwhile.", remedy="It does what is needed.")


def assert_addresses(ports: Ports, ref: ServiceRef) -> bool:
    """A set that was started again may listen elsewhere: publish the same weights with its present address.

    Written with the service's present epoch, and only when nobody else wrote meanwhile: weights are not ours.
    """
    route = ports.ledger.get_route(ref)
    if route is None or not route.upstreams:
        return False
    platform = ports.platform(ref)
    fresh = [_with_address(upstream, platform.status(upstream.set_name)) for upstream in route.upstreams]
    if tuple(fresh) == route.upstreams:
        return False
    wanted = route.model_copy(update={"upstreams": tuple(fresh)})
    ports.ledger.put_route(
        wanted, epoch=ports.ledger.current_epoch(ref), expected_generation=route.generation
    )
    return True


def _with_address(upstream: Upstream, status: SetStatus) -> Upstream:
    """Where the set is reached now; what it serves stays as it was routed."""
    if not status.is_ready:
        return upstream
    return upstream.model_copy(update={part: getattr(status, part) for part in ADDRESS})
