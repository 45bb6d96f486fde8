"""One pass over files and streams: same bytes, same judgement, however they arrive."""

import hashlib
import io
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.gguf.judging import errors, inspect, warnings
from tests.unit.gguf.writer import U32, File, tiny_llama
from tidegate.gguf import Inspection, inspect_file, inspect_stream

TINY = tiny_llama()
SOUND = TINY.encode()
NAME = "blk.0.ffn_down.weight"


@cache
def _large() -> bytes:
    """Several pieces long, with a NaN far behind and a tensor that crosses the borders of pieces."""
    values = np.random.default_rng(1).normal(0, 0.05, 64 * 32).astype("<f4")
    wide = TINY.with_pair("llama.feed_forward_length", U32, 4096)
    data = np.tile(values, 64).astype("<f4")
    for name, dims in (("ffn_gate", (32, 4096)), ("ffn_up", (32, 4096)), ("ffn_down", (4096, 32))):
        for block in range(2):
            wide = wide.with_tensor(f"blk.{block}.{name}.weight", dims=dims, kind=0, data=data.tobytes())
    raw = bytearray(wide.encode())
    raw[-100_000:-99_996] = b"\x00\x00\xc0\x7f"
    return bytes(raw)


def _chunked(raw: bytes, sizes: list[int]) -> Callable[[int], bytes]:
    """A source that brings as much as it likes, but no more than was asked for."""
    stream, turn = io.BytesIO(raw), iter(range(10**9))
    least = len(raw) // 300
    return lambda count: stream.read(min(count, max(least, sizes[next(turn) % len(sizes)])))


def _same(one: Inspection, other: Inspection) -> bool:
    return replace(one, header=None) == replace(other, header=None) and one.header == other.header


def _mangled(choice: int, place: int, value: int) -> bytes:
    raw = bytearray(_large() if choice == 0 else SOUND)
    if choice == 1:
        raw[place % len(raw)] = value
    if choice == 2:
        del raw[place % len(raw) :]
    if choice == 3:
        raw += bytes([value]) * (place % 3000)
    return bytes(raw)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 3),
    st.integers(0, 2**20),
    st.integers(0, 255),
    st.lists(st.integers(1, 700_000), min_size=1, max_size=5),
    st.booleans(),
)
def test_a_stream_is_judged_exactly_like_the_file_with_its_bytes(
    choice: int, place: int, value: int, sizes: list[int], is_announced: bool
):
    raw = _mangled(choice, place, value)
    streamed = inspect_stream(_chunked(raw, sizes), len(raw) if is_announced else None)
    assert _same(streamed, inspect(raw))


def test_the_digest_is_that_of_all_bytes():
    for raw in (b"", b"GGUF", SOUND, _large()):
        assert inspect(raw).digest == hashlib.sha256(raw).hexdigest()
        assert inspect(raw).size_bytes == len(raw)


def test_a_flaw_in_a_later_piece_is_found_at_its_byte():
    found = [one for one in inspect(_large()).findings if one.check == "N-NAN"]
    assert [one.offset for one in found] == [len(_large()) - 100_000]


def test_a_pipe_needs_no_size_and_no_seeking():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb") as end:
        end.write(SOUND[:50_000])
        end.close()
        assert inspect_stream(pipe.read).size_bytes == min(50_000, len(SOUND))


@pytest.mark.parametrize("announced", [len(SOUND) - 1, len(SOUND) + 1, 0])
def test_a_source_of_another_length_than_announced_is_refused(announced: int):
    found = inspect_stream(io.BytesIO(SOUND).read, announced)
    assert found.findings[0].check == "I-LENGTH"


def test_a_source_that_goes_on_is_not_read_far_beyond_its_announced_end():
    endless = io.BytesIO(SOUND + bytes(10**7))
    inspect_stream(endless.read, len(SOUND))
    assert endless.tell() == len(SOUND) + 1


def test_progress_says_how_far_it_came_and_may_end_the_inspection():
    seen: list[tuple[int, int]] = []
    inspect_stream(io.BytesIO(_large()).read, len(_large()), lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(_large()), len(_large()))

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        inspect_stream(io.BytesIO(_large()).read, progress=stop)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(SOUND)

    def grow(done: int, total: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with path.open("rb") as file:
        assert inspect_file(file.fileno(), grow).findings[0].check == "I-CHANGED"


def test_only_regular_files_are_inspected():
    reading, writing = os.pipe()
    try:
        assert [one.check for one in inspect_file(reading).findings] == ["F-KIND"]
    finally:
        os.close(reading)
        os.close(writing)


def _data_of(file: File, name: str) -> int:
    """Where the data of a tensor begins in the file."""
    header = inspect(file).header
    assert header is not None
    return header.data_start + next(tensor.offset for tensor in header.tensors if tensor.name == name)


def test_the_last_tensor_may_lack_its_padding():
    odd = replace(TINY, alignment=4096).with_pair("general.alignment", U32, 4096)
    raw = odd.encode()
    end = _data_of(odd, "output_norm.weight") + 32 * 4
    assert end < len(raw)
    assert inspect(raw[:end]).findings == inspect(raw).findings == ()
    assert errors(raw[: end - 1]) == {"L-BOUNDS"}


def test_bytes_behind_the_last_tensor_are_told_or_refused():
    assert warnings(SOUND + bytes(64)) == {"L-TRAIL"}
    assert errors(SOUND + b"hidden") == {"L-TRAIL"}


def test_padding_that_is_not_zero_is_told():
    odd = replace(TINY, alignment=4096).with_pair("general.alignment", U32, 4096)
    raw = bytearray(odd.encode())
    place = _data_of(odd, "blk.0.attn_norm.weight") + 128
    assert inspect(bytes(raw)).findings == ()
    raw[place] = 7
    found = inspect(bytes(raw)).findings
    assert [(one.check, one.offset) for one in found] == [("L-PAD", place)]


def test_memory_does_not_grow_with_the_file():
    with tempfile.TemporaryFile() as file:
        file.write(_large())
        file.truncate(len(_large()) + 64 * 1024**2)
        file.seek(0)
        tracemalloc.start()
        try:
            inspect_file(file.fileno())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 12 * 1024**2
