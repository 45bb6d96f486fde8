"""Our own requests beside clients': short turns, so that nobody waits for their end who must act on harm or a stop."""

from collections.abc import Callable

import pytest

from tests.unit.benchmark.fake_wire import Asked, FakeWire, Reply, stream
from tests.unit.steps.conftest import Office
from tidegate import steps
from tidegate.domain import Release, ReleaseState
from tidegate.steps.live_probes import IN_TURN, PATIENCE_S, LiveProbes
from tidegate.steps.targets import PIN_HEADER

SETS = ("green", "blue")
PROMPTS = ["a", "b", "c", "d", "e"]


class Sets:
    """Both sets behind their gateway: each request takes `takes_s` of the clock; then something may happen."""

    def __init__(
        self,
        takes_s: float = 0.0,
        *,
        reply: Callable[[Asked], Reply] = lambda _: stream(),
        then: Callable[[], None] = lambda: None,
    ):
        self.now = 0.0
        self.wire = FakeWire(reply, before=self._answer)
        self._takes_s, self._then = takes_s, then

    async def _answer(self, asked: Asked) -> None:
        # A turn is asked at once and takes as long as one request.
        self.now += self._takes_s / IN_TURN
        self._then()

    def probes(self, office: Office) -> LiveProbes:
        return LiveProbes(office.ports, open_to=lambda: self.wire, clock=lambda: self.now)

    @property
    def order(self) -> list[str]:
        return [asked.headers[PIN_HEADER] for asked in self.wire.asked]


@pytest.fixture
def climbing(office: Office) -> Release:
    office.environ["TIDEGATE_SECRET_TIDEGATE_PROBE_KEY"] = "probe-key-0123456789abcdef"
    return office.enter(office.release("acme"), ReleaseState.SHIFTING, step=0, weight=10)


def test_both_sets_are_asked_the_same_in_turn_and_a_turn_at_once(office: Office, climbing: Release):
    sets = Sets()
    sets.probes(office).send(climbing, SETS, PROMPTS, IN_TURN + 1)
    assert sets.order == ["green"] * IN_TURN + ["blue"] * IN_TURN + ["green", "blue"]
    assert sets.wire.most_in_flight == IN_TURN
    by_set = {
        name: [one.body["messages"] for one in sets.wire.asked if one.headers[PIN_HEADER] == name]
        for name in SETS
    }
    assert by_set["green"] == by_set["blue"]


def test_what_the_new_set_answered_whole_is_told(office: Office, climbing: Release):
    whole, (status, content) = stream(), stream()
    cut = (status, content.replace(b"data: [DONE]\n\n", b""))
    replies = iter([whole, (503, b"{}"), cut, *[whole] * 9])
    sets = Sets(reply=lambda asked: next(replies) if asked.headers[PIN_HEADER] == "green" else (500, b"{}"))
    assert sets.probes(office).send(climbing, SETS, PROMPTS, 6) == 4


def test_rounds_do_not_ask_the_same(office: Office, climbing: Release):
    sets = Sets()
    probes = sets.probes(office)
    for _ in range(2):
        probes.send(climbing, ["green"], PROMPTS, IN_TURN)
    asked = [(one.body["messages"][0]["content"], one.body["seed"]) for one in sets.wire.asked]
    assert asked[:IN_TURN] != asked[IN_TURN:]


@pytest.mark.parametrize(("takes_s", "turns"), [(0.2, 3), (PATIENCE_S, 1)])
def test_a_slow_or_hanging_set_holds_nobody_up_for_longer_than_one_turn(
    office: Office, climbing: Release, takes_s: float, turns: int
):
    sets = Sets(takes_s)
    sets.probes(office).send(climbing, SETS, PROMPTS, 200)
    assert len(sets.order) == turns * IN_TURN * len(SETS)


def test_a_stop_ends_the_round(office: Office, climbing: Release):
    def stop() -> None:
        steps.stop_release(office.ports, climbing.id, actor="noor", reason="wrong prices")

    sets = Sets(then=stop)
    sets.probes(office).send(climbing, ["green"], PROMPTS, 200)
    assert len(sets.order) == IN_TURN
