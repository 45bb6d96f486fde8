"""A vendor's control plane that cannot be asked, while the sets themselves answer: harm does not wait for it."""

from datetime import timedelta
from typing import Any

import pytest
from world import World, world_with

from tidegate.domain import GatewayStatus, ReleaseState, SetStatus, Transient
from tidegate.release.step import Observe

State = ReleaseState


class Vendor:
    """The platform of a world, which may be away."""

    def __init__(self, world: World):
        self._world = world
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def status(self, name: str) -> SetStatus:
        if self.is_away:
            raise Transient("the vendor does not answer")
        return self._world.status(name)


def drive(world: World, vendor: Vendor, release_id: str, on_step: Any = None) -> None:
    controller = world.controller(on_step)
    controller.platform = vendor  # type: ignore[assignment]
    controller.take_over(release_id)
    controller.drive(release_id, frozenset(State))


def set_of(world: World, version: str) -> str:
    digest = next(one.digest for one in world.versions if one.version == version)
    return next(name for name, fake in world.sets.items() if fake.spec.digest == digest)


@pytest.fixture
def world() -> World:
    made = world_with("v1", "v2")
    made.release("v1")
    return made


def away_when_it_has_traffic(world: World, vendor: Vendor) -> Any:
    def note(release: object, step: object) -> None:
        if isinstance(step, Observe) and step.name == "weights":
            world.failing[set_of(world, "v2")] = 0.9
            vendor.is_away = True

    return note


def test_traffic_goes_back_from_a_harmful_set_although_the_vendor_cannot_be_asked(world: World) -> None:
    vendor, release = Vendor(world), world.request("v2")
    with pytest.raises(Transient):
        drive(world, vendor, release.id, away_when_it_has_traffic(world, vendor))
    assert world.releases[release.id].state is State.ROLLING_BACK
    assert world.serving() == {"v1": 100}
    assert len(world.sets) == 2, "nothing is removed that nobody could be asked about"
    vendor.is_away = False
    drive(world, vendor, release.id)
    assert world.releases[release.id].state is State.ROLLED_BACK


def test_a_set_that_a_gateway_cannot_reach_is_not_gone_back_to_while_the_vendor_is_away(world: World) -> None:
    vendor, release = Vendor(world), world.request("v2")
    blind = GatewayStatus(gateway="blind", observed_generation=10**6, seen_at=world.now)

    def note(made: object, step: object) -> None:
        away_when_it_has_traffic(world, vendor)(made, step)
        if vendor.is_away:
            world.silent = (blind.model_copy(update={"seen_at": world.now + timedelta(days=1)}),)

    drive(world, vendor, release.id, note)
    assert world.releases[release.id].state is State.HOLD
    assert world.serving() == {"v1": 90, "v2": 10}


def test_without_a_share_of_the_traffic_a_set_has_nobody_to_speak_for_it(world: World) -> None:
    vendor, release = Vendor(world), world.request("v2")
    vendor.is_away = True
    with pytest.raises(Transient):
        drive(world, vendor, release.id)
    assert world.serving() == {"v1": 100}
