"""Approval before commit: all traffic on the new set, the old one warm, and only a person goes on."""

from itertools import product

import pytest
from world import POLICY, World, world_with

from tidegate.domain import JournalEntry, Policy, Release, ReleaseState, SetState
from tidegate.domain.policy import ApprovalPolicy
from tidegate.release import fold_view
from tidegate.release.approvals import approver_of
from tidegate.release.observation import Observation
from tidegate.release.observer import evidence_digest
from tidegate.release.step import Enter

State = ReleaseState


def policy(*approvers: str, wait_s: float = 3600) -> Policy:
    asked = ApprovalPolicy(before_commit=True, approvers=approvers, wait_s=wait_s)
    return POLICY.model_copy(update={"approval": asked})


def waiting_world(*approvers: str, wait_s: float = 3600) -> tuple[World, Release]:
    """v1 committed, v2 at 100 percent and waiting."""
    world = world_with("v1", "v2", policy=policy(*approvers, wait_s=wait_s))
    approve(world, world.release("v1"))
    held = world.release("v2")
    assert held.state is State.AWAIT_APPROVAL
    return world, held


def approve(world: World, release: Release, actor: str = "ada", plan: str | None = None) -> Release:
    return world.approve(release.id, actor, **({} if plan is None else {"plan_digest": plan}))


def test_a_good_release_waits_at_all_traffic_with_the_old_set_warm_and_no_alias_moved() -> None:
    world, held = waiting_world()
    assert world.serving() == {"v2": 100}
    assert len(world.sets) == 2
    assert world.aliases["champion"] == world.versions[0]
    assert "person must approve" in held.reason


def test_looking_again_never_commits() -> None:
    world, held = waiting_world()
    for _ in range(5):
        world.sleep(60)
        assert world.drive(held.id).state is State.AWAIT_APPROVAL
    assert world.aliases["champion"] == world.versions[0]


def test_an_approval_commits_and_the_journal_says_whose() -> None:
    world, held = waiting_world()
    done = approve(world, held)
    assert done.state is State.DONE
    assert world.aliases["champion"] == world.versions[1]
    committing = next(e for e in world.journal[held.id] if e.kind == "entered" and e.name == "committing")
    assert committing.data["reason"] == "approved by ada"


def test_an_approval_by_somebody_else_or_of_another_plan_does_nothing() -> None:
    world, held = waiting_world("ada")
    assert approve(world, held, actor="bob").state is State.AWAIT_APPROVAL
    assert approve(world, held, plan="other").state is State.AWAIT_APPROVAL
    assert approve(world, held).state is State.DONE


@pytest.mark.parametrize(
    ("approvers", "actor", "plan_digest"),
    list(product([(), ("ada",), ("ada", "bob")], [None, "", "ada", "bob"], [None, "other", "right"])),
)
def test_exactly_a_named_approver_of_exactly_this_plan_counts(
    approvers: tuple[str, ...], actor: str | None, plan_digest: str | None
) -> None:
    world, held = waiting_world()
    assert held.plan is not None
    data = {"actor": actor, "plan_digest": held.plan.digest if plan_digest == "right" else plan_digest}
    given = {key: value for key, value in data.items() if value is not None}
    given["evidence_digest"] = ""
    note = JournalEntry(
        seq=999, release_id=held.id, epoch=1, kind="note", name="approve", data=given, at=world.now
    )
    seen = Observation(
        now=world.now,
        lock_epoch=1,
        green=world.status("x"),
        blue=None,
        route=world.route,
        route_confirmed=True,
        champion_digest=None,
    )
    view = fold_view(held, [*world.journal[held.id], note])
    counts = plan_digest == "right" and bool(actor) and (not approvers or actor in approvers)
    assert approver_of(view, seen, policy(*approvers)) == (actor if counts else None)


def test_an_approval_given_before_the_question_does_not_answer_it() -> None:
    world = world_with("v1", policy=policy())

    def early(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.BAKING:
            assert release.plan is not None
            given = {
                "actor": "ada",
                "plan_digest": release.plan.digest,
                "evidence_digest": evidence_digest(world.evidence(release.id)),
            }
            world.append(release.id, release.epoch, "note", "approve", given)

    assert world.release("v1", on_step=early).state is State.AWAIT_APPROVAL


def test_without_an_answer_the_old_set_gets_its_traffic_back_and_nothing_is_quarantined() -> None:
    world, held = waiting_world(wait_s=600)
    world.sleep(601)
    over = world.drive(held.id)
    assert over.state is State.ROLLED_BACK
    assert "nobody approved" in over.reason
    assert world.serving() == {"v1": 100}
    assert over.digest not in world.quarantined


def test_a_set_that_dies_while_a_person_thinks_is_rolled_back() -> None:
    world, held = waiting_world()
    assert held.plan is not None
    world.sets[held.plan.green_set].state = SetState.FAILED
    assert world.drive(held.id).state is State.ROLLED_BACK
    assert world.serving() == {"v1": 100}


def test_live_requests_that_fail_while_a_person_thinks_bring_the_old_set_back() -> None:
    world, held = waiting_world()
    assert held.plan is not None
    world.drive(held.id)
    world.failing = {held.plan.green_set: 0.5}
    world.sleep(5)
    over = world.drive(held.id)
    assert over.state is State.ROLLED_BACK
    assert "failed on the new set" in over.reason


def test_an_approval_of_a_set_that_was_lost_meanwhile_does_not_commit_it() -> None:
    world, held = waiting_world()
    assert held.plan is not None
    world.sets[held.plan.green_set].state = SetState.FAILED
    assert approve(world, held).state is State.ROLLED_BACK


def test_stopping_a_release_that_waits_brings_its_traffic_back_instead_of_leaving_it() -> None:
    world, held = waiting_world()
    world.append(held.id, 0, "abort", "stop", {"actor": "ada", "reason": "wrong tone"})
    over = world.drive(held.id)
    assert over.state is State.ROLLED_BACK
    assert world.serving() == {"v1": 100}


def test_a_hold_in_its_bake_still_asks_for_the_approval_that_the_policy_wants() -> None:
    shift = POLICY.shift.model_copy(update={"bake_s": 1})
    live = POLICY.live.model_copy(update={"when_thin": "hold"})
    world = world_with("v1", policy=policy().model_copy(update={"shift": shift, "live": live}))

    def silence(release: Release, step: object) -> None:
        if isinstance(step, Enter) and step.state is State.BAKING:
            world.traffic_per_s = 0

    held = world.release("v1", on_step=silence)
    assert held.state is State.HOLD
    assert approve(world, held).state is State.AWAIT_APPROVAL


def test_a_rollback_needs_no_approval() -> None:
    world, held = waiting_world()
    approve(world, held)
    assert world.release("v1", trigger="rollback").state is State.DONE
    assert world.serving() == {"v1": 100}


@pytest.mark.parametrize("answer", ["approve", "nothing"])
def test_killed_between_any_two_steps_an_approval_is_still_needed_and_still_counts(answer: str) -> None:
    """Exhaustive over every effect and journal write: kill there, then go on."""
    alive = world_with("v1", "v2", policy=policy(wait_s=600))
    approve(alive, alive.release("v1"))
    # Before the last step the release is over.
    left = alive.left_by_kills(lambda: approve(alive, alive.release("v2")))[:-1]
    assert len(left) > 20
    for crash_at, world in enumerate(left):
        last = world.drive("r-2") if "r-2" in world.releases else world.release("v2")
        if last.state is State.AWAIT_APPROVAL:
            assert world.aliases["champion"] == world.versions[0], f"crash before step {crash_at}"
            last = approve(world, last) if answer == "approve" else _let_time_pass(world, last)
        expected = {"v1": 100} if last.state is State.ROLLED_BACK else {"v2": 100}
        assert last.state in (State.DONE, State.ROLLED_BACK)
        assert world.serving() == expected, f"crash before step {crash_at}"


def _let_time_pass(world: World, held: Release) -> Release:
    world.sleep(601)
    return world.drive(held.id)


def test_the_default_policy_asks_nobody() -> None:
    world = world_with("v1")
    assert world.release("v1").state is State.DONE
