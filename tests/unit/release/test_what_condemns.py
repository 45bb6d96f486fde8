"""Which way back puts a file into quarantine: only one after a verdict of FAIL."""

from typing import Any

import pytest
from world import POLICY, World, world_with

from tidegate.domain import Gate, ReleaseState, Verdict
from tidegate.domain.policy import ShiftPolicy

State = ReleaseState
OPEN = (Verdict.ERROR, Verdict.NOT_JUDGED)


def with_v1_live(shift: dict[str, Any] | None = None) -> World:
    world = world_with("v1", "v2")
    assert world.release("v1").state is State.DONE
    changed = ShiftPolicy.model_validate(POLICY.shift.model_dump() | (shift or {}))
    world.policy = POLICY.model_copy(update={"shift": changed})
    return world


def going_back(verdict: Verdict) -> World:
    """v2 is live, and the way back to v1 asks which file its warm set serves."""
    world = with_v1_live()
    assert world.release("v2").state is State.DONE
    world.verdicts = {Gate.IDENTITY: [verdict, verdict]}
    assert world.release("v1", trigger="rollback").state is State.ROLLED_BACK
    assert world.serving() == {"v2": 100}
    return world


@pytest.mark.parametrize("verdict", OPEN)
def test_a_rollback_target_that_could_not_be_asked_stays_out_of_quarantine(verdict: Verdict) -> None:
    world = going_back(verdict)
    assert world.quarantined == {}
    assert world.release("v1", trigger="rollback").state is State.DONE, "and the next try may go to it"


def test_a_rollback_target_that_serves_another_file_goes_to_quarantine() -> None:
    assert set(going_back(Verdict.FAIL).quarantined) == {"1" * 64}


@pytest.mark.parametrize("verdict", OPEN)
@pytest.mark.parametrize("gate", [Gate.IDENTITY, Gate.PROBES, Gate.REHEARSAL])
def test_a_release_that_could_not_be_asked_goes_back_and_may_be_released_again(
    gate: Gate, verdict: Verdict
) -> None:
    world = with_v1_live({"rehearse": True})
    world.verdicts = {gate: [verdict, verdict]}
    over = world.release("v2")
    assert over.state is State.ROLLED_BACK
    assert "could not be judged" in over.reason
    assert over.digest not in world.quarantined
    assert world.release("v2").state is State.DONE


def test_a_gate_before_live_traffic_that_could_not_be_measured_condemns_nothing() -> None:
    world = with_v1_live()
    world.verdicts = {Gate.QUALITY: [Verdict.ERROR] * 2}
    over = world.release("v2")
    assert over.state is State.ROLLED_BACK
    assert over.digest not in world.quarantined


@pytest.mark.parametrize("gate", [Gate.IDENTITY, Gate.PROBES, Gate.QUALITY, Gate.REHEARSAL])
def test_a_release_that_a_gate_failed_goes_to_quarantine(gate: Gate) -> None:
    world = with_v1_live({"rehearse": True})
    world.verdicts = {gate: [Verdict.FAIL]}
    over = world.release("v2")
    assert over.state is State.ROLLED_BACK
    assert over.digest in world.quarantined
