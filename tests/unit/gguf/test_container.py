"""Header, metadata, tensor infos and layout."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.gguf.judging import errors, inspect, warnings
from tests.unit.gguf.writer import ARRAY, BOOL, F32, I32, STRING, U8, U32, U64, File, Pair, text, tiny_llama
from tidegate.gguf import RULES, has_errors, read_header
from tidegate.gguf.reader import parse_header

TINY = tiny_llama()
RAW = TINY.encode()


def _patched(place: int, form: str, value: int) -> bytes:
    raw = bytearray(RAW)
    struct.pack_into(form, raw, place, value)
    return bytes(raw)


def _with_value(kind: int, value: bytes) -> File:
    return replace(TINY, pairs=(*TINY.pairs, Pair("general.note", kind, value)))


def test_a_valid_file_has_no_findings():
    result = inspect(RAW)
    assert result.findings == ()
    assert result.numbers_were_scanned
    assert result.size_bytes == len(RAW)


def test_version_2_is_read_like_version_3():
    assert inspect(replace(TINY, version=2)).findings == ()


def test_a_last_tensor_without_its_padding_is_accepted():
    wide = replace(TINY.with_pair("general.alignment", U32, 256), alignment=256)
    assert inspect(wide.encode()[:-128]).findings == ()
    assert errors(wide.encode()[:-129]) == {"L-BOUNDS"}


def test_another_alignment_is_honoured():
    aligned = replace(TINY.with_pair("general.alignment", U32, 128), alignment=128)
    assert inspect(aligned).findings == ()


@pytest.mark.parametrize(
    ("raw", "check"),
    [
        (b"", "F-EMPTY"),
        (b"GG", "H-MAGIC"),
        (b"GGUF", "H-TRUNC"),
        (b"<!DOCTYPE html><html></html>", "F-FOREIGN"),
        (b"version https://git-lfs.github.com/spec/v1\n", "F-FOREIGN"),
        (b"PK\x03\x04" + bytes(100), "F-FOREIGN"),
        (bytes(4096), "F-FOREIGN"),
        (_patched(4, "<I", 1), "H-VERSION"),
        (_patched(4, "<I", 0), "H-VERSION"),
        (_patched(4, "<I", 4), "H-VERSION"),
        (_patched(4, ">I", 3), "H-ENDIAN"),
        (_patched(8, "<Q", 2**63), "H-NTENSOR"),
        (_patched(8, "<Q", 2**64 - 1), "H-NTENSOR"),
        (_patched(16, "<Q", 2**61), "H-NKV"),
        (_patched(24, "<Q", 2**64 - 1), "K-STRLEN"),
    ],
)
def test_a_broken_preamble_is_named(raw: bytes, check: str):
    assert check in errors(raw)


@pytest.mark.parametrize(
    ("file", "check"),
    [
        (_with_value(13, b""), "K-TYPE"),
        (_with_value(BOOL, b"\x02"), "K-BOOL"),
        (_with_value(STRING + 1, struct.pack("<IQ", ARRAY, 1) + bytes(12)), "K-NEST"),
        (_with_value(ARRAY, struct.pack("<IQ", U32, 2**61)), "K-ARRLEN"),
        (_with_value(ARRAY, struct.pack("<IQ", U8, 2**63)), "K-ARRLEN"),
        (_with_value(ARRAY, struct.pack("<IQ", STRING, 2**61)), "K-ARRLEN"),
        (_with_value(ARRAY, struct.pack("<IQQ", STRING, 1, 2**64 - 8)), "K-STRLEN"),
        (replace(TINY, pairs=(*TINY.pairs, Pair("general.name", STRING, "again"))), "K-DUP"),
        (replace(TINY, pairs=(*TINY.pairs, Pair("", STRING, "x"))), "K-KEYLEN"),
        (replace(TINY, pairs=(*TINY.pairs, Pair("general.n\u0430me", STRING, "x"))), "K-KEYCHAR"),
        (replace(TINY, pairs=(*TINY.pairs, Pair("../etc", STRING, "x"))), "K-KEYCHAR"),
        (TINY.with_pair("general.alignment", U32, 0), "L-ALIGN"),
        (TINY.with_pair("general.alignment", U32, 4), "L-ALIGN"),
        (TINY.with_pair("general.alignment", U32, 48), "L-ALIGN"),
        (TINY.with_pair("general.alignment", U64, 32), "L-ALIGN"),
        (TINY.with_pair("llama.rope.freq_base", F32, float("nan")), "K-NAN"),
    ],
)
def test_broken_metadata_is_named(file: File, check: str):
    assert check in errors(file)


@pytest.mark.parametrize(
    ("file", "check"),
    [
        (TINY.with_tensor("blk.0.attn_q.weight", dims=(32, 2**62)), "T-PROD"),
        (TINY.with_tensor("blk.0.attn_q.weight", dims=(32, 2**63)), "T-DIM"),
        (TINY.with_tensor("blk.0.attn_q.weight", dims=(32, 0)), "T-DIM"),
        (TINY.with_tensor("blk.0.attn_q.weight", dims=(32, 1, 1, 1, 32)), "T-NDIMS"),
        (TINY.with_tensor("blk.0.attn_q.weight", dims=()), "T-NDIMS"),
        (TINY.with_tensor("blk.0.attn_q.weight", kind=4), "T-TYPE"),
        (TINY.with_tensor("blk.0.attn_q.weight", kind=99), "T-TYPE"),
        (TINY.with_tensor("blk.0.attn_q.weight", kind=9), "T-TYPE"),
        (TINY.with_tensor("blk.0.attn_k.weight", kind=12), "T-BLOCK"),
        (TINY.with_tensor("blk.0.attn_q.weight", name="x" * 64), "T-NAME"),
        (TINY.with_tensor("blk.0.attn_q.weight", name="blk.0\n"), "T-NAME"),
        (TINY.with_tensor("blk.0.attn_q.weight", name="blk.0.attn_k.weight"), "T-DUP"),
        (TINY.with_tensor("blk.0.attn_q.weight", offset=0), "L-OVERLAP"),
        (TINY.with_tensor("blk.0.attn_q.weight", offset=7), "L-OFFALIGN"),
        (TINY.with_tensor("output_norm.weight", offset=2**40), "L-BOUNDS"),
        (TINY.with_tensor("output_norm.weight", offset=2**64 - 32), "L-BOUNDS"),
        (replace(TINY, tensor_count=len(TINY.tensors) - 1), "L-TRAIL"),
        (replace(TINY, tail=b"PK\x03\x04hidden"), "L-TRAIL"),
        (replace(TINY, tensors=()), "H-NOTENSORS"),
    ],
)
def test_broken_tensors_and_layout_are_named(file: File, check: str):
    assert check in errors(file)


def test_a_gap_between_tensors_is_an_error():
    wide = TINY.with_tensor("blk.0.attn_norm.weight", data=np.ones(64, "<f4").tobytes())
    assert "L-GAP" in errors(wide)


def test_zero_bytes_after_the_last_tensor_are_only_a_warning():
    assert errors(replace(TINY, tail=bytes(64))) == set()
    assert warnings(replace(TINY, tail=bytes(64))) == {"L-TRAIL"}


def test_padding_that_is_not_zero_is_a_warning():
    head = len(TINY.head())
    raw = bytearray(RAW)
    assert head % 32
    raw[head] = 0xFF
    assert warnings(bytes(raw)) == {"L-PAD"}


@pytest.mark.parametrize("key", ["split.count", "split.no"])
def test_a_part_of_a_split_model_is_refused_with_a_remedy(key: str):
    found = [row for row in inspect(TINY.with_pair(key, 2, 2)).findings if row.check == "P-SPLIT"]
    assert found
    assert "merge them" in found[0].remedy


def test_every_finding_says_what_why_and_what_to_do():
    for rule in RULES.values():
        assert rule.explanation.endswith(".")
        assert rule.remedy.endswith(".")


def test_findings_carry_the_byte_where_the_trouble_begins():
    found = next(row for row in inspect(TINY.with_pair("general.alignment", U32, 48)).findings)
    assert found.offset is not None
    assert found.offset < len(RAW)


def test_messages_never_carry_control_characters_of_the_file():
    hostile = TINY.with_tensor("blk.0.attn_q.weight", name="\x1b]0;owned\x07\u202e")
    for found in inspect(hostile).findings:
        assert found.message.isascii()
        assert found.message.isprintable()


def test_a_flood_of_flaws_gives_a_short_report():
    noisy = replace(TINY, pairs=(*TINY.pairs, *(Pair(f"Bad Key {n}", I32, n) for n in range(5000))))
    assert 0 < len(inspect(noisy).findings) < 50


def test_every_truncation_is_refused():
    step = 1 + len(RAW) // 997
    assert all(errors(RAW[:size]) for size in range(0, len(RAW) - 1, step))
    assert errors(RAW[:-1]) == {"L-BOUNDS"}


def test_the_header_alone_can_be_read_from_bytes_and_streams(tmp_path):
    path = tmp_path / "tiny.gguf"
    path.write_bytes(RAW)
    with path.open("rb") as stream:
        reading = read_header(stream)
    assert reading == read_header(RAW)
    assert reading.header is not None
    assert reading.header.architecture == "llama"


def test_a_header_larger_than_the_first_read_is_read_to_its_end():
    many = [f"token number {number} of a large vocabulary" for number in range(60_000)]
    large = TINY.with_pair("general.words", ARRAY, many)
    assert len(large.head()) > 2 * 1024**2
    assert inspect(large).findings == ()


def test_a_header_beyond_the_cap_is_refused_without_being_read():
    raw = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("k") + struct.pack("<IQ", STRING, 200 * 1024**2)
    reading = parse_header(raw, 300 * 1024**2)
    assert {found.check for found in reading.findings} == {"H-HUGE"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_mutation_of_the_header_crashes_the_reader(data: st.DataObject):
    raw = bytearray(RAW)
    head = len(TINY.head())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, head - 1))
        change = data.draw(st.sampled_from(["flip", "huge", "insert", "delete", "zero"]))
        if change == "flip":
            raw[place] ^= data.draw(st.integers(1, 255))
        elif change == "huge":
            raw[place : place + 8] = b"\xff" * 8
        elif change == "insert":
            raw[place:place] = data.draw(st.binary(min_size=1, max_size=16))
        elif change == "delete":
            del raw[place : place + data.draw(st.integers(1, 16))]
        else:
            raw[place : place + 8] = bytes(8)
    result = inspect(bytes(raw))
    assert len(result.findings) <= 250


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_after_the_magic_crash_the_reader(tail: bytes):
    reading = read_header(b"GGUF\x03\x00\x00\x00" + tail)
    assert reading.header is None or has_errors(reading.findings) or len(tail) >= 16
