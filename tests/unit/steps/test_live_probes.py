"""Our own requests beside clients': short turns, so that nobody waits for their end who must act on harm or a stop."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.unit.steps.conftest import Office
from tests.unit.steps.measured_runs import request
from tidegate import steps
from tidegate.benchmark import Arm, LoadPlan
from tidegate.domain import Release, ReleaseState
from tidegate.steps.live_probes import IN_TURN, PATIENCE_S, LiveProbes

SETS = ("green", "blue")


class Turn:
    """What one set answered in one turn."""

    def __init__(self, plan: LoadPlan, failed: int):
        self._answers = [
            request(place, 0, 0.0, 5.0, 1.0, failed=place < failed) for place in range(plan.requests or 0)
        ]

    def measured(self) -> list[Any]:
        return self._answers


class Sets:
    """Both sets: each turn takes `turn_s`; afterwards something may happen."""

    def __init__(self, turn_s: float, *, failed: int = 0, then: Callable[[], None] = lambda: None):
        self.now = 0.0
        self.plans: list[LoadPlan] = []
        self._turn_s, self._failed, self._then = turn_s, failed, then

    def ask(self, arms: Sequence[Arm], plan: LoadPlan) -> Mapping[str, Any]:
        assert [one.name for one in arms] == list(SETS)
        self.plans.append(plan)
        self.now += self._turn_s
        self._then()
        return {"green": Turn(plan, self._failed), "blue": Turn(plan, 0)}

    def probes(self, office: Office) -> LiveProbes:
        return LiveProbes(office.ports, ask=self.ask, clock=lambda: self.now)


@pytest.fixture
def climbing(office: Office) -> Release:
    office.environ["TIDEGATE_SECRET_TIDEGATE_PROBE_KEY"] = "probe-key-0123456789abcdef"
    return office.enter(office.release("acme"), ReleaseState.SHIFTING, step=0, weight=10)


def test_a_round_sends_what_is_wanted_in_turns_and_tells_what_the_new_set_answered(
    office: Office, climbing: Release
):
    sets = Sets(0.01, failed=1)
    assert sets.probes(office).send(climbing, SETS, ["a", "b"], 8) == 8 - 3
    assert [plan.requests for plan in sets.plans] == [IN_TURN, IN_TURN, 2]


def test_no_two_turns_ask_the_same(office: Office, climbing: Release):
    sets = Sets(0.01)
    probes = sets.probes(office)
    for _ in range(2):
        probes.send(climbing, SETS, ["a"], 2 * IN_TURN)
    assert len({plan.first_block for plan in sets.plans}) == 4


@pytest.mark.parametrize(("turn_s", "turns"), [(0.4, 3), (PATIENCE_S, 1)])
def test_a_slow_or_hanging_set_holds_nobody_up_for_longer_than_one_turn(
    office: Office, climbing: Release, turn_s: float, turns: int
):
    sets = Sets(turn_s)
    sets.probes(office).send(climbing, SETS, ["a"], 200)
    assert len(sets.plans) == turns
    assert all(
        plan.request_timeout_s == PATIENCE_S and plan.concurrency == plan.requests for plan in sets.plans
    )


def test_a_stop_ends_the_round(office: Office, climbing: Release):
    def stop() -> None:
        steps.stop_release(office.ports, climbing.id, actor="noor", reason="wrong prices")

    sets = Sets(0.01, then=stop)
    sets.probes(office).send(climbing, SETS, ["a"], 200)
    assert len(sets.plans) == 1
