"""Drives a release: looks, asks `machine.decide` for one step, makes it. Thin: no decision is here."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tidegate.correlation import bind, carried, span
from tidegate.domain import Fenced, Gate, Policy, Release, ReleaseState, ServiceConfig, Transient
from tidegate.release import step as do
from tidegate.release.effects import Effects
from tidegate.release.machine import decide
from tidegate.release.observation import View
from tidegate.release.observer import Observer
from tidegate.release.ports import Checks, Ledger, SetPlatform
from tidegate.release.step import Step
from tidegate.release.view import fold_view

log = logging.getLogger("tidegate.release")
HEARTBEAT_S = 2.0
LOCK_WAIT_S = 0.5


@dataclass
class Controller:
    """Drives releases of one service. `owner` is written into heartbeats; `sleep` belongs to tests."""

    ledger: Ledger
    platform: SetPlatform
    checks: Checks
    service: ServiceConfig
    owner: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    on_step: Callable[[Release, Step], None] = lambda release, step: None
    _epochs: dict[str, int] = field(default_factory=dict[str, int])

    def take_over(self, release_id: str) -> Release:
        """Become the owner: a new epoch fences every earlier owner off (S6).

        A release that waits for its service keeps epoch 0 and is returned as it is.
        """
        release = self.ledger.get_release(release_id)
        if release.is_over:
            return release
        epoch = self.ledger.acquire_lock(release.ref, release_id)
        if epoch is not None:
            self._epochs[release_id] = epoch
            self.ledger.heartbeat(release_id, self.owner, epoch)
        return self.ledger.get_release(release_id)

    def adopt_epoch(self, release_id: str, epoch: int) -> None:
        """Go on with an epoch that this owner gained in an earlier call of the same run."""
        self._epochs[release_id] = epoch

    def epoch_of(self, release_id: str) -> int:
        return self._epochs.get(release_id, 0)

    def drive(
        self, release_id: str, owned: frozenset[ReleaseState], gates: frozenset[Gate] = frozenset(Gate)
    ) -> Release:
        """Take steps while the release is in one of the `owned` states and can go on by itself.

        Stops before a step that would run a gate outside `gates`.

        Raises:
            Fenced: another owner took the service over; stop at once.
            Transient: something could not be reached; the same call may be repeated.
        """
        ref = self.ledger.get_release(release_id).ref
        with (
            bind(org=ref.org, service=ref.service, release_id=release_id),
            span("drive a release"),
            self._heartbeat(release_id),
        ):
            while True:
                release = self.ledger.get_release(release_id)
                if release.is_over or release.state not in owned:
                    return release
                step = self.next_step(release)
                if isinstance(step, do.RunGates) and not gates.issuperset(step.gates):
                    return release
                self.on_step(release, step)
                if isinstance(step, do.Stop):
                    return release
                self.execute(release, step)

    def execute(self, release: Release, step: Step) -> None:
        """Make one step as the owner that this process is."""
        match step:
            case do.AcquireLock():
                if not self.take_over(release.id).epoch:
                    self.sleep(LOCK_WAIT_S)
            case do.Wait(_, seconds):
                self.sleep(seconds)
            case do.Stop():
                return
            case _:
                with bind(release_id=release.id), span(f"step: {type(step).__name__}"):
                    view = fold_view(release, self.ledger.entries(release.id))
                    service = self.service.model_copy(update={"policy": self.policy_of(view)})
                    effects = Effects(self.ledger, self.platform, self.checks, service, self.clock)
                    effects.make(release, self.epoch_of(release.id), step)

    def next_step(self, release: Release) -> Step:
        view = fold_view(release, self.ledger.entries(release.id))
        policy = self.policy_of(view)
        required = {
            gate: checks | policy.declared_checks(gate) for gate, checks in self.checks.required.items()
        }
        observer = Observer(self.ledger, self.platform, self.checks, required, self.clock, policy.live)
        return decide(view, observer.observe(view, self._current_epoch(release)), policy)

    def _current_epoch(self, release: Release) -> int:
        """Epoch that this owner may write with; 0 before it has one. Raises: Fenced."""
        mine = self.epoch_of(release.id)
        epoch = self.ledger.current_epoch(release.ref)
        if mine and epoch != mine:
            raise Fenced(
                f"Release {release.id} was taken over (epoch {epoch} is newer than {mine}).",
                remedy="Nothing to do: the newer owner finishes it.",
                release=release.id,
            )
        return mine

    def policy_of(self, view: View) -> Policy:
        """The policy a release was planned with stays its policy, whatever the file says later."""
        planned = view.facts.get(ReleaseState.PLANNED.value)
        stored = planned.data.get("policy") if planned else None
        return Policy.model_validate(stored) if stored else self.service.policy

    @contextmanager
    def _heartbeat(self, release_id: str) -> Generator[None]:
        """Say every two seconds that this owner lives, also while a long check runs."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                try:
                    self.ledger.heartbeat(release_id, self.owner, self.epoch_of(release_id))
                except Fenced:
                    # Another owner speaks for it now; what this one still does is refused, and its next step says so.
                    return
                except Transient as error:
                    # One beat that did not get through is no death: the next one may, and silence would be.
                    log.warning("heartbeat of %s: %s", release_id, error.message)

        self.ledger.heartbeat(release_id, self.owner, self.epoch_of(release_id))
        thread = threading.Thread(target=carried(beat), name=f"heartbeat-{release_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
