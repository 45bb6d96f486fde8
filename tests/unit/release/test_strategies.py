"""How traffic moves: strategies, gates of people, money and time, and what health makes of it."""

from typing import Any

import pytest
from world import POLICY, REF, World, world_with

from tidegate.domain import Gate, GatewayStatus, Policy, Release, ReleaseState, SetState, Verdict
from tidegate.domain.policy import ApprovalPolicy, BudgetPolicy, DeadlinePolicy, Rung, ShiftPolicy
from tidegate.release.step import DeleteSet, Enter, LeaveSet, PutWeights, Rehearse

State = ReleaseState


def policy(
    shift: dict[str, Any] | None = None, approval: dict[str, Any] | None = None, **parts: Any
) -> Policy:
    changes: dict[str, Any] = dict(parts)
    changes["shift"] = ShiftPolicy.model_validate(POLICY.shift.model_dump() | (shift or {}))
    changes["approval"] = ApprovalPolicy.model_validate(approval or {})
    return POLICY.model_copy(update=changes)


def with_v1_live(**changes: Any) -> World:
    """v1 is live; what comes next has this policy."""
    world = world_with("v1", "v2", "v3")
    assert world.release("v1").state is State.DONE
    for name, value in changes.items():
        setattr(world, name, value)
    return world


def climbed(world: World, version: str = "v2") -> tuple[Release, list[int]]:
    weights: list[int] = []

    def note(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.SHIFTING:
            weights.append(step.data["weight"])

    return world.release(version, on_step=note), weights


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        ({"strategy": "canary", "ladder": (5, 100)}, [5, 100]),
        ({"strategy": "linear", "linear_step": 30}, [30, 60, 90, 100]),
        ({"strategy": "linear", "linear_step": 50}, [50, 100]),
        ({"strategy": "all_at_once"}, [100]),
        ({"strategy": "shadow_then_canary", "ladder": (50, 100)}, [50, 100]),
    ],
)
def test_a_strategy_climbs_its_own_steps(shift: dict[str, Any], expected: list[int]) -> None:
    done, weights = climbed(with_v1_live(policy=policy(shift)))
    assert done.state is State.DONE
    assert weights == expected


def test_a_shadow_gets_copies_and_never_a_request_of_its_own_and_is_gone_afterwards() -> None:
    world = with_v1_live(policy=policy({"strategy": "shadow", "shadow_percent": 30}))
    mirrored: list[object] = []

    def note(release: Release, step: object) -> None:
        if isinstance(step, PutWeights):
            assert step.weights.get(release.plan.green_set, 0) == 0 if release.plan else True
            mirrored.append(step.mirror and step.mirror.percent)

    over = world.release("v2", on_step=note)
    assert over.state is State.EVALUATED
    assert Gate.SHADOW in world.gates_run
    assert 30 in mirrored
    assert mirrored[-1] is None
    assert world.serving() == {"v1": 100}
    assert world.aliases["champion"] == world.versions[0]
    assert over.digest not in world.quarantined
    assert len(world.sets) == 1


def test_a_shadow_that_shows_harm_is_rolled_back_and_quarantined_without_a_live_request() -> None:
    world = with_v1_live(
        policy=policy({"strategy": "shadow_then_canary"}), verdicts={Gate.SHADOW: [Verdict.FAIL]}
    )
    over, weights = climbed(world)
    assert over.state is State.ROLLED_BACK
    assert weights == []
    assert over.digest in world.quarantined


def test_copies_end_before_live_traffic_begins() -> None:
    world = with_v1_live(policy=policy({"strategy": "shadow_then_canary"}))

    def note(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.SHIFTING:
            assert world.route is not None
            assert world.route.mirror is None

    assert world.release("v2", on_step=note).state is State.DONE


def test_a_first_release_has_nothing_to_copy_and_nothing_to_rehearse() -> None:
    world = world_with("v1", policy=policy({"strategy": "shadow_then_canary", "rehearse": True}))
    done = world.release("v1")
    assert done.state is State.DONE
    assert not {Gate.SHADOW, Gate.REHEARSAL} & set(world.gates_run)


def test_each_step_has_its_own_look() -> None:
    rungs = (Rung(weight=10, look_s=50), Rung(weight=100, min_requests=1))
    world = with_v1_live(policy=policy({"ladder": rungs, "step_deadline_s": 300}))
    entered: dict[int, Any] = {}

    def note(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state in (State.SHIFTING, State.BAKING):
            entered[int(step.data.get("step", 9))] = world.now

    assert world.release("v2", on_step=note).state is State.DONE
    assert (entered[1] - entered[0]).total_seconds() >= 50
    assert (entered[9] - entered[1]).total_seconds() < 50


# ---- people


def test_a_person_is_asked_before_the_start_before_each_increase_and_before_the_commit() -> None:
    everywhere = {"before_start": True, "before_increase": True, "before_commit": True}
    world = with_v1_live(policy=policy(approval=everywhere))
    held = world.release("v2")
    asked: list[tuple[str, dict[str, int]]] = []
    while held.state is State.AWAIT_APPROVAL:
        question = [e for e in world.journal[held.id] if e.kind == "entered"][-1].data["question"]
        asked.append((question, world.serving()))
        held = world.approve(held.id)
    assert held.state is State.DONE
    assert asked == [
        ("start", {"v1": 100}),
        ("increase", {"v1": 90, "v2": 10}),
        ("increase", {"v1": 50, "v2": 50}),
        ("commit", {"v2": 100}),
    ]


def test_nothing_is_made_before_the_start_is_approved() -> None:
    world = with_v1_live(policy=policy(approval={"before_start": True}))
    held = world.release("v2")
    assert held.state is State.AWAIT_APPROVAL
    assert len(world.sets) == 1
    world.sleep(86401)
    assert world.drive(held.id).state is State.REJECTED


def test_only_the_step_that_says_so_asks() -> None:
    rungs = (Rung(weight=10), Rung(weight=50, approval=True), Rung(weight=100))
    world = with_v1_live(policy=policy({"ladder": rungs}))
    held = world.release("v2")
    assert (held.state, world.serving()) == (State.AWAIT_APPROVAL, {"v1": 90, "v2": 10})
    assert world.approve(held.id).state is State.DONE


@pytest.mark.parametrize(
    "change", [{"evidence_digest": "other"}, {"plan_digest": "other"}, {"actor": "unknown"}]
)
def test_an_answer_to_another_question_or_by_whoever_asked_is_void(change: dict[str, str]) -> None:
    world = with_v1_live(policy=policy(approval={"before_commit": True, "four_eyes": True}))
    held = world.release("v2")
    assert held.request.requested_by == "unknown"
    assert world.approve(held.id, **change).state is State.AWAIT_APPROVAL
    assert world.approve(held.id).state is State.DONE


def test_an_answer_that_was_not_acted_upon_in_time_is_void() -> None:
    world = with_v1_live(policy=policy(approval={"before_commit": True, "valid_s": 60}))
    held = world.release("v2")
    world.answer(held.id)
    world.sleep(61)
    assert world.drive(held.id).state is State.AWAIT_APPROVAL
    assert world.approve(held.id).state is State.DONE


# ---- money and time


def test_a_release_that_costs_too_much_goes_back_wherever_it_is() -> None:
    world = with_v1_live(policy=policy(budget=BudgetPolicy(max_release_usd=2)))

    def spend(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.SHIFTING:
            world.spent = 2.01

    over = world.release("v2", on_step=spend)
    assert over.state is State.ROLLED_BACK
    assert "2.01 USD" in over.reason
    assert over.digest not in world.quarantined


def test_a_release_that_takes_too_long_goes_back_also_while_a_person_thinks() -> None:
    late = DeadlinePolicy(release_s=500)
    world = with_v1_live(policy=policy(approval={"before_commit": True}, deadlines=late))
    held = world.release("v2")
    world.sleep(501)
    over = world.drive(held.id)
    assert (over.state, world.serving()) == (State.ROLLED_BACK, {"v1": 100})


def test_a_question_that_nobody_answers_is_answered_by_going_back() -> None:
    world = with_v1_live(
        policy=policy(deadlines=DeadlinePolicy(hold_s=500)), verdicts={Gate.QUALITY: [Verdict.NOT_JUDGED] * 2}
    )
    held = world.release("v2")
    assert held.state is State.HOLD
    world.sleep(501)
    over = world.drive(held.id)
    assert over.state is State.ROLLED_BACK
    assert over.digest not in world.quarantined


# ---- health


def kill_old(world: World) -> str:
    assert world.route is not None
    old = world.versions[0].digest
    name = next(u.set_name for u in world.route.upstreams if u.digest == old)
    world.sets[name].state = SetState.FAILED
    return name


@pytest.mark.parametrize("at", [10, 50])
def test_an_old_set_that_dies_while_both_serve_leaves_its_share_to_the_new_one_until_it_is_back(
    at: int,
) -> None:
    world = with_v1_live()
    seen: list[dict[str, int]] = []
    killed: list[str] = []

    def kill(release: Release, step: object) -> None:
        is_there = isinstance(step, Enter) and step.state is State.SHIFTING and step.data.get("weight") == at
        if is_there and not killed:
            killed.append(kill_old(world))
        seen.append(world.serving())

    done = world.release("v2", on_step=kill)
    assert {"v2": 100} in seen, "its share went to the set that was ready"
    assert world.sets[killed[0]].state is SetState.READY, "and it was started again"
    assert done.state is State.DONE


def test_a_way_back_whose_target_is_dead_serves_from_what_is_ready_and_deletes_nothing() -> None:
    world = with_v1_live()
    world.startable = False

    def kill(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.BAKING:
            kill_old(world)
            world.append(release.id, release.epoch, "abort", "stop", {"actor": "ada", "reason": "tone"})

    held = world.release("v2", on_step=kill)
    assert held.state is State.HOLD
    assert world.serving() == {"v2": 100}
    assert len(world.sets) == 2
    world.startable = True
    world.sleep(10)
    world.drive(held.id)
    world.sleep(10)
    over = world.drive(held.id)
    assert (over.state, world.serving()) == (State.ROLLED_BACK, {"v1": 100})


def test_a_set_that_serves_another_file_than_the_journal_says_stops_the_release() -> None:
    world = with_v1_live()

    def lie(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.SHIFTING and step.data["step"] == 1:
            assert release.plan is not None
            world.lying[release.plan.green_set] = "worker 3 serves another file"

    over = world.release("v2", on_step=lie)
    assert over.state is State.ROLLED_BACK
    assert "worker 3" in over.reason


def test_nothing_is_removed_while_the_new_set_is_not_proven() -> None:
    world = with_v1_live()
    world.release("v2")

    def lie(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.RETIRING:
            assert release.plan is not None
            world.lying[release.plan.green_set] = "another file"

    held = world.release("v3", on_step=lie)
    assert held.state is State.HOLD
    assert len(world.sets) == 3


# ---- rehearsal and gateways that are silent


def test_a_rehearsal_goes_to_the_old_set_and_back_before_the_commit() -> None:
    world = with_v1_live(policy=policy({"rehearse": True}))
    went: list[tuple[str, dict[str, int]]] = []

    def note(release: Release, step: object) -> None:
        if isinstance(step, Rehearse):
            assert release.plan is not None
            went.append((step.name, {"green": step.weights[release.plan.green_set]}))

    done = world.release("v2", on_step=note)
    assert done.state is State.DONE
    assert went == [("rehearsal:old", {"green": 0}), ("rehearsal:new", {"green": 100})]
    assert Gate.REHEARSAL in world.gates_run
    assert world.serving() == {"v2": 100}


def test_a_rehearsal_that_lost_a_stream_brings_the_old_set_back() -> None:
    world = with_v1_live(policy=policy({"rehearse": True}), verdicts={Gate.REHEARSAL: [Verdict.FAIL]})
    over = world.release("v2")
    assert (over.state, world.serving()) == (State.ROLLED_BACK, {"v1": 100})


def test_a_set_that_a_silent_gateway_may_still_use_is_left_and_the_release_ends() -> None:
    world = with_v1_live()
    world.release("v2")
    oldest = next(iter(world.sets))
    world.silent = (
        GatewayStatus(
            gateway="far", observed_generation=1, seen_at=world.now.replace(year=2025), routed_sets=(oldest,)
        ),
    )
    steps: list[object] = []
    done = world.release("v3", on_step=lambda release, step: steps.append(step))
    assert done.state is State.DONE
    assert LeaveSet(oldest) in steps
    assert DeleteSet(oldest) not in steps
    assert oldest in world.sets


def test_after_a_rollback_the_file_is_in_quarantine_and_the_service_is_held() -> None:
    world = with_v1_live()
    bad = world.release("v2")
    assert world.release("v1", trigger="rollback").state is State.DONE
    assert bad.digest in world.quarantined
    assert world.held.startswith("rolled back")
    assert REF.service
