"""Faults that kill or stop a process: one class each, in the order in which the runner calls its methods."""

import json
from contextlib import suppress

from tidegate.domain import NotFound
from tidegate.drill.scene import Scene, Unplayable, is_set_ready, local_platform, serving_sets, stand_in
from tidegate.stack.processes import is_alive
from tidegate.stack.record import Identity
from tidegate.stack.specification import ProcessStatus


class Fault:
    """A blow: made at once, nothing to lift. Subclasses say what is hit and when it works again."""

    def inject(self, scene: Scene) -> None:
        """Make the fault. Raises: Unplayable when there is nothing to hit."""
        raise NotImplementedError

    def has_lasted(self, scene: Scene) -> bool:
        """A lasting fault has done what it can; it may be lifted."""
        return True

    def lift(self, scene: Scene) -> None:
        """End a lasting fault. Called once more at the very end, whatever happened."""

    def is_recovered(self, scene: Scene) -> bool:
        """What was hit works again."""
        raise NotImplementedError

    def release_may_end(self, scene: Scene) -> None:
        """After the recovery, before the release is followed to its end."""


class KillOwner(Fault):
    """The flow run that drives the release."""

    def inject(self, scene: Scene) -> None:
        self._epoch, self._owner = scene.release().epoch, scene.release().owner
        victim = scene.made.victims.find(scene.owner_pid(), "the flow run")
        scene.made.victims.kill(victim)

    def is_recovered(self, scene: Scene) -> bool:
        release = scene.release()
        return release.is_over or (release.epoch > self._epoch and release.owner != self._owner)


class StopOwner(KillOwner):
    """Stopped until another took over, then it goes on with an epoch that is not the newest any more."""

    _victim: Identity | None = None

    def inject(self, scene: Scene) -> None:
        self._epoch, self._owner = scene.release().epoch, scene.release().owner
        self._victim = scene.made.victims.find(scene.owner_pid(), "the flow run")
        scene.made.victims.stop(self._victim)

    def release_may_end(self, scene: Scene) -> None:
        if scene.release().epoch == self._epoch:
            raise Unplayable("the stopped owner was never replaced")
        self._go_on(scene)

    def lift(self, scene: Scene) -> None:
        """At the first call nobody has taken over yet, and it must stay stopped."""
        if self._victim is not None and scene.release().epoch != self._epoch:
            self._go_on(scene)

    def _go_on(self, scene: Scene) -> None:
        if self._victim is not None:
            scene.made.victims.go_on(self._victim)


class KillMember(Fault):
    """A process that the supervisor watches."""

    def __init__(self, name: str):
        self._name = name

    def inject(self, scene: Scene) -> None:
        found = scene.member(self._name).identity
        assert found is not None, "member() gives running ones"
        self._victim = found
        scene.made.victims.kill(found)

    def is_recovered(self, scene: Scene) -> bool:
        found = scene.made.record().process(self._name)
        is_back = found is not None and found.status is ProcessStatus.READY and found.identity != self._victim
        return is_back and self.works(scene)

    def works(self, scene: Scene) -> bool:
        """It does what it is there for."""
        return True


class KillPrefect(KillMember):
    def __init__(self) -> None:
        super().__init__("prefect")

    def works(self, scene: Scene) -> bool:
        return scene.made.api.is_healthy()


class KillAgent(KillMember):
    def __init__(self) -> None:
        super().__init__("gateway")

    def works(self, scene: Scene) -> bool:
        return scene.gateways_are_current()


class KillEnvoy(Fault):
    """Envoy itself; its agent lives and starts it again."""

    def inject(self, scene: Scene) -> None:
        pid_file = self._pid_file = scene.made.envoy_pid_file()
        self._pid = int(json.loads(pid_file.read_text(encoding="utf-8"))["pid"])
        scene.made.victims.kill(scene.made.victims.find(self._pid, "Envoy"))
        self._answered = scene.answered()

    def is_recovered(self, scene: Scene) -> bool:
        """A new one runs and has the routes."""
        pid = int(json.loads(self._pid_file.read_text(encoding="utf-8"))["pid"])
        if pid == self._pid:
            return False
        with suppress(NotFound):
            is_ours = is_alive(scene.made.victims.find(pid, "Envoy"))
            return is_ours and scene.answered() > self._answered and scene.gateways_are_current()
        return False


class KillEngine(Fault):
    """The engine of one set; the platform's own agent starts it again."""

    def inject(self, scene: Scene) -> None:
        name = self._name = self.choose(scene)
        scene.hit_sets = (name,)
        self._answered = scene.answered()
        local_platform(scene.made, scene.clients_of).crash(name)

    def choose(self, scene: Scene) -> str:
        """The only set that can answer."""
        if stand_in(scene.made, scene.clients_of):
            raise Unplayable("an older set stands in for the live one: play this drill on a stack of its own")
        return only_serving(scene)

    def is_recovered(self, scene: Scene) -> bool:
        return is_set_ready(scene.made, scene.clients_of, self._name) and scene.answered() > self._answered


class KillEngineBeforePrevious(KillEngine):
    def choose(self, scene: Scene) -> str:
        """The only one with traffic, while the gateway has a warm one that stands in for it."""
        if not stand_in(scene.made, scene.clients_of):
            raise Unplayable("no older set stands in for the live one")
        return only_serving(scene)


class KillLiveEngine(KillEngine):
    def choose(self, scene: Scene) -> str:
        plan = scene.release().plan
        if plan is None or plan.blue_set is None:
            raise Unplayable("the release replaces nothing")
        return plan.blue_set

    def is_recovered(self, scene: Scene) -> bool:
        """It is back, or traffic has left it."""
        serving = serving_sets(scene.made, scene.clients_of)
        return self._name not in serving or is_set_ready(scene.made, scene.clients_of, self._name)


class KillCandidateEngine(KillEngine):
    def choose(self, scene: Scene) -> str:
        plan = scene.release().plan
        if plan is None:
            raise Unplayable("the release has no plan")
        return plan.green_set

    def is_recovered(self, scene: Scene) -> bool:
        """No gateway sends anything to it any more."""
        return self._name not in serving_sets(scene.made, scene.clients_of) and scene.gateways_are_current()


def only_serving(scene: Scene) -> str:
    """The one set with traffic. Raises: Unplayable when there are none or several."""
    names = list(serving_sets(scene.made, scene.clients_of))
    if len(names) != 1:
        raise Unplayable(f"{len(names)} sets have traffic, not one")
    return names[0]
