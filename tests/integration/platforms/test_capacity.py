"""Room for sets on one machine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.domain import CapacityShortage, SetSpec, SetState
from tidegate.platforms.local import Limits, LocalPlatform

FakeModel = Callable[[str], Path]
MakeSpec = Callable[..., SetSpec]


@pytest.fixture
def platform(make_platform: Callable[..., LocalPlatform], fake_bin_dir: str) -> LocalPlatform:
    return make_platform(fake_bin_dir, limits=Limits(max_sets=1))


def test_one_set_too_many_is_a_shortage_and_is_not_remembered(
    platform: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    first, second = (make_spec(fake_model("serve"), release=release) for release in ("r1", "r2"))
    platform.create(first)

    with pytest.raises(CapacityShortage, match="1 are allowed"):
        platform.create(second)

    assert platform.status(second.name).state is SetState.ABSENT
    assert platform.create(first).state is not SetState.ABSENT


def test_a_stopped_or_hopeless_set_takes_no_room(
    platform: LocalPlatform, fake_model: FakeModel, make_spec: MakeSpec
) -> None:
    first, second, third = (make_spec(fake_model("serve"), release=release) for release in ("r1", "r2", "r3"))
    platform.create(first)
    platform.stop(first.name)
    hopeless = second.model_copy(update={"artifact_path": "/nowhere"})
    assert platform.create(hopeless).state is SetState.FAILED

    assert platform.create(third).state is not SetState.ABSENT
    with pytest.raises(CapacityShortage):
        platform.start(first.name)
    assert platform.status(first.name).state is SetState.STOPPED
