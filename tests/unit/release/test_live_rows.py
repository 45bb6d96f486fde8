"""What live traffic decided stands in the evidence: one set of rows for each rung, and none while nothing is decided."""

from typing import Any

import pytest
from world import POLICY, World, world_with

from tidegate.domain import Evidence, Fenced, Gate, Policy, ReleaseState, Verdict, fold
from tidegate.domain.evidence import evidence_digest
from tidegate.domain.policy import ApprovalPolicy, ShiftPolicy
from tidegate.release import fold_view
from tidegate.release.effects import Effects
from tidegate.release.live import LiveJudgement
from tidegate.release.looked import look_rows
from tidegate.release.observation import Observation
from tidegate.release.step import Enter

State = ReleaseState
NONE = frozenset[str]()


def with_v1_live(policy: Policy = POLICY) -> World:
    world = world_with("v1", "v2")
    assert world.release("v1").state is State.DONE
    world.policy = policy
    return world


def live_rows(world: World, release_id: str) -> list[Evidence]:
    return [row for row in world.evidence(release_id) if row.gate is Gate.LIVE]


def looks(world: World, release_id: str) -> dict[str, Verdict]:
    rows = live_rows(world, release_id)
    return {row.data["rung"]: row.verdict for row in rows if row.check.endswith(".look")}


def on_entering(state: State, act: Any) -> Any:
    def note(release: object, step: object) -> None:
        if isinstance(step, Enter) and step.state is state:
            act()

    return note


def test_every_rung_and_the_bake_leave_their_verdict_and_their_metrics() -> None:
    world = with_v1_live()
    done = world.release("v2")
    assert looks(world, done.id) == dict.fromkeys(("10", "50", "100", "bake"), Verdict.PASS)
    checks = {row.check for row in live_rows(world, done.id)}
    assert {f"live.{rung}.{metric}" for rung in ("10", "bake") for metric in ("errors", "length")} <= checks
    assert fold(Gate.LIVE, world.evidence(done.id), NONE).verdict is Verdict.PASS


def test_a_look_says_how_many_requests_of_whom_it_rests_on() -> None:
    world = with_v1_live()
    row = next(row for row in live_rows(world, world.release("v2").id) if row.check == "live.10.look")
    assert row.data["requests"] >= POLICY.shift.min_requests
    assert row.data["probes"] == 0
    assert row.summary.startswith(f"at 10 %: {row.data['requests']} requests of clients")


def test_harm_leaves_the_rows_that_show_it() -> None:
    world = with_v1_live()

    def fail_new() -> None:
        world.failing = {name: 0.5 for name, fake in world.sets.items() if fake.spec.digest == "2" * 64}

    over = world.release("v2", on_step=on_entering(State.SHIFTING, fail_new))
    assert over.state is State.ROLLED_BACK
    assert looks(world, over.id) == {"10": Verdict.FAIL}
    failed = [row.check for row in live_rows(world, over.id) if row.verdict is Verdict.FAIL]
    assert "live.10.errors" in failed
    assert fold(Gate.LIVE, world.evidence(over.id), NONE).verdict is Verdict.FAIL


def test_a_hold_on_thin_traffic_shows_what_a_person_is_asked_about() -> None:
    thin = POLICY.live.model_copy(update={"when_thin": "hold"})
    world = with_v1_live(POLICY.model_copy(update={"live": thin}))
    world.traffic_per_s = 0
    held = world.release("v2")
    assert held.state is State.HOLD
    assert looks(world, held.id) == {"10": Verdict.NOT_JUDGED}
    assert fold(Gate.LIVE, world.evidence(held.id), NONE).verdict is Verdict.NOT_JUDGED


def test_looking_on_while_a_person_thinks_does_not_void_the_answer() -> None:
    shift = ShiftPolicy.model_validate(POLICY.shift.model_dump() | {"ladder": (10, 100)})
    asked = ApprovalPolicy(before_increase=True)
    world = with_v1_live(POLICY.model_copy(update={"shift": shift, "approval": asked}))
    held = world.release("v2")
    assert held.state is State.AWAIT_APPROVAL
    assert looks(world, held.id) == {"10": Verdict.PASS}
    before = evidence_digest(world.evidence(held.id))
    for _ in range(5):
        world.sleep(10)
        world.drive(held.id)
    assert evidence_digest(world.evidence(held.id)) == before
    assert world.approve(held.id, evidence_digest=before).state is State.DONE


def test_a_way_back_by_a_person_leaves_no_rows_because_no_look_decided_it() -> None:
    world = with_v1_live()
    world.release("v2")
    back = world.release("v1", trigger="rollback")
    assert back.state is State.DONE
    assert live_rows(world, back.id) == []


def test_an_owner_that_was_pushed_aside_stores_no_rows_and_enters_nothing() -> None:
    world = with_v1_live()
    over = world.release("v2")
    row = Evidence(gate=Gate.LIVE, check="live.10.look", verdict=Verdict.FAIL, summary="late")
    effects = Effects(world, world, world, world.controller().service)  # type: ignore[arg-type]
    with pytest.raises(Fenced):
        effects.make(over, over.epoch - 1, Enter(State.ROLLING_BACK, "late", rows=(row,)))
    assert row not in world.evidence(over.id)


def test_rows_are_stored_before_the_state_that_rests_on_them() -> None:
    world = with_v1_live()
    missing: list[str] = []

    def note(release: Any, step: object) -> None:
        state = world.get_release(release.id).state
        if state is State.BAKING and "100" not in looks(world, release.id):
            missing.append(str(step))

    assert world.release("v2", on_step=note).state is State.DONE
    assert missing == []


def test_a_slice_and_a_metric_without_a_margin_are_shown_and_decide_nothing() -> None:
    world = with_v1_live()
    over = world.release("v2")
    entered = [e for e in world.journal[over.id] if e.kind == "entered" and e.name == "shifting"][-1]
    view = fold_view(
        over.model_copy(update={"state": State.SHIFTING}),
        [*(e for e in world.journal[over.id] if e.seq <= entered.seq)],
    )
    rows = tuple(
        Evidence(
            gate=Gate.LIVE,
            check=f"live.{name}",
            verdict=verdict,
            summary="so",
            data={"is_gating": is_gating},
        )
        for name, verdict, is_gating in (
            ("errors", Verdict.PASS, True),
            ("errors@de", Verdict.NOT_JUDGED, True),
            ("length", Verdict.NOT_JUDGED, False),
        )
    )
    seen = Observation(
        now=world.now,
        lock_epoch=1,
        green=world.status("x"),
        blue=None,
        route=None,
        route_confirmed=True,
        champion_digest=None,
        live=LiveJudgement(Verdict.PASS, "good", rows, requests=9),
    )
    found = look_rows(view, seen, Verdict.PASS, "good")
    assert [row.check for row in found] == [
        f"live.100.{name}" for name in ("look", "errors", "errors@de", "length")
    ]
    assert [row.is_shown_only for row in found] == [False, False, True, True]
    assert fold(Gate.LIVE, list(found), NONE).verdict is Verdict.PASS
    harmed = [row.model_copy(update={"verdict": Verdict.FAIL}) if "@" in row.check else row for row in found]
    assert fold(Gate.LIVE, harmed, NONE).verdict is Verdict.FAIL
