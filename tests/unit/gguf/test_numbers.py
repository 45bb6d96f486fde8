"""The numeric scan: every type, every position, and pieces of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gguf.judging import errors, inspect, warnings
from tests.unit.gguf.writer import tiny_llama
from tidegate.gguf import TENSOR_TYPES, TensorInfo
from tidegate.gguf.numbers import TensorScan, find_flaw

TINY = tiny_llama()
NAME = "blk.0.ffn_down.weight"
HALF_NAN, HALF_INF = b"\x01\x7e", b"\x00\x7c"
SCALED = [kind for kind in TENSOR_TYPES.values() if kind.is_for_files and kind.fields]


def _halves(place: int, value: float):
    values = np.frombuffer(next(t.data for t in TINY.tensors if t.name == NAME), "<f2").copy()
    values[place] = value
    return TINY.with_tensor(NAME, data=values.tobytes())


@pytest.mark.parametrize("place", [0, 1000, 2047])
@pytest.mark.parametrize(("value", "check"), [(np.nan, "N-NAN"), (np.inf, "N-INF"), (-np.inf, "N-INF")])
def test_one_bad_half_anywhere_is_found(place: int, value: float, check: str):
    assert errors(_halves(place, value)) == {check}


def test_the_finding_names_the_byte():
    found = inspect(_halves(1000, np.nan)).findings[0]
    raw = _halves(1000, np.nan).encode()
    assert found.offset is not None
    assert np.isnan(np.frombuffer(raw[found.offset : found.offset + 2], "<f2")[0])


@pytest.mark.parametrize(("kind", "form"), [(0, "<f4"), (28, "<f8"), (1, "<f2")])
def test_plain_floats_of_every_width_are_scanned(kind: int, form: str):
    values = np.linspace(-3, 3, 512).astype(form)
    assert find_flaw(TENSOR_TYPES[kind], values.view(np.uint8)) is None
    values[77] = -np.inf
    flaw = find_flaw(TENSOR_TYPES[kind], values.view(np.uint8))
    assert flaw is not None
    assert (flaw.check, flaw.block) == ("N-INF", 77)


def test_bfloat16_is_scanned():
    values = (np.linspace(-3, 3, 64).astype("<f4").view("<u4") >> 16).astype("<u2")
    assert find_flaw(TENSOR_TYPES[30], values.view(np.uint8)) is None
    values[5] = 0xFFC0
    flaw = find_flaw(TENSOR_TYPES[30], values.view(np.uint8))
    assert flaw is not None
    assert flaw.check == "N-NAN"


@pytest.mark.parametrize("kind", SCALED, ids=lambda kind: kind.name)
def test_every_scale_of_every_block_type_is_looked_at(kind):
    blocks = np.zeros((7, kind.block_bytes), np.uint8)
    blocks[:, :] = 0x11
    assert find_flaw(kind, blocks.ravel()) is None
    for field in kind.fields:
        bad = blocks.copy()
        bad[4, field : field + 2] = list(HALF_NAN)
        flaw = find_flaw(kind, bad.ravel())
        assert flaw is not None
        assert (flaw.check, flaw.block) == ("N-NAN", 4)


def test_payload_bytes_of_a_quantized_block_are_not_mistaken_for_scales():
    blocks = np.full((3, 34), 0xFF, np.uint8)
    blocks[:, :2] = 0x11
    assert find_flaw(TENSOR_TYPES[8], blocks.ravel()) is None


def test_block_scales_of_the_newer_formats_are_scanned():
    mxfp4 = np.full((4, 17), 0x80, np.uint8)
    assert find_flaw(TENSOR_TYPES[39], mxfp4.ravel()) is None
    mxfp4[2, 0] = 0xFF
    assert find_flaw(TENSOR_TYPES[39], mxfp4.ravel()) is not None
    nvfp4 = np.full((4, 36), 0x11, np.uint8)
    assert find_flaw(TENSOR_TYPES[40], nvfp4.ravel()) is None
    nvfp4[3, 1] = 0x7F
    assert find_flaw(TENSOR_TYPES[40], nvfp4.ravel()) is not None
    iq1_m = np.full((2, 56), 0x11, np.uint8)
    assert find_flaw(TENSOR_TYPES[29], iq1_m.ravel()) is None
    iq1_m[1, 48:56] = [0, 0x00, 0, 0x00, 0, 0xE0, 0, 0x70]
    assert find_flaw(TENSOR_TYPES[29], iq1_m.ravel()) is not None


def test_a_matrix_of_zeros_is_refused_and_a_constant_one_is_told():
    assert errors(TINY.with_tensor(NAME, data=bytes(64 * 32 * 2))) == {"N-ZERO"}
    constant = np.full(64 * 32, 0.25, "<f2").tobytes()
    assert errors(TINY.with_tensor(NAME, data=constant)) == set()
    assert warnings(TINY.with_tensor(NAME, data=constant)) == {"N-CONST"}


def test_weights_beyond_half_precision_are_a_warning():
    values = np.linspace(-1, 1, 64 * 32).astype("<f4")
    values[9] = 1e6
    assert warnings(TINY.with_tensor(NAME, kind=0, data=values.tobytes())) == {"N-HUGE"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=30), st.integers(0, 19))
def test_a_bad_scale_is_found_however_the_file_is_cut_into_pieces(cuts: list[int], block: int):
    kind = TENSOR_TYPES[8]
    content = np.full((20, 34), 0x11, np.uint8)
    content[block, :2] = list(HALF_INF)
    scan = TensorScan(TensorInfo("t", (640,), 8, 0, 0), kind, 1000, 1000 + 680)
    place, turn = 0, 0
    flat = content.ravel()
    while place < flat.size:
        size = cuts[turn % len(cuts)]
        scan.feed(flat[place : place + size])
        place, turn = place + size, turn + 1
    found = list(scan.findings())
    assert [(row.check, row.offset) for row in found] == [("N-INF", 1000 + 34 * block)]
