import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.emulator.faults import KNOBS, Fault, FaultBoard, FaultRequest, select

moments = st.floats(0, 100)
faults = st.builds(
    Fault,
    number=st.integers(1, 99),
    knob=st.sampled_from(["stock_out", "throttled"]),
    value=st.just(True),
    scope=st.sampled_from(["*", "ADA_24", "EU-RO-1"]),
    starts_at=moments,
    ends_at=st.none() | moments,
    uses_left=st.none() | st.integers(0, 3),
)


class Hand:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@given(st.lists(faults, max_size=8), moments)
def test_a_chosen_fault_is_on_and_in_scope(candidates, now):
    chosen = select(candidates, "stock_out", ["ADA_24"], now)
    if chosen is not None:
        assert chosen.is_on(now)
        assert chosen.scope in ("ADA_24", "*")
        assert chosen.knob == "stock_out"


@given(st.lists(faults, max_size=8), moments)
def test_a_fault_of_the_asked_scope_wins_over_one_that_is_everywhere(candidates, now):
    chosen = select(candidates, "stock_out", ["ADA_24"], now)
    narrow = [
        one for one in candidates if one.is_on(now) and one.knob == "stock_out" and one.scope == "ADA_24"
    ]
    if narrow:
        assert chosen in narrow


def test_a_timeline_turns_faults_on_and_off_by_itself():
    clock = Hand()
    board = FaultBoard(clock)
    board.add(FaultRequest.model_validate({"knob": "control_5xx", "value": 503, "at": 5, "for": 10}))
    seen = []
    for later in (0, 5, 14.9, 15):
        clock.now = 1000.0 + later
        seen.append(board.read("control_5xx"))
    assert seen == [None, 503, 503, None]
    assert board.active() == []


def test_a_counted_fault_is_used_up_by_being_read():
    board = FaultBoard(Hand())
    board.add(FaultRequest(knob="create_reply_lost", count=2))
    assert [board.read("create_reply_lost") for _ in range(3)] == [True, True, None]


def test_clearing_a_knob_leaves_the_others():
    board = FaultBoard(Hand())
    board.add(FaultRequest(knob="throttled"))
    board.add(FaultRequest(knob="stock_out"))
    assert board.clear("throttled") == 1
    assert [fault.knob for fault in board.active()] == ["stock_out"]


@pytest.mark.parametrize(
    ("knob", "value"),
    [("no_such_knob", True), ("throttled", 3), ("control_5xx", "many"), ("health_lag_s", True)],
)
def test_an_unknown_knob_or_a_value_of_the_wrong_kind_is_refused(knob, value):
    with pytest.raises(InvalidInput):
        FaultBoard(Hand()).add(FaultRequest(knob=knob, value=value))


def test_every_knob_says_what_it_does_and_where():
    assert all(knob.does and knob.plane in {"control", "data", "workers"} for knob in KNOBS.values())
