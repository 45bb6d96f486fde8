"""What a fault is played on: an installation, its clients, and the release that is under way."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from tidegate.benchmark.traffic import TrafficClient
from tidegate.cli.following import start_run
from tidegate.domain import (
    GatewayStatus,
    NeedsOperator,
    Release,
    ReleaseRequest,
    ReleaseState,
    ServiceRef,
    SetState,
    Transient,
)
from tidegate.drill.installation import MODEL, Installation
from tidegate.platforms.local import LocalPlatform
from tidegate.stack.record import ProcessRecord
from tidegate.steps import approve_release, request_release, stop_release

POLL_S = 0.05
PATIENCE_S = 240.0
RELEASE_PATIENCE_S = 480.0
REQUESTED_BY = "tidegate drill"
APPROVED_BY = "service:demo"
OVERRIDE = "tidegate drill: an earlier drill killed its set, the file is sound"
ASKING = (ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL)
T = TypeVar("T")


class Unplayable(Exception):
    """The situation that the drill needs did not come about: nothing was shown."""


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """The first true answer. A server or a database that cannot answer now is asked again.

    Raises: Unplayable when the time is over.
    """
    deadline = time.monotonic() + timeout_s
    last = ""
    while True:
        try:
            if answer := condition():
                return answer
        except Transient as error:
            last = f" ({error.message})"
        if time.monotonic() > deadline:
            raise Unplayable(f"waited {timeout_s:g} s in vain for: {what}{last}")
        time.sleep(POLL_S)


@dataclass
class Scene:
    """One drill while it is played. `release_id` is empty while no release is under way."""

    made: Installation
    clients: TrafficClient
    clients_of: ServiceRef
    release_of: ServiceRef
    release_id: str = ""
    hit_sets: tuple[str, ...] = ()
    """Sets that the fault killed."""
    notes: list[str] = field(default_factory=list[str])

    def release(self) -> Release:
        return self.made.ports.ledger.get_release(self.release_id)

    def owner_pid(self) -> int:
        """Raises: Unplayable when nobody drives it."""
        _, _, pid = self.release().owner.rpartition(":")
        if not pid.isdigit():
            raise Unplayable("the release has no owner")
        return int(pid)

    def answered(self) -> int:
        return self.clients.snapshot().ok

    def lost(self) -> int:
        seen = self.clients.snapshot()
        return seen.failed + seen.truncated

    def member(self, name: str) -> ProcessRecord:
        """A process of the stack that runs. Raises: Unplayable."""
        found = self.made.record().process(name)
        if found is None or found.identity is None:
            raise Unplayable(f"the stack has no running process '{name}'")
        return found

    def gateways_are_current(self) -> bool:
        """Every gateway reports, and has the newest weights."""
        ledger = self.made.ports.ledger
        newest, seen = ledger.generation(), serving_gateways(self.made)
        return bool(seen) and all(
            one.observed_generation >= newest and gateway_silence_s(one.seen_at) < 3 for one in seen
        )

    def gateway_is_silent(self, seconds: float = 4.0) -> bool:
        """No gateway could report for so long; it does so twice a second."""
        return all(gateway_silence_s(one.seen_at) > seconds for one in serving_gateways(self.made))


def serving_gateways(made: Installation) -> list[GatewayStatus]:
    """Those that did not say goodbye."""
    return [one for one in made.ports.ledger.gateways() if one.state == "serving"]


def gateway_silence_s(seen_at: datetime) -> float:
    return (datetime.now(UTC) - seen_at).total_seconds()


def local_platform(made: Installation, ref: ServiceRef) -> LocalPlatform:
    platform = made.ports.platform(ref)
    if not isinstance(platform, LocalPlatform):
        raise Unplayable(f"the sets of {ref} are not processes of this machine")
    return platform


def serving_sets(made: Installation, ref: ServiceRef) -> dict[str, int]:
    """Sets with traffic and their share."""
    route = made.ports.ledger.get_route(ref)
    return {name: weight for name, weight in route.weights.items() if weight} if route else {}


def stand_in(made: Installation, ref: ServiceRef) -> str:
    """The warm set that answers while the live one cannot; empty when there is none."""
    route = made.ports.ledger.get_route(ref)
    return (route.stand_in or "") if route else ""


def make_live(made: Installation, ref: ServiceRef) -> None:
    """The first version serves. Raises: Unplayable when its release did not end well."""
    if serving_sets(made, ref):
        return
    release = begin_release(made, ref, "v1")
    ended = follow(made, release.id)
    if ended.state is not ReleaseState.DONE:
        raise Unplayable(f"the first release of {ref} is {ended.state.value}: {ended.reason}")


def next_version(made: Installation, ref: ServiceRef) -> str:
    """A good version other than the live one."""
    champion = made.ports.ledger.get_alias(ref, "champion")
    return "v2-fast" if champion is not None and champion.version == "v2" else "v2"


def begin_release(made: Installation, ref: ServiceRef, version: str) -> Release:
    """Ask for it as a person does, and start the flow run that drives it."""
    digest = made.versions[version].digest
    is_quarantined = made.ports.ledger.quarantine_reason(ref.org, digest) is not None
    request = ReleaseRequest(
        org=ref.org,
        service=ref.service,
        model=MODEL,
        version=version,
        requested_by=REQUESTED_BY,
        reason="a chaos drill",
        override_quarantine=OVERRIDE if is_quarantined else "",
    )
    release = patiently(lambda: request_release(made.ports, request))
    patiently(lambda: start_run(made.api, release))
    return release


def follow(made: Installation, release_id: str, timeout_s: float = RELEASE_PATIENCE_S) -> Release:
    """The release once it is over or holds, or as it is when the time is over. What waits for an approval gets one."""
    deadline = time.monotonic() + timeout_s
    while True:
        release = patiently(lambda: made.ports.ledger.get_release(release_id))
        if release.state is ReleaseState.AWAIT_APPROVAL:
            _approve(made, release)
        if release.is_over or release.state is ReleaseState.HOLD or time.monotonic() > deadline:
            return release
        time.sleep(POLL_S)


def _approve(made: Installation, release: Release) -> None:
    """Say yes where the policy wants a person, and have the release go on."""
    patiently(lambda: approve_release(made.ports, release.id, APPROVED_BY, "a chaos drill"))
    patiently(lambda: start_run(made.api, release))


def begin_canary(scene: Scene) -> None:
    """A release is asked for, and followed until its new set answers clients beside the old one."""
    made, ref = scene.made, scene.release_of
    live = set(serving_sets(made, ref))
    scene.release_id = begin_release(made, ref, next_version(made, ref)).id

    def is_canary() -> bool:
        release = scene.release()
        if release.is_over or release.state in ASKING:
            raise Unplayable(f"the release ended before its canary: {release.state.value}, {release.reason}")
        if release.state is not ReleaseState.SHIFTING:
            return False
        now = serving_sets(made, ref)
        new = now.keys() - live
        # An answer of it proves that the gateway has the new weights.
        return len(now) > len(new) > 0 and new <= scene.clients.snapshot().by_set.keys()

    wait_for(is_canary, "a canary beside the live set", RELEASE_PATIENCE_S)


def end_release(scene: Scene) -> None:
    """A whole release, so that the set before it is still warm when something happens."""
    release = begin_release(scene.made, scene.release_of, next_version(scene.made, scene.release_of))
    ended = follow(scene.made, release.id)
    if ended.state is not ReleaseState.DONE:
        raise Unplayable(f"the release before the drill is {ended.state.value}: {ended.reason}")
    wait_for(scene.gateways_are_current, "every gateway has the newest weights")


def begin_start(scene: Scene) -> None:
    """A release is asked for, and followed until its set is being made."""
    scene.release_id = begin_release(
        scene.made, scene.release_of, next_version(scene.made, scene.release_of)
    ).id
    wait_for(
        lambda: scene.release().state is ReleaseState.PROVISIONING, "a set is being made", RELEASE_PATIENCE_S
    )


def clear_up(scene: Scene) -> None:
    """The next drill finds everything at rest. Raises: Unplayable when this stack cannot be used again."""
    made = scene.made
    if scene.release_id:
        release = patiently(scene.release)
        if not release.is_over:
            patiently(lambda: stop_release(made.ports, release.id, REQUESTED_BY, "the drill is over"))
            patiently(lambda: start_run(made.api, release))
            wait_for(lambda: scene.release().is_over, "the release is over")
    wait_for(made.is_up, "the stack is ready again")
    wait_for(
        lambda: made.api.is_healthy() and scene.gateways_are_current(), "gateways have the newest weights"
    )


def is_set_ready(made: Installation, ref: ServiceRef, name: str) -> bool:
    return made.ports.platform(ref).status(name).state is SetState.READY


def patiently(call: Callable[[], T]) -> T:
    """A call that may be repeated, again while what it needs cannot answer. Raises: NeedsOperator after all patience."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except Transient as error:
            if time.monotonic() > deadline:
                raise NeedsOperator(
                    f"{error.message} (for {PATIENCE_S:g} s)",
                    remedy="Play the drill again on a machine with less load.",
                ) from error
            time.sleep(POLL_S)
