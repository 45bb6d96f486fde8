"""Drawings: areas follow the numbers, and every box lies inside the map."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.validation.sample_reports import GPUS, GROUPS
from tidegate.validation.charts import (
    MAP_HEIGHT,
    MAP_WIDTH,
    bar,
    chosen_gpus,
    squarified,
    stacked,
    tensor_map,
)
from tidegate.validation.report import TensorGroup

SIZES = st.lists(st.integers(0, 2**50), max_size=20)


@given(SIZES)
def test_boxes_lie_inside_the_map_and_fill_it_by_size(sizes: list[int]):
    groups = [TensorGroup(kind="k", type="F16", tensors=1, bytes=size) for size in sizes]
    boxes = squarified(groups)
    whole = sum(sizes)
    for box in boxes:
        assert box.x >= -0.01
        assert box.x + box.width <= MAP_WIDTH + 0.01
        assert box.y + box.height <= MAP_HEIGHT + 0.01
        assert box.width * box.height == pytest.approx(
            MAP_WIDTH * MAP_HEIGHT * box.group.bytes / whole, rel=0.01, abs=3
        )


def test_an_empty_file_has_an_empty_map():
    assert squarified([]) == []
    assert "<svg" in tensor_map([])
    assert "<svg" in stacked([("weights", 0)])


def test_bars_never_leave_their_row():
    assert 'width="100.00%"' in bar(9.0, 3.0, "fits")
    assert 'width="0.40%"' in bar(0.0, 0.0, "fits", mark=5.0)


def test_the_cheapest_gpus_that_fit_come_first_and_one_that_is_too_small_shows_the_border():
    chosen = chosen_gpus(GPUS)
    assert [fit.gpu for fit in chosen][:2] == ["NVIDIA RTX A4000", "NVIDIA RTX 4000 Ada Generation"]
    assert [fit.fits for fit in chosen] == [True] * 5 + [False] * 2
    assert chosen_gpus(()) == []


def test_the_map_names_its_parts_for_those_who_do_not_see_it():
    assert "feed-forward Q4_K 2.15 GiB" in tensor_map(GROUPS)
