"""Faults that last: a locked database, a full disk, cut and slow networks, a vendor that is down or out of stock."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from tidegate.domain import ReleaseState, Transient
from tidegate.drill.blows import Fault
from tidegate.drill.processes import family, limit_files, limited
from tidegate.drill.relay import Relay
from tidegate.drill.scene import Scene, Unplayable, begin_release, next_version
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment

ENOUGH_ANSWERS = 10
ENOUGH_LOSSES = 4
SLOW_LEDGER_S, SLOW_ENGINE_S = 0.05, 0.2


class Lasting(Fault):
    """Lifted once gateways have been silent for seconds and clients were answered all the same."""

    def inject(self, scene: Scene) -> None:
        self._answered = scene.answered()
        self.begin(scene)

    def begin(self, scene: Scene) -> None:
        raise NotImplementedError

    def is_answered(self, scene: Scene) -> bool:
        return scene.answered() >= self._answered + ENOUGH_ANSWERS

    def has_lasted(self, scene: Scene) -> bool:
        return scene.gateway_is_silent() and self.is_answered(scene)

    def is_recovered(self, scene: Scene) -> bool:
        return scene.gateways_are_current() and scene.made.is_up()


class LockDatabase(Lasting):
    """SQLite allows one writer: somebody else is it, and does not let go."""

    _held: sqlite3.Connection | None = None

    def begin(self, scene: Scene) -> None:
        path = Path(scene.made.settings.ledger_url.removeprefix("sqlite:///"))
        self._held = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        self._held.execute("BEGIN IMMEDIATE")

    def lift(self, scene: Scene) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.execute("ROLLBACK")
            held.close()


class FillDisk(Lasting):
    """Every write that makes a file longer fails (EFBIG where a full disk says ENOSPC): not for Envoy and engines,
    which the kernel would kill for it. A true full disk cannot be had without the rights of an administrator."""

    def begin(self, scene: Scene) -> None:
        limit_files(scene.made.victims.writers(), 0)

    def has_lasted(self, scene: Scene) -> bool:
        """What is started meanwhile has no room either."""
        limit_files(scene.made.victims.writers(), 0)
        return super().has_lasted(scene)

    def lift(self, scene: Scene) -> None:
        while found := limited(scene.made.victims.writers):
            limit_files(found, -1)


class OverRelay(Lasting):
    """Needs one of the installation's relays."""

    def ledger(self, scene: Scene) -> Relay:
        return _present(scene.made.ledger_relay, "relay of the database")

    def engine(self, scene: Scene) -> Relay:
        return _present(scene.made.engine_relay, "relay of engines")

    def lift(self, scene: Scene) -> None:
        for relay in (scene.made.ledger_relay, scene.made.engine_relay):
            if relay is not None:
                relay.heal()


class CutDatabase(OverRelay):
    def begin(self, scene: Scene) -> None:
        self.ledger(scene).cut()


class CutAgent(OverRelay):
    """Only the agent's connections: everybody else goes on."""

    def begin(self, scene: Scene) -> None:
        pids = _agent_pids(scene)
        self.ledger(scene).cut(lambda: pids)


class SlowAgent(OverRelay):
    """Until the release has ended in spite of it."""

    def begin(self, scene: Scene) -> None:
        pids = _agent_pids(scene)
        self.ledger(scene).slow(SLOW_LEDGER_S, lambda: pids)

    def has_lasted(self, scene: Scene) -> bool:
        release = scene.release()
        return (release.is_over or release.state is ReleaseState.HOLD) and self.is_answered(scene)


class SlowEngine(OverRelay):
    def begin(self, scene: Scene) -> None:
        self.engine(scene).slow(SLOW_ENGINE_S)

    def has_lasted(self, scene: Scene) -> bool:
        return self.is_answered(scene)


class CutEngine(OverRelay):
    def begin(self, scene: Scene) -> None:
        self._lost = scene.lost()
        self.engine(scene).cut()

    def has_lasted(self, scene: Scene) -> bool:
        """Clients have felt it."""
        return scene.lost() >= self._lost + ENOUGH_LOSSES

    def lift(self, scene: Scene) -> None:
        super().lift(scene)
        self._answered = scene.answered()

    def is_recovered(self, scene: Scene) -> bool:
        return scene.answered() > self._answered


class KillEmulator(Lasting):
    """The vendor is away: its control plane, and with it every way to its sets."""

    _is_away = False

    def begin(self, scene: Scene) -> None:
        _runpod(scene).kill()
        self._is_away = True

    def has_lasted(self, scene: Scene) -> bool:
        return self.is_answered(scene)

    def lift(self, scene: Scene) -> None:
        if self._is_away:
            _runpod(scene).start()
            self._is_away = False

    def is_recovered(self, scene: Scene) -> bool:
        """The release has its set and goes on."""
        state = scene.release().state
        return state not in (ReleaseState.PROVISIONING, ReleaseState.PARKED)


class TakeCapacity(Lasting):
    """Out of stock everywhere. The fault comes first; the release that meets it is asked for at once."""

    def begin(self, scene: Scene) -> None:
        _runpod(scene).faults.set("stock_out")
        version = next_version(scene.made, scene.release_of)
        scene.release_id = begin_release(scene.made, scene.release_of, version).id

    def has_lasted(self, scene: Scene) -> bool:
        release = scene.release()
        if release.is_over:
            raise Unplayable(f"the release did not park: {release.state.value}, {release.reason}")
        return release.state is ReleaseState.PARKED and self.is_answered(scene)

    def lift(self, scene: Scene) -> None:
        with suppress(Transient):
            _runpod(scene).faults.clear("stock_out")

    def is_recovered(self, scene: Scene) -> bool:
        return scene.release().state not in (ReleaseState.PARKED, ReleaseState.PROVISIONING)


def _runpod(scene: Scene) -> MockRunPodEnvironment:
    if scene.made.runpod is None:
        raise Unplayable("the installation has no emulated RunPod")
    return scene.made.runpod


def _present(relay: Relay | None, what: str) -> Relay:
    if relay is None:
        raise Unplayable(f"the installation has no {what}")
    return relay


def _agent_pids(scene: Scene) -> set[int]:
    identity = scene.member("gateway").identity
    return set(family(identity.pid)) if identity else set()
