"""The numeric scan: every type, every position, and pieces of any size."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gguf.judging import errors, inspect, warnings
from tests.unit.gguf.writer import Stored, tiny_llama
from tidegate.gguf import TENSOR_TYPES, TensorInfo
from tidegate.gguf.numbers import find_flaw, look_at, scales
from tidegate.gguf.tensor_scan import TensorScan

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


@pytest.mark.parametrize("kind", ["F32", "BF16", "F16"])
def test_a_signalling_nan_is_a_finding_and_no_warning_of_numpy(kind: str):
    words = {"F32": ("<u4", 0x7F800001), "BF16": ("<u2", 0x7F81), "F16": ("<u2", 0x7C01)}
    form, pattern = words[kind]
    values = np.full(512, pattern, dtype=form)
    row = next(one for one in TENSOR_TYPES.values() if one.name == kind)
    assert find_flaw(row, values.view(np.uint8)) is not None
    assert np.isnan(scales(row, values.view(np.uint8))).all()


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


@pytest.mark.parametrize("kind", list(TENSOR_TYPES.values()), ids=lambda kind: kind.name)
def test_every_type_can_be_looked_at(kind):
    random = np.random.default_rng(3).integers(0, 0x40, (6, kind.block_bytes), np.uint8).ravel()
    assert find_flaw(kind, random) is None
    nothing = look_at(kind, np.zeros(512 * kind.block_bytes, np.uint8))
    assert nothing.zero_cells == nothing.cells > 0
    assert scales(kind, random).ndim == 1


def test_the_scale_of_the_type_of_intermediate_results_is_looked_at():
    blocks = np.full((3, 292), 0x11, np.uint8)
    blocks[1, :4] = [0, 0, 0x80, 0xFF]
    flaw = find_flaw(TENSOR_TYPES[15], blocks.ravel())
    assert flaw is not None
    assert (flaw.check, flaw.block) == ("N-INF", 1)


@pytest.mark.parametrize(("kind", "form"), [(0, "<f4"), (28, "<f8"), (1, "<f2")])
@given(value=st.floats(-60000, 60000, width=16))
@settings(max_examples=25, deadline=None)
def test_the_largest_number_is_read_from_its_bits(kind: int, form: str, value: float):
    numbers = np.array([0.0, value, value / 2], form)
    assert look_at(TENSOR_TYPES[kind], numbers.view(np.uint8)).largest == abs(float(numbers[1]))


def _f32(name: str, values):
    return TINY.with_tensor(name, kind=0, data=np.asarray(values, "<f4").tobytes())


def test_a_norm_of_zeros_refuses_and_a_norm_of_ones_or_a_bias_of_zeros_does_not():
    assert errors(_f32("output_norm.weight", np.zeros(32))) == {"N-ZERO"}
    assert inspect(_f32("output_norm.weight", np.ones(32))).findings == ()
    biased = replace(
        TINY, tensors=(*TINY.tensors, Stored("blk.1.attn_q.bias", (32,), 0, np.zeros(32, "<f4").tobytes()))
    )
    assert inspect(biased).findings == ()


def test_a_zero_among_rotary_factors_refuses_because_angles_are_divided_by_it():
    factors = np.array([1.0, 8.0, 0.0, 32.0], "<f4")
    with_factors = replace(
        TINY, tensors=(*TINY.tensors, Stored("rope_freqs.weight", (4,), 0, factors.tobytes()))
    )
    assert errors(with_factors) == {"N-ZERO"}


def test_a_matrix_that_is_partly_zero_is_told_but_unused_tokens_are_not():
    values = np.random.default_rng(2).normal(0, 0.1, (64, 32)).astype("<f2")
    values[:16] = 0
    assert warnings(TINY.with_tensor(NAME, data=values.tobytes())) == {"N-SPARSE"}
    embedding = next(tensor for tensor in TINY.tensors if tensor.name == "token_embd.weight")
    rows = np.frombuffer(embedding.data, "<f2").copy().reshape(-1, 32)
    rows[: len(rows) // 3] = 0
    assert inspect(TINY.with_tensor("token_embd.weight", data=rows.tobytes())).findings == ()


@pytest.mark.parametrize(("bit", "is_told"), [(14, True), (9, False), (0, False)])
def test_a_flipped_bit_that_makes_a_weight_stand_out_is_told(bit: int, is_told: bool):
    words = np.frombuffer(next(t.data for t in TINY.tensors if t.name == NAME), "<u2").copy()
    words[777] ^= 1 << bit
    assert warnings(TINY.with_tensor(NAME, data=words.tobytes())) == ({"N-HUGE"} if is_told else set())


def test_a_flipped_bit_in_the_scale_of_a_block_is_told():
    random = np.random.default_rng(4)
    blocks = random.integers(0, 256, (64, 34), np.uint8)
    blocks[:, :2] = random.uniform(1e-4, 1e-3, 64).astype("<f2").view(np.uint8).reshape(64, 2)
    scan = TensorScan(TensorInfo("blk.0.a.weight", (64, 32), 8, 0, 0), TENSOR_TYPES[8], 0, blocks.size)
    scan.feed(blocks.ravel())
    assert list(scan.findings()) == []
    blocks[50, 1] ^= 0x40
    scan = TensorScan(TensorInfo("blk.0.a.weight", (64, 32), 8, 0, 0), TENSOR_TYPES[8], 0, blocks.size)
    scan.feed(blocks.ravel())
    assert [found.check for found in scan.findings()] == ["N-HUGE"]


def test_quantized_blocks_whose_scales_are_all_zero_make_a_zero_tensor():
    blocks = np.random.default_rng(5).integers(0, 256, (32, 144), np.uint8)
    blocks[:, :4] = 0
    info = TensorInfo("blk.0.a.weight", (256, 32), 12, 0, 0)
    scan = TensorScan(info, TENSOR_TYPES[12], 0, blocks.size)
    scan.feed(blocks.ravel())
    assert [found.check for found in scan.findings()] == ["N-ZERO"]
