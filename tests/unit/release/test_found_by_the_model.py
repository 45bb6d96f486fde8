"""What the exhaustive search in `tests/model` found wrong in the machine, each as it happens in a whole world."""

from typing import Any

import pytest
from world import POLICY, REF, World, world_with

from tidegate.domain import Release, ReleaseState, SetState
from tidegate.domain.policy import ApprovalPolicy, ShiftPolicy
from tidegate.release.step import DeleteSet, Enter, Intend

State = ReleaseState


def with_v1_live(shift: dict[str, Any] | None = None, **approval: Any) -> World:
    world = world_with("v1", "v2")
    assert world.release("v1").state is State.DONE
    world.policy = POLICY.model_copy(
        update={
            "shift": ShiftPolicy.model_validate(POLICY.shift.model_dump() | (shift or {})),
            "approval": ApprovalPolicy.model_validate(approval),
        }
    )
    return world


def set_of(world: World, version: str) -> Any:
    digest = next(known.digest for known in world.versions if known.version == version)
    return next(fake for fake in world.sets.values() if fake.spec.digest == digest)


def on_entering(state: State, act: Any) -> Any:
    """Do something once, right after the release was told to enter a state."""
    done: list[bool] = []

    def note(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is state and not done:
            done.append(True)
            act()

    return note


def test_trying_again_for_capacity_does_not_put_the_end_of_the_wait_off() -> None:
    world = with_v1_live()
    world.capacity = 1
    parked = world.release("v2")
    for _ in range(5):
        world.sleep(20)
        parked = world.drive(parked.id)
    assert parked.state is State.REJECTED


def test_a_set_that_shortage_left_behind_is_gone_when_its_release_is_given_up() -> None:
    world = with_v1_live()
    world.capacity = 1
    parked = world.release("v2")
    assert parked.plan is not None
    name = parked.plan.green_set
    world.capacity = 2
    world.create(world.recorded[name][0])
    world.append(parked.id, parked.epoch, "abort", "stop", {"actor": "ada", "reason": "no"})
    assert world.drive(parked.id).state is State.REJECTED
    assert name not in world.sets
    assert world.recorded[name][1] == "deleted"


def test_the_removal_of_a_set_is_announced_in_the_journal_before_the_platform_is_told() -> None:
    world = with_v1_live({"keep_previous": 0})
    steps: list[str] = []

    def note(release: Release, step: object) -> None:
        if isinstance(step, Intend | DeleteSet):
            steps.append(f"{type(step).__name__} {step.name}")

    old = set_of(world, "v1").spec.name
    assert world.release("v2", on_step=note).state is State.DONE
    assert steps[-2:] == [f"Intend delete:{old}", f"DeleteSet {old}"]


@pytest.mark.parametrize("state", [State.WARMING, State.SHIFTING])
def test_a_new_set_that_is_starting_again_gets_its_weight_when_it_is_ready(state: State) -> None:
    world = with_v1_live()

    def restart() -> None:
        set_of(world, "v2").state = SetState.STARTING

    assert world.release("v2", on_step=on_entering(state, restart)).state is State.DONE


def test_a_new_set_that_dies_after_the_commit_leaves_the_traffic_to_the_old_one() -> None:
    world = with_v1_live()

    def die() -> None:
        set_of(world, "v2").state = SetState.FAILED

    over = world.release("v2", on_step=on_entering(State.RETIRING, die))
    assert over.state is State.ROLLED_BACK
    assert world.serving() == {"v1": 100}
    assert world.aliases["champion"] == world.versions[0]


def test_a_held_bake_keeps_its_traffic_while_a_second_question_is_asked() -> None:
    world = with_v1_live(before_commit=True)
    thin = POLICY.live.model_copy(update={"when_thin": "hold"})
    world.policy = world.policy.model_copy(update={"live": thin})

    def go_quiet() -> None:
        world.traffic_per_s = 0

    held = world.release("v2", on_step=on_entering(State.BAKING, go_quiet))
    assert held.state is State.HOLD
    asked = world.approve(held.id)
    assert asked.state is State.AWAIT_APPROVAL
    assert world.serving() == {"v2": 100}
    assert world.approve(held.id).state is State.DONE


def test_an_old_set_that_cannot_prove_its_file_is_a_question_and_no_endless_round() -> None:
    world = with_v1_live()
    world.lying[set_of(world, "v1").spec.name] = "9" * 64

    def stop() -> None:
        release = world.releases["r-2"]
        world.append(release.id, release.epoch, "abort", "stop", {"actor": "ada", "reason": "no"})

    held = world.release("v2", on_step=on_entering(State.JUDGING, stop))
    assert held.state is State.HOLD
    rows = len(world.journal[held.id])
    assert world.drive(held.id).state is State.HOLD
    assert len(world.journal[held.id]) == rows
    world.lying.clear()
    assert world.approve(held.id).state is State.ROLLED_BACK


def test_an_old_set_that_dies_in_a_rehearsal_gives_the_traffic_back() -> None:
    world = with_v1_live({"rehearse": True})
    seen: list[dict[str, int]] = []
    switch_under_streams = world.switch_under_streams

    def old_dies_after(release: Release, switch: Any) -> dict[str, Any]:
        met = switch_under_streams(release, switch)
        set_of(world, "v1").state = SetState.FAILED
        return met

    world.switch_under_streams = old_dies_after  # type: ignore[method-assign]
    world.startable = False
    world.release("v2", on_step=lambda release, step: seen.append(world.serving()))
    assert seen[-1] == {"v2": 100}


def test_a_rollback_to_what_serves_already_is_over_at_once_and_holds_the_service() -> None:
    world = with_v1_live()
    over = world.release("v1", trigger="rollback")
    assert over.state is State.DONE
    assert len(world.sets) == 1
    assert "rolled back" in world.held
    assert world.get_alias(REF, "champion") == world.versions[0]
