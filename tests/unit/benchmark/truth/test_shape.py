"""What a truth server is told: times, chance and pauses mean what they say."""

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tidegate.benchmark.truth import Draw, Fault, FaultKind, Law, Shape
from tidegate.domain import InvalidInput

MS = 1_000_000


@pytest.mark.parametrize(
    ("text", "draw"),
    [
        ("50", Draw(first=50)),
        ("fixed:1.5", Draw(first=1.5)),
        ("uniform:20:80", Draw(law=Law.UNIFORM, first=20, second=80)),
        ("lognormal:50:0.5", Draw(law=Law.LOGNORMAL, first=50, second=0.5)),
    ],
)
def test_a_time_is_read_from_text(text: str, draw: Draw):
    assert Draw.parse(text) == draw


@pytest.mark.parametrize("text", ["", "fast", "normal:1:2", "uniform:9:3", "fixed:-1", "1:2:3"])
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(InvalidInput):
        Draw.parse(text)


def test_the_laws_have_their_centre_and_bounds():
    chance = random.Random(1)
    uniform = [Draw.parse("uniform:20:80").ns(chance) / MS for _ in range(2000)]
    lognormal = [Draw.parse("lognormal:50:0.5").ns(chance) / MS for _ in range(2000)]
    assert 20 <= min(uniform) <= max(uniform) <= 80
    assert median(uniform) == pytest.approx(50, abs=3)
    assert median(lognormal) == pytest.approx(50, abs=3)
    assert Draw.parse("7").ns(chance) == 7 * MS


def test_the_chance_of_a_request_depends_on_the_seed_and_its_number_only():
    shape = Shape(seed=3)
    assert shape.chance(7).random() == Shape(seed=3).chance(7).random()
    assert shape.chance(7).random() != shape.chance(8).random()
    assert shape.chance(7).random() != Shape(seed=4).chance(7).random()


def test_faults_come_in_their_shares():
    shape = Shape(faults=(Fault(kind=FaultKind.CUT, share=0.2), Fault(kind=FaultKind.HANG, share=0.1)))
    seen = [shape.fault(shape.chance(number)) for number in range(4000)]
    assert sum(fault is None for fault in seen) / 4000 == pytest.approx(0.7, abs=0.03)
    assert sum(fault == shape.faults[0] for fault in seen) / 4000 == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        {"faults": [{"kind": "cut", "share": 0.6}, {"kind": "hang", "share": 0.6}]},
        {"pause_every_s": 1, "pause_ms": 1000},
        {"unknown": 1},
        {"tokens": 0},
    ],
)
def test_an_impossible_shape_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        Shape.model_validate(wrong)


PAUSING = Shape(pause_every_s=5, pause_ms=1500)


@pytest.mark.parametrize(
    ("at_ms", "work_ms", "done_ms"),
    [
        (0, 50, 50),
        (4990, 50, 6540),
        (5000, 50, 6550),
        (6499, 50, 6550),
        (6500, 50, 6550),
        (4990, 3520, 11510),
        (0, 0, 0),
    ],
)
def test_work_stands_still_during_a_pause(at_ms: int, work_ms: int, done_ms: int):
    assert PAUSING.later(at_ms * MS, work_ms * MS) == done_ms * MS


@given(st.integers(0, 10**11), st.integers(0, 10**10), st.integers(0, 10**10))
def test_work_done_in_two_parts_ends_when_it_would_have_ended_in_one(at: int, first: int, second: int):
    assert PAUSING.later(PAUSING.later(at, first), second) == PAUSING.later(at, first + second)
