"""The faulty platform strikes exactly the calls that its script names."""

from collections.abc import Mapping

import pytest

from tidegate.domain import CapacityShortage, Secret, SetSpec, SetState, SetStatus, Transient
from tidegate.platforms.faulty import Effect, Fault, FaultyPlatform

SPEC = SetSpec(name="a--b--c", org="aa", service="bb", release_id="r", digest="0" * 64, artifact_path="/m")


class Memory:
    """A platform of which only the memory is real."""

    name = "memory"

    def __init__(self) -> None:
        self.sets: dict[str, SetStatus] = {}

    def verify_credential(self, org: str, credential: Secret | None) -> None: ...

    def create(self, spec: SetSpec) -> SetStatus:
        return self.sets.setdefault(spec.name, SetStatus(name=spec.name, state=SetState.READY, port=1))

    def status(self, name: str) -> SetStatus:
        return self.sets.get(name, SetStatus.absent(name))

    def wait_ready(self, name: str, timeout_s: float) -> SetStatus:
        return self.status(name)

    def invoke(self, name: str, path: str, body: Mapping[str, object], timeout_s: float) -> dict[str, object]:
        return {"set": name}

    def metrics(self, name: str) -> dict[str, float]:
        return {}

    def logs(self, name: str, lines: int = 50) -> str:
        return ""

    def stop(self, name: str) -> None:
        self.sets[name] = SetStatus(name=name, state=SetState.STOPPED)

    def start(self, name: str) -> SetStatus:
        return self.status(name)

    def delete(self, name: str) -> None:
        self.sets.pop(name, None)

    def list_owned(self) -> list[SetStatus]:
        return list(self.sets.values())

    def price_per_hour_usd(self, spec: SetSpec) -> float:
        return 1.5


def test_without_faults_it_is_the_inner_platform() -> None:
    platform = FaultyPlatform(Memory())

    assert platform.create(SPEC).is_ready
    assert platform.wait_ready(SPEC.name, 1).is_ready
    assert platform.invoke(SPEC.name, "/x", {}, 1) == {"set": SPEC.name}
    assert platform.price_per_hour_usd(SPEC) == 1.5
    platform.delete(SPEC.name)
    assert platform.list_owned() == []


def test_a_lost_reply_leaves_its_effect() -> None:
    inner = Memory()
    platform = FaultyPlatform(inner, [Fault("create", Effect.LOSE_REPLY)])

    with pytest.raises(Transient, match="lose_reply"):
        platform.create(SPEC)

    assert SPEC.name in inner.sets
    assert platform.create(SPEC).is_ready


def test_a_refusal_has_no_effect_and_its_own_error() -> None:
    inner = Memory()
    platform = FaultyPlatform(inner, [Fault("create", Effect.REFUSE, times=2, error=CapacityShortage)])

    for _ in range(2):
        with pytest.raises(CapacityShortage):
            platform.create(SPEC)
        assert inner.sets == {}
    assert platform.create(SPEC).is_ready


def test_readiness_is_delayed_by_a_reported_state() -> None:
    platform = FaultyPlatform(Memory(), [Fault("status", Effect.REPORT, times=3, state=SetState.STARTING)])
    platform.create(SPEC)

    assert [platform.status(SPEC.name).state for _ in range(2)] == [SetState.STARTING] * 2
    assert platform.wait_ready(SPEC.name, 5).is_ready


def test_a_fault_waits_for_its_call_and_for_its_set() -> None:
    platform = FaultyPlatform(
        Memory(), [Fault("status", Effect.REPORT, after=1, times=None, set_name="a--*")]
    )
    platform.create(SPEC)

    states = [platform.status(name).state for name in (SPEC.name, "z--b--c", SPEC.name, SPEC.name)]

    assert states == [SetState.READY, SetState.ABSENT, SetState.UNKNOWN, SetState.UNKNOWN]


def test_a_crash_happens_before_the_call() -> None:
    inner = Memory()
    platform = FaultyPlatform(inner, [Fault("status", Effect.CRASH)], crash=inner.delete)
    platform.create(SPEC)

    assert platform.status(SPEC.name).state is SetState.ABSENT


def test_a_crash_fault_without_the_means_is_an_error_of_the_script() -> None:
    with pytest.raises(ValueError, match="crash"):
        FaultyPlatform(Memory(), [Fault("status", Effect.CRASH)])


def test_the_same_script_strikes_the_same_calls() -> None:
    script = [Fault("delete", Effect.REFUSE, after=1, times=2), Fault("delete", Effect.LOSE_REPLY, times=1)]

    def outcomes() -> list[str]:
        platform = FaultyPlatform(Memory(), script)
        seen: list[str] = []
        for _ in range(5):
            try:
                platform.delete(SPEC.name)
                seen.append("done")
            except Transient as error:
                seen.append("refuse" if "refuse" in error.message else "lost")
        return seen

    assert outcomes() == outcomes() == ["lost", "refuse", "refuse", "done", "done"]
