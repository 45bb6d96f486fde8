"""What a rollback of a service would go back to now, by recorded digest, and in which way."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from tidegate.domain import NotFound, Refused, Release, ReleaseState, ServiceRef
from tidegate.release.ports import LEFT
from tidegate.steps.ports import Ports

AFTER_THE_POINT_OF_RECORD = frozenset({ReleaseState.COMMITTING, ReleaseState.RETIRING})
JUST_NOW_S = 60.0
"""A second wish within this time after a way back means the same harm, not a version further."""

Way = Literal["stop", "stop_and_release", "release", "join", "none"]


@dataclass(frozen=True)
class Target:
    """`stop` ends the release under way, which brings its own traffic back; `release` makes a release of the older
    digest, `stop_and_release` after ending the one under way; `join` follows a rollback that runs already; `none`
    has nothing to do."""

    way: Way
    digest: str | None
    label: str
    why: str
    set_name: str | None = None
    """A set that serves it already, warm or to be started; None: one is made anew."""
    release: Release | None = None
    """The release that is stopped, joined, or that did it already."""


def find_target(ports: Ports, ref: ServiceRef, to: str | None = None, leaving: str | None = None) -> Target:
    """`to`: digest to go back to, by default what the journal recorded as serving before. `leaving`: digest that is
    complained about; when nothing of it serves or is under way, there is nothing to do, and it is never the target.

    Raises: NotFound when there is nothing to go back to, Refused when all of it is quarantined (S10).
    """
    active = ports.ledger.active_release(ref)
    if active is not None and active.request.trigger == "rollback":
        return _join(ports, active, to)
    done = _nothing_to_do(ports, ref, active, to, leaving)
    if done is not None:
        return done
    if active is None:
        return _of_history(ports, ref, to)
    old = _old_digest(ports, ref, active)
    if leaving is not None and leaving == old and to is None:
        return _away_from_old(ports, ref, active, leaving)
    if active.state in AFTER_THE_POINT_OF_RECORD:
        return _of_record(ports, ref, to or old, f"served before {active.id}", active)
    if to is None or to == old:
        why = f"serves beside release {active.id}" if old else f"release {active.id} has no earlier version"
        return _target(ports, ref, "stop", old, why, active)
    return _of_record(ports, ref, to, "asked for by name", active, way="stop_and_release")


def digest_of(ports: Ports, ref: ServiceRef, named: str) -> str | None:
    """The digest behind `MODEL:VERSION`, or the digest itself; None for an empty text. Raises: NotFound."""
    name, colon, version = named.strip().partition(":")
    if not colon:
        return name or None
    return ports.ledger.get_version(ref.org, name, version).digest


def _join(ports: Ports, active: Release, to: str | None) -> Target:
    if to is not None and to != active.digest:
        raise Refused(
            f"A rollback of {active.ref} to another version is under way ({active.id}).",
            remedy=f"Wait for it, or see: tidegate releases show {active.id}.",
            field="to",
        )
    return _target(ports, active.ref, "join", active.digest, "a rollback is under way already", active)


def _nothing_to_do(
    ports: Ports, ref: ServiceRef, active: Release | None, to: str | None, leaving: str | None
) -> Target | None:
    champion = ports.ledger.get_alias(ref, "champion")
    live = champion.digest if champion else None
    if leaving is not None and leaving != live and (active is None or active.digest != leaving):
        return _target(
            ports, ref, "none", live, "what is complained about serves nobody and is not under way"
        )
    if active is not None:
        return None
    newest = next(iter(ports.ledger.list_releases(ref=ref, limit=1)), None)
    if to is not None:
        if to != live:
            return None
        return _target(ports, ref, "none", live, "it is the live version already", newest)
    if newest is None or not _went_back(ports, newest):
        return None
    is_recent = ports.clock() - newest.updated_at < timedelta(seconds=JUST_NOW_S)
    has_previous = ports.ledger.get_alias(ref, "previous") is not None
    if is_recent or (newest.request.trigger == "rollback" and not has_previous):
        return _target(ports, ref, "none", live, f"it went back already, with {newest.id}", newest)
    return None


def _away_from_old(ports: Ports, ref: ServiceRef, active: Release, old: str) -> Target:
    """What is complained about is the version that the release under way replaces: stopping that would bring all
    traffic back to it. So it goes to one before it; where there is none, the release goes on."""
    if active.state in AFTER_THE_POINT_OF_RECORD:
        why = f"release {active.id} has taken all traffic from it already"
        return _target(ports, ref, "none", active.digest, why, active)
    sound = [
        digest
        for digest in _served_before(ports, ref)
        if digest not in (old, active.digest) and ports.ledger.quarantine_reason(ref.org, digest) is None
    ]
    if not sound:
        why = f"release {active.id} replaces it, and no sound version served before"
        return _target(ports, ref, "none", old, why, active)
    why = f"the newest version that served before {_label(ports, ref, old)}"
    return _of_record(ports, ref, sound[0], why, active, way="stop_and_release")


def _went_back(ports: Ports, release: Release) -> bool:
    """One that a gate rejected moved nothing; one that was stopped before it had a set is what the wish was about."""
    if release.request.trigger == "rollback":
        return release.state is ReleaseState.DONE
    if release.state is ReleaseState.REJECTED:
        return any(entry.kind == "abort" for entry in ports.ledger.entries(release.id))
    return release.state is ReleaseState.ROLLED_BACK


def _of_history(ports: Ports, ref: ServiceRef, to: str | None) -> Target:
    """By name, else the newest version that served before and is not in quarantine."""
    if to is not None:
        return _of_record(ports, ref, to, "asked for by name", None)
    champion = ports.ledger.get_alias(ref, "champion")
    refused = ""
    for digest in _served_before(ports, ref):
        if champion is not None and digest == champion.digest:
            continue
        reason = ports.ledger.quarantine_reason(ref.org, digest)
        if reason is None:
            return _of_record(ports, ref, digest, "the newest version that served before", None)
        refused = refused or f"{_label(ports, ref, digest)} of {ref} is quarantined: {reason}"
    if refused:
        raise Refused(
            f"The previous version {refused}",
            remedy=f"Release a sound version: tidegate release {ref} MODEL:VERSION "
            "(with --override-quarantine REASON for this one).",
            service=str(ref),
        )
    raise NotFound(
        f"{ref} has no previous version to go back to.",
        remedy=f"See the versions with: tidegate models list, then: tidegate release {ref} MODEL:VERSION.",
        service=str(ref),
    )


def _served_before(ports: Ports, ref: ServiceRef) -> Iterator[str]:
    """Recorded digests, never inferred ones: the `previous` alias, then what was champion, newest first."""
    previous = ports.ledger.get_alias(ref, "previous")
    seen: set[str] = set()
    moves = [move for move in ports.ledger.alias_history(ref) if move["alias"] == "champion"]
    for digest in ([previous.digest] if previous else []) + [move["new_digest"] for move in reversed(moves)]:
        if digest and digest not in seen:
            seen.add(digest)
            yield digest


def _of_record(
    ports: Ports,
    ref: ServiceRef,
    digest: str | None,
    why: str,
    active: Release | None,
    *,
    way: Way = "release",
) -> Target:
    if digest is None:
        raise NotFound(
            f"{ref} has no version to go back to: this is its first.",
            remedy=f"Release another one: tidegate release {ref} MODEL:VERSION.",
            service=str(ref),
        )
    if ports.ledger.version_by_digest(ref.org, digest) is None:
        raise NotFound(
            f"{ref.org} has no registered version with digest {digest[:12]}.",
            remedy="See them with: tidegate models list.",
            field="to",
        )
    reason = ports.ledger.quarantine_reason(ref.org, digest)
    if reason is not None:
        raise Refused(
            f"The version {_label(ports, ref, digest)} of {ref} is quarantined: {reason}",
            remedy="Name another one, or lift its quarantine: tidegate quarantine lift.",
            service=str(ref),
            field="to",
        )
    return _target(ports, ref, way, digest, why, active)


def _old_digest(ports: Ports, ref: ServiceRef, active: Release) -> str | None:
    if active.plan is not None:
        return active.plan.blue_digest
    champion = ports.ledger.get_alias(ref, "champion")
    return champion.digest if champion else None


def _target(
    ports: Ports, ref: ServiceRef, way: Way, digest: str | None, why: str, release: Release | None = None
) -> Target:
    return Target(way, digest, _label(ports, ref, digest), why, _set_of(ports, ref, digest), release)


def _label(ports: Ports, ref: ServiceRef, digest: str | None) -> str:
    version = ports.ledger.version_by_digest(ref.org, digest) if digest else None
    return version.label if version else (digest or "none")[:12]


def _set_of(ports: Ports, ref: ServiceRef, digest: str | None) -> str | None:
    """The set that serves it: as the planner chooses, the routed one first."""
    route = ports.ledger.get_route(ref)
    routed = route.weights if route else {}
    names = [
        spec.name for spec, state in ports.ledger.list_sets(ref) if spec.digest == digest and state != LEFT
    ]
    return max(names, key=lambda name: name in routed, default=None)
