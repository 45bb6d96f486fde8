"""Intended, reported, observed: where the three differ, and what would repair it. Pure.

Intended is what the ledger says. Reported is what gateways say they have. Observed is what platforms and engines answer
now. While a release is under way its owner moves everything; then only addresses and gateways are compared, and, until
it has a set of its own beside what serves, whether that still runs: it may wait for days for room or for a person.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tidegate.domain import GatewayStatus, Release, ReleaseState, Route, ServiceRef, SetState, SetStatus
from tidegate.release.confirmation import GATEWAY_ALIVE_S
from tidegate.release.ports import LEFT

LOST = "set.lost"
SETTLE_S = 5.0
"""A gateway has this long to take new weights before it counts as behind."""
ADDRESS = ("host", "port", "tls", "path_prefix", "credential")
NOT_RUNNING = frozenset({SetState.FAILED, SetState.ABSENT, SetState.STOPPED})


class Repair(StrEnum):
    """What puts a difference right. `none`: it heals by itself, or a person must look."""

    NONE = "none"
    READDRESS = "readdress"
    START = "start"
    WEIGHTS = "weights"
    ALIAS = "alias"
    LEAVE = "leave"
    DELETE = "delete"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True)
class Difference:
    """`kind` and `subject` together name it: seen again, it is the same one."""

    kind: str
    subject: str
    summary: str
    remedy: str = ""
    repair: Repair = Repair.NONE
    set_name: str = ""
    needs_person: bool = False


@dataclass(frozen=True)
class Intended:
    """What the ledger says about one service. `live` is the set that the last decided release left serving."""

    ref: ServiceRef
    epoch: int
    route: Route | None
    live_set: str | None
    live_digest: str | None
    champion_digest: str | None
    sets: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Name -> recorded digest and state."""
    busy: str | None = None
    """The release under way."""
    is_tended: bool = True
    """Whether the release under way looks after what serves: one that has no set beside it yet does not."""

    def weight(self, name: str) -> int:
        return self.route.weights.get(name, 0) if self.route else 0

    def is_routed(self, name: str) -> bool:
        return self.route is not None and name in self.route.weights


@dataclass(frozen=True)
class Observed:
    """What was asked just now. A set that could not be asked is left out: silence is no difference."""

    now: datetime
    sets: Mapping[str, SetStatus] = field(default_factory=dict[str, SetStatus])
    lying: Mapping[str, str] = field(default_factory=dict[str, str])
    """Set -> what its workers serve instead of what is recorded."""


def intended_live(releases: Iterable[Release]) -> tuple[str, str] | None:
    """Set and digest that the last release which decided anything left serving. By epoch: a release that waited for
    its turn ended later than one that was asked for after it."""
    for release in sorted(releases, key=lambda one: -one.epoch):
        plan = release.plan
        if plan is None:
            continue
        if release.state is ReleaseState.DONE:
            return plan.green_set, plan.green_digest
        if release.state in (ReleaseState.ROLLED_BACK, ReleaseState.EVALUATED):
            return (plan.blue_set, plan.blue_digest) if plan.blue_set and plan.blue_digest else None
    return None


def compare(
    intended: Intended, reported: Sequence[GatewayStatus], observed: Observed
) -> tuple[Difference, ...]:
    """Everything about one service that is not as it should be."""
    found = [*_behind(intended, reported, observed.now), *_addresses(intended, observed)]
    if intended.busy is None:
        found += _sets(intended, reported, observed)
        found += _weights(intended, observed)
        found += _alias(intended)
    elif not intended.is_tended:
        found += [
            one
            for one in _sets(intended, reported, observed)
            if one.kind == LOST and intended.weight(one.set_name) > 0
        ]
    return tuple(found)


def silent_gateways(reported: Sequence[GatewayStatus], now: datetime) -> tuple[Difference, ...]:
    """Gateways that neither speak nor said goodbye: what they route to is kept until a person or they say more."""
    return tuple(
        Difference(
            "gateway.silent",
            one.gateway,
            f"gateway {one.gateway} was heard last at {one.seen_at:%H:%M:%S}; it may still route to "
            f"{len(one.routed_sets)} sets, which are kept",
            f"Start it again; when it is gone for good: tidegate gateways forget {one.gateway}.",
            needs_person=True,
        )
        for one in reported
        if one.state == "serving" and not is_alive(one, now)
    )


def is_alive(status: GatewayStatus, now: datetime) -> bool:
    return status.state == "serving" and status.seen_at >= now - timedelta(seconds=GATEWAY_ALIVE_S)


def held_by(name: str, reported: Sequence[GatewayStatus]) -> list[str]:
    """Gateways that may still send to a set, whether they speak or not."""
    return sorted(one.gateway for one in reported if one.state == "serving" and name in one.routed_sets)


def _behind(intended: Intended, reported: Sequence[GatewayStatus], now: datetime) -> Iterator[Difference]:
    route = intended.route
    if route is None:
        return
    if route.published_at is not None and now - route.published_at < timedelta(seconds=SETTLE_S):
        return
    for one in reported:
        has = one.observed.get(str(intended.ref))
        is_behind = one.observed_generation < route.generation if has is None else has < route.generation
        if is_alive(one, now) and is_behind:
            yield Difference(
                "gateway.weights",
                f"{one.gateway} {intended.ref}",
                f"{one.gateway} has not taken generation {route.generation} of {intended.ref}"
                + (f": {one.error}" if one.error else ""),
                "It takes the newest by itself; when this stays, see: tidegate logs gateway.",
                needs_person=True,
            )


def _addresses(intended: Intended, observed: Observed) -> Iterator[Difference]:
    for upstream in intended.route.upstreams if intended.route else ():
        status = observed.sets.get(upstream.set_name)
        if status is None or not status.is_ready:
            continue
        if any(getattr(status, part) != getattr(upstream, part) for part in ADDRESS):
            yield Difference(
                "set.address",
                upstream.set_name,
                f"{upstream.set_name} listens at {status.host}:{status.port} now",
                repair=Repair.READDRESS,
                set_name=upstream.set_name,
            )


def _sets(intended: Intended, reported: Sequence[GatewayStatus], observed: Observed) -> Iterator[Difference]:
    for name, (digest, state) in intended.sets.items():
        if not intended.is_routed(name):
            yield _unrouted(name, state, reported)
            continue
        status = observed.sets.get(name)
        serves = observed.lying.get(name) or _other_file(status, digest)
        if serves:
            yield _lie(intended, name, serves)
        elif status is not None and status.state in NOT_RUNNING:
            yield Difference(
                LOST,
                name,
                f"{name}, with {intended.weight(name)} % of {intended.ref}, is {status.state.value}"
                + (f": {status.message}" if status.message else ""),
                "It is started again; what it should serve is bridged by the other set meanwhile.",
                repair=Repair.START,
                set_name=name,
            )


def _other_file(status: SetStatus | None, digest: str) -> str:
    if status is None or not status.is_ready or status.digest in (None, digest):
        return ""
    return f"its engine reports {str(status.digest)[:12]}"


def _lie(intended: Intended, name: str, serves: str) -> Difference:
    carries = intended.weight(name) > 0
    return Difference(
        "set.identity",
        name,
        f"{name}, with {intended.weight(name)} % of {intended.ref}, does not serve what is recorded: {serves}",
        f"Release a sound version: tidegate release {intended.ref} MODEL:VERSION.",
        repair=Repair.ROLL_BACK if carries else Repair.NONE,
        set_name=name,
        needs_person=not carries,
    )


def _unrouted(name: str, state: str, reported: Sequence[GatewayStatus]) -> Difference:
    """No route wants it. It goes in two looks, so that a release which begins meanwhile keeps it."""
    if state != LEFT:
        return Difference(
            "set.unused", name, f"no route and no release needs {name}", repair=Repair.LEAVE, set_name=name
        )
    holders = held_by(name, reported)
    if holders:
        return Difference(
            "set.left",
            name,
            f"{name} is kept: {', '.join(holders)} may still send to it",
            "It goes once they have taken newer weights, said goodbye, or are forgotten.",
            set_name=name,
        )
    return Difference(
        "set.left", name, f"{name} is needed by nobody any more", repair=Repair.DELETE, set_name=name
    )


def _weights(intended: Intended, observed: Observed) -> Iterator[Difference]:
    """S4: after a release is over, all traffic is on what it left serving, and nothing is copied."""
    route, live = intended.route, intended.live_set
    if live is None or route is None or (route.weights.get(live) == 100 and route.mirror is None):
        return
    status = observed.sets.get(live)
    can = live in route.weights and status is not None and status.is_ready and live not in observed.lying
    shares = ", ".join(f"{weight} % {name}" for name, weight in sorted(route.weights.items()))
    yield Difference(
        "weights.drift",
        str(intended.ref),
        f"{intended.ref} should be served by {live} alone, and is routed {shares or 'nowhere'}",
        "" if can else f"{live} cannot take it now. Release a version: tidegate release {intended.ref} ...",
        repair=Repair.WEIGHTS if can else Repair.NONE,
        set_name=live,
        needs_person=not can,
    )


def _alias(intended: Intended) -> Iterator[Difference]:
    live = intended.live_digest
    if live is None or live == intended.champion_digest:
        return
    champion = intended.champion_digest[:12] if intended.champion_digest else "nothing"
    yield Difference(
        "alias.drift",
        str(intended.ref),
        f"champion of {intended.ref} names {champion}, and {live[:12]} serves it",
        repair=Repair.ALIAS,
    )
