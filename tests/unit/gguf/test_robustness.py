"""No bytes harm the reader: it never raises, says little, reads little, and its memory follows what it read."""

import io
import struct
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpus.models import BASES, T, llama
from tests.corpus.writer import ARRAY, F32, I32, STRING, U8, U32, File, Pair, Tensor
from tidegate.gguf import LIMITS, Reading, has_errors, inspect_header, read_header

VERSIONS = ((3, "<"), (2, "<"), (1, "<"), (3, ">"), (2, ">"), (1, ">"))
NAMES = ("llama", "qwen2", "gemma3", "mixtral", "deepseek2")
SEEDS = tuple(
    replace(BASES[name](), version=version, order=order).encode() for name in NAMES for version, order in VERSIONS
)  # fmt: skip
MOST_FINDINGS = 6 * LIMITS.max_findings
RELAXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _judge(raw: bytes) -> Reading:
    reading = read_header(raw)
    assert len(inspect_header(reading)) < MOST_FINDINGS
    for found in inspect_header(reading):
        assert found.message.isascii()
        assert len(found.message) < 2000
        assert found.offset is None or 0 <= found.offset <= len(raw)
    return reading


@RELAXED
@given(
    st.binary(max_size=600),
    st.sampled_from([b"", b"GGUF", b"GGUF\3\0\0\0", b"GGUF\1\0\0\0", b"GGUF\0\0\0\3"]),
)
def test_any_bytes_give_a_verdict(tail: bytes, head: bytes):
    reading = _judge(head + tail)
    assert reading.header is not None or has_errors(reading.findings)


@RELAXED
@given(st.sampled_from(SEEDS), st.data())
def test_any_mutation_of_a_sound_file_gives_a_verdict(seed: bytes, data: st.DataObject):
    raw = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, min(len(raw), 14_000) - 1))
        change = data.draw(st.sampled_from(["flip", "huge", "zero", "one", "insert", "delete"]))
        if change == "flip":
            raw[place] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "insert":
            raw[place:place] = data.draw(st.binary(min_size=1, max_size=24))
        elif change == "delete":
            del raw[place : place + data.draw(st.integers(1, 24))]
        else:
            raw[place : place + 8] = {"huge": b"\xff" * 8, "zero": bytes(8), "one": struct.pack("<Q", 1)}[
                change
            ]
    _judge(bytes(raw))


@RELAXED
@given(st.sampled_from(SEEDS), st.data())
def test_any_truncation_is_refused(seed: bytes, data: st.DataObject):
    size = data.draw(st.integers(0, len(seed) - 1))
    reading = read_header(seed[:size])
    assert has_errors(inspect_header(reading))


@RELAXED
@given(st.sampled_from(SEEDS), st.sampled_from(SEEDS), st.data())
def test_any_splice_of_two_files_gives_a_verdict(first: bytes, second: bytes, data: st.DataObject):
    end, begin = data.draw(st.integers(0, 14_000)), data.draw(st.integers(0, 14_000))
    _judge(first[:end] + second[begin:])


@pytest.mark.parametrize(("version", "order"), VERSIONS)
def test_every_version_and_order_is_read_alike(version: int, order: str):
    plain = read_header(llama().encode()).header
    other = read_header(replace(llama(), version=version, order=order).encode()).header
    assert plain is not None
    assert other is not None
    assert (other.version, other.is_big_endian) == (version, order == ">")
    for key, value in plain.metadata.items():
        got = other.metadata[key].content
        if key in (T + "tokens", T + "scores", T + "token_type"):
            mine, theirs = plain.array(key), other.array(key)
            assert mine is not None
            assert theirs is not None
            assert (theirs.strings(), theirs.numbers()) == (mine.strings(), mine.numbers())
        else:
            assert got == value.content
    assert [(t.name, t.dims, t.type_id, t.offset) for t in other.tensors] == [
        (t.name, t.dims, t.type_id, t.offset) for t in plain.tensors
    ]


@pytest.mark.parametrize(("version", "order"), VERSIONS[2:])
def test_a_sound_file_that_no_engine_loads_is_not_called_damaged(version: int, order: str):
    reading = read_header(replace(llama(), version=version, order=order).encode())
    due = ({"H-VERSION"} if version == 1 else set()) | ({"H-ENDIAN"} if order == ">" else set())
    assert {found.check for found in inspect_header(reading)} == due
    assert all("onvert" in found.remedy for found in reading.findings)


class _Counted(io.BytesIO):
    """A file that counts what is read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


def _packed(item: int, count: int, raw: bytes) -> bytes:
    return struct.pack("<IQ", item, count) + raw


# Files that ask for as much as they may; each a few megabytes, so that what they cost shows their growth.
HUNGRY: dict[str, Callable[[], File]] = {
    "keys": lambda: llama().add(*(Pair(f"k{n}", U32, n) for n in range(6_000))),
    "bad-keys": lambda: llama().add(*(Pair(f"K {n}", STRING, b"\xff\0") for n in range(6_000))),
    "long-keys": lambda: llama().add(*(Pair("\U0001f30a" * 16_000 + str(n), U32, n) for n in range(60))),
    "tensors": lambda: llama().put(*(Tensor(f"a{n}", (1,), 0, b"") for n in range(6_000))),
    "equal-tensors": lambda: llama().put(*(Tensor("\u202ea", (1,), 99, b"") for _ in range(6_000))),
    "bytes": lambda: llama().raw("a", ARRAY, _packed(U8, 1_000_000, bytes(1_000_000))),
    "floats": lambda: llama().raw("a", ARRAY, _packed(F32, 250_000, b"\0\0\x80\x7f" * 250_000)),
    "types": lambda: llama().raw(T + "token_type", ARRAY, _packed(I32, 250_000, b"\xff" * 1_000_000)),
    "tokens": lambda: llama().raw(
        T + "tokens", ARRAY, _packed(STRING, 40_000, b"".join(struct.pack("<QI", 4, n) for n in range(40_000)))),
    "equal-tokens": lambda: llama().raw(
        T + "tokens", ARRAY, _packed(STRING, 40_000, (struct.pack("<Q", 8) + b"a" * 8) * 40_000)),
    "empty-tokens": lambda: llama().raw(T + "tokens", ARRAY, _packed(STRING, 60_000, bytes(8) * 60_000)),
    "merges": lambda: BASES["qwen2"]().raw(
        T + "merges", ARRAY, _packed(STRING, 40_000, (struct.pack("<Q", 12) + b" " * 12) * 40_000)),
    "long-text": lambda: llama().add(Pair("a", STRING, "a" * 4_000_000 + "\U0001f30a")),
    "templates": lambda: llama().add(
        *(Pair(f"tokenizer.chat_template.{n}", STRING, "{{ messages }}") for n in range(2000))),
}  # fmt: skip
FIXED_BYTES = 6 * 1024**2


@pytest.mark.parametrize("name", HUNGRY)
def test_memory_follows_the_bytes_that_were_read(name: str):
    raw = HUNGRY[name]().encode()
    # What is imported or compiled at the first use is not the file's.
    inspect_header(read_header(raw))
    tracemalloc.start()
    try:
        reading = read_header(raw)
        found = inspect_header(reading)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) < MOST_FINDINGS
    # Small objects cost more than their bytes in a file: a key of five bytes is a string, a value and a place.
    assert peak < FIXED_BYTES + 12 * len(raw)


@pytest.mark.parametrize("name", ["keys", "bad-keys", "tensors", "equal-tensors", "templates"])
def test_work_grows_in_step_with_the_number_of_things(name: str):
    full = HUNGRY[name]()
    half = replace(
        full, pairs=full.pairs[: len(full.pairs) // 2] if len(full.pairs) > 1000 else full.pairs,
        tensors=full.tensors[: len(full.tensors) // 2] if len(full.tensors) > 1000 else full.tensors,
    )  # fmt: skip
    assert _calls(full.encode()) < 2.5 * _calls(half.encode()) + 20_000


def _calls(raw: bytes) -> int:
    """How many functions were called to judge these bytes; unlike time it does not depend on the machine."""
    count = 0

    def counting(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counting)
    try:
        inspect_header(read_header(raw))
    finally:
        sys.setprofile(None)
    return count


def test_no_more_is_read_than_a_header_may_have():
    endless = llama().raw("a", STRING, struct.pack("<Q", 2**40) + bytes(1000))
    stream = _Counted(endless.head()[0] + bytes(LIMITS.max_header_bytes // 8))
    assert has_errors(read_header(stream).findings)
    assert stream.taken <= 2 * 1024**2


def test_only_the_beginning_of_a_long_text_is_kept():
    raw = llama().add(Pair("general.book", STRING, "word " * 500_000)).encode()
    header = read_header(raw).header
    assert header is not None
    assert len(header.text("general.book") or "") == LIMITS.max_kept_text_bytes


def test_texts_together_may_not_fill_memory():
    many = llama().add(*(Pair(f"general.book{n}", STRING, "w" * 900_000) for n in range(12)))
    assert {found.check for found in read_header(many.encode()).findings} == {"H-HUGE"}


@given(st.lists(st.binary(max_size=24), min_size=2, max_size=12), st.integers(0, 11), st.integers(0, 11))
def test_equal_tokens_are_found_and_different_ones_are_not_called_equal(
    texts: list[bytes], first: int, second: int
):
    first, second = first % len(texts), second % len(texts)
    if first != second:
        texts[first] = texts[second]
    raw = llama().set(T + "tokens", ARRAY, texts).encode()
    is_repeated = any(text and texts.count(text) > 1 for text in texts)
    assert ("V-DUP" in {found.check for found in inspect_header(read_header(raw))}) == is_repeated


def test_an_absurd_number_of_tokens_is_refused_before_they_are_looked_at():
    count = LIMITS.max_vocabulary + 1
    file = llama().raw(T + "tokens", ARRAY, _packed(STRING, count, bytes(8) * count))
    checks = {found.check for found in inspect_header(read_header(file.encode()))}
    assert "V-HUGE" in checks
    assert "V-EMPTY" not in checks
