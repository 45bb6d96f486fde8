"""Safetensors files: sound ones pass without a finding, each kind of damage is refused by its own rule."""

import hashlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.safetensors.writer import (
    checks,
    encode,
    entries,
    errors,
    floats,
    inspect_bytes,
    small_model,
    sound,
)
from tidegate.gguf import Severity
from tidegate.safetensors import ArtifactKind
from tidegate.safetensors.rules import RULES

TABLE, DATA = entries(small_model())
FIRST = "model.embed_tokens.weight"


def _changed(**entry: Any) -> bytes:
    return encode({**TABLE, FIRST: {**TABLE[FIRST], **entry}}, DATA)


def _moved(by: int) -> dict[str, Any]:
    """The last tensor further behind, or into the one before it."""
    last = list(TABLE)[-1]
    begin, end = TABLE[last]["data_offsets"]
    return {**TABLE, last: {**TABLE[last], "data_offsets": [begin + by, end + by]}}


HEADER = json.dumps(TABLE)
DAMAGED: dict[str, tuple[bytes, str]] = {
    "three bytes": (b"\1\0\0", "ST-TRUNC"),
    "header longer than the file": (encode(TABLE, DATA, length=2**20), "ST-TRUNC"),
    "header length near 2^64": (encode(TABLE, DATA, length=2**64 - 1), "ST-TRUNC"),
    "header of no bytes": (encode("", DATA), "ST-LENGTH"),
    "cut in the header": (sound()[:40], "ST-TRUNC"),
    "cut in the data": (sound()[:-1], "ST-BOUNDS"),
    "appended": (sound() + b"x", "ST-TRAIL"),
    "appended zip": (sound() + b"PK\x03\x04" + bytes(60), "ST-TRAIL"),
    "no tensors": (encode({}, b""), "ST-NOTENSORS"),
    "only metadata": (encode({"__metadata__": {"a": "b"}}, b""), "ST-NOTENSORS"),
    "an array": (encode("[1,2,3]   ", DATA), "ST-JSON"),
    "a space first": (encode(" " + HEADER, DATA), "ST-JSON"),
    "text behind the object": (encode(HEADER + "{}", DATA), "ST-JSON"),
    "no utf-8": (encode(HEADER.encode().replace(b"norm", b"no\xffm"), DATA), "ST-JSON"),
    "NaN": (encode(HEADER.replace("[32, 8]", "[NaN, 8]"), DATA), "ST-JSON"),
    "a name twice": (encode(HEADER[:-1] + f", {json.dumps(FIRST)}: {json.dumps(TABLE[FIRST])}" + "}", DATA), "ST-DUP"),
    "a field twice": (encode(HEADER.replace('"dtype": "F32",', '"dtype": "F32", "dtype": "F32",', 1), DATA), "ST-DUP"),
    "nested without end": (encode('{"a":' * 50_000, DATA), "ST-LIMIT"),
    "a number": (encode({**TABLE, FIRST: 5}, DATA), "ST-ENTRY"),
    "a field too many": (_changed(extra=1), "ST-ENTRY"),
    "a field too few": (encode({**TABLE, FIRST: {"dtype": "F32", "shape": [32, 8]}}, DATA), "ST-ENTRY"),
    "negative size": (_changed(shape=[-32, -8]), "ST-ENTRY"),
    "size as float": (_changed(shape=[32.0, 8]), "ST-ENTRY"),
    "size as bool": (_changed(shape=[True, 256]), "ST-ENTRY"),
    "three offsets": (_changed(data_offsets=[0, 1024, 1024]), "ST-ENTRY"),
    "negative offset": (_changed(data_offsets=[-1, 1023]), "ST-ENTRY"),
    "unknown dtype": (_changed(dtype="Q4_K"), "ST-DTYPE"),
    "dtype in lower case": (_changed(dtype="f32"), "ST-DTYPE"),
    "product beyond 64 bits": (_changed(shape=[2**40, 2**40]), "ST-SHAPE"),
    "product that wraps to the right size": (_changed(shape=[2**32, 2**32 + 256]), "ST-SHAPE"),
    "nine dimensions": (_changed(shape=[1] * 7 + [32, 8]), "ST-SHAPE"),
    "shape too small": (_changed(shape=[31, 8]), "ST-BYTES"),
    "wider dtype": (_changed(dtype="F64"), "ST-BYTES"),
    "offsets backwards": (_changed(data_offsets=[1024, 0]), "ST-BYTES"),
    "half a byte": (encode({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}}, b"ab"), "ST-BYTES"),
    "hole": (encode(_moved(8), DATA + bytes(8)), "ST-GAP"),
    "overlap": (encode(_moved(-8), DATA[:-8]), "ST-OVERLAP"),
    "hole at the front": (encode({"a": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}, b"abcd"), "ST-GAP"),
    "metadata with a number": (encode({**TABLE, "__metadata__": {"format": 1}}, DATA), "ST-META"),
    "metadata as text": (encode({**TABLE, "__metadata__": "pt"}, DATA), "ST-META"),
    "name as path": (encode({"../../etc/passwd": TABLE[FIRST]}, DATA[:1024]), "ST-NAME"),
    "name with an escape": (encode({"a\x1b[2J": TABLE[FIRST]}, DATA[:1024]), "ST-NAME"),
    "empty name": (encode({"": TABLE[FIRST]}, DATA[:1024]), "ST-NAME"),
}  # fmt: skip


def test_a_sound_file_passes_without_a_finding_and_its_digest_is_that_of_its_bytes():
    seen = inspect_bytes(sound(), "model.safetensors")
    assert seen.findings == ()
    assert seen.kind is ArtifactKind.SAFETENSORS
    assert seen.numbers_were_scanned
    assert seen.digest == hashlib.sha256(sound()).hexdigest()
    assert seen.weights is not None
    assert (seen.weights.tensors, seen.weights.parameters) == (3, 32 * 8 + 8 * 8 + 8)


def test_metadata_and_spaces_behind_the_header_are_sound():
    text = json.dumps({"__metadata__": {"format": "pt"}, **TABLE}) + "   "
    assert inspect_bytes(encode(text, DATA)).findings == ()


def test_tensors_may_be_listed_in_another_order_than_they_lie():
    assert inspect_bytes(encode(dict(reversed(TABLE.items())), DATA)).findings == ()


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_refused_by_its_own_rule_and_with_a_remedy(kind: str):
    content, check = DAMAGED[kind]
    seen = inspect_bytes(content, "model.safetensors")
    assert errors(seen) == [check]
    assert seen.findings[0].remedy
    assert seen.findings[0].message.isascii()
    assert seen.digest == hashlib.sha256(content).hexdigest()
    assert not seen.numbers_were_scanned


def test_a_tensor_without_elements_is_told():
    table = {**TABLE, "empty": {"dtype": "F32", "shape": [0, 8], "data_offsets": [len(DATA), len(DATA)]}}
    assert checks(inspect_bytes(encode(table, DATA))) == ["ST-EMPTY"]


NAN, INF = float("nan"), float("inf")
BAD_NUMBERS: dict[str, tuple[str, bytes, str | None]] = {
    "F16 NaN": ("F16", np.array([1, NAN], "<f2").tobytes(), "N-NAN"),
    "F16 Inf": ("F16", np.array([1, -INF], "<f2").tobytes(), "N-INF"),
    "BF16 NaN": ("BF16", b"\x80\x3f\xc0\x7f", "N-NAN"),
    "BF16 Inf": ("BF16", b"\x80\x3f\x80\xff", "N-INF"),
    "F32 NaN": ("F32", struct.pack("<2f", 1, NAN), "N-NAN"),
    "F64 Inf": ("F64", struct.pack("<2d", 1, INF), "N-INF"),
    "C64 NaN": ("C64", struct.pack("<4f", 1, 2, 3, NAN), "N-NAN"),
    "F8_E4M3 NaN": ("F8_E4M3", b"\x38\xff", "N-NAN"),
    "F8_E4M3 largest": ("F8_E4M3", b"\x38\x7e", None),
    "F8_E5M2 Inf": ("F8_E5M2", b"\x38\xfc", "N-INF"),
    "F8_E5M2 NaN": ("F8_E5M2", b"\x38\x7d", "N-NAN"),
    "F8_E8M0 NaN": ("F8_E8M0", b"\x38\xff", "N-NAN"),
    "F8_E4M3FNUZ NaN": ("F8_E4M3FNUZ", b"\x38\x80", "N-NAN"),
    "U8": ("U8", b"\xff\xff", None),
    "I64": ("I64", bytes([255] * 16), None),
    "BOOL": ("BOOL", b"\1\0", None),
}


@pytest.mark.parametrize("kind", BAD_NUMBERS)
def test_every_dtype_is_scanned_for_numbers_that_are_none(kind: str):
    dtype, data, check = BAD_NUMBERS[kind]
    seen = inspect_bytes(encode({"a": {"dtype": dtype, "shape": [2], "data_offsets": [0, len(data)]}}, data))
    assert checks(seen) == ([] if check is None else [check])
    if check is not None:
        assert seen.findings[0].offset is not None
        assert seen.findings[0].offset > 8


def test_a_number_is_found_far_behind_the_first_piece_of_the_file_and_its_place_is_told():
    array = floats(700, 1000)
    array[699, 999] = NAN
    content = encode(*entries({"first": ("F32", floats(3)), "a.weight": ("F32", array)}))
    (found,) = inspect_bytes(content).findings
    assert found.check == "N-NAN"
    assert found.offset == len(content) - 4


def test_a_weight_of_only_zeros_is_refused():
    content = encode(*entries({"a.weight": ("F32", np.zeros((8, 8), "<f4"))}))
    assert errors(inspect_bytes(content)) == ["N-ZERO"]


@settings(max_examples=100)
@given(st.data())
def test_no_changed_byte_makes_the_reader_raise_or_flood_the_report(data: st.DataObject):
    content = bytearray(sound())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    seen = inspect_bytes(bytes(content[:cut] if data.draw(st.booleans()) else content), "m.safetensors")
    assert len(seen.findings) <= 200
    assert all(found.check in RULES for found in seen.findings)


def test_rules_have_ids_words_and_remedies():
    for check, rule in RULES.items():
        assert rule.id == check
        assert rule.explanation.endswith(".")
        assert rule.remedy.endswith(".")
        assert rule.severity in Severity
