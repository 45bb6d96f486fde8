"""Files that a structure gate must refuse: cut short, flipped, lying about sizes, or inconsistent.

Most of them make a careless reader loop, allocate without end or abort. None is committed: they are
derived from a good file at test time.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from deployments.demo import gguf_file as gguf
from deployments.demo.gguf_file import Field, GgufFile, Tensor, encode

RefusedBy = Literal["structure", "numbers", "template", "answers", "none"]
HUGE_COUNT = 2**61
NEAR_WRAP = 2**64 - 32


@dataclass(frozen=True)
class Source:
    """The good file, as bytes and parsed."""

    raw: bytes
    file: GgufFile

    @property
    def head_size(self) -> int:
        return len(gguf.head_bytes(self.file))


@dataclass(frozen=True)
class Kind:
    """One way to spoil a file. `refused_by` is the first gate that must notice; `none` passes all four."""

    name: str
    description: str
    refused_by: RefusedBy
    make: Callable[[Source], bytes]


def _cut(source: Source, size: int) -> bytes:
    return source.raw[:size]


def _patched(source: Source, place: int, form: str, value: int) -> bytes:
    raw = bytearray(source.raw)
    struct.pack_into(form, raw, place, value)
    return bytes(raw)


def _extra_field(source: Source, kind: int, value: bytes, key: str = "general.note") -> bytes:
    """One more entry at the end of the metadata, its value written as the given bytes."""
    return encode(replace(source.file, fields=(*source.file.fields, Field(key, kind, value))))


def _number(source: Source, key: str, value: float, kind: int = gguf.U32) -> bytes:
    return encode(source.file.with_field(Field(key, kind, value)))


def _first_tensor(source: Source, **changes: object) -> bytes:
    first, *rest = source.file.tensors
    return encode(replace(source.file, tensors=(replace(first, **changes), *rest)))  # pyright: ignore[reportArgumentType]


def _second_offset(source: Source, shift: int) -> bytes:
    """Move where the second tensor is said to begin, by bytes from its right place."""
    first, second, *rest = source.file.tensors
    right = len(first.data) + (-len(first.data) % gguf.ALIGNMENT)
    return encode(replace(source.file, tensors=(first, replace(second, offset=right + shift), *rest)))


def _without_tensor(source: Source, name: str) -> bytes:
    return encode(replace(source.file, tensors=tuple(one for one in source.file.tensors if one.name != name)))


def _with_tensor(source: Source, added: Tensor) -> bytes:
    return encode(replace(source.file, tensors=(*source.file.tensors, added)))


def _duplicate_key(source: Source) -> bytes:
    again = Field("general.name", gguf.STRING, "another name")
    return encode(replace(source.file, fields=(*source.file.fields, again)))


def _changed_tokens(source: Source, change: Callable[[list[str]], list[str]]) -> bytes:
    tokens = change(list(source.file.value("tokenizer.ggml.tokens")))
    return encode(source.file.with_field(Field("tokenizer.ggml.tokens", gguf.ARRAY, tokens, gguf.STRING)))


def _small_tensor(name: str) -> Tensor:
    return Tensor(name, (32,), gguf.TENSOR_F32, bytes(32 * 4))


def _nested_array(depth: int) -> bytes:
    return b"".join(struct.pack("<IQ", gguf.ARRAY, 1) for _ in range(depth)) + struct.pack(
        "<IQB", gguf.U8, 1, 7
    )


_HTML = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>Not Found</body></html>\n"
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 826000\n"


def _structure(name: str, description: str, make: Callable[[Source], bytes]) -> Kind:
    return Kind(name, description, "structure", make)


_WHOLE_FILE = (
    _structure("empty", "no bytes at all", lambda s: b""),
    _structure("html-page", "an error page saved under the model's name", lambda s: _HTML),
    _structure("lfs-pointer", "a Git LFS pointer instead of the file", lambda s: _POINTER),
    _structure("cut-in-header", "ends after 10 bytes", lambda s: _cut(s, 10)),
    _structure("cut-in-metadata", "ends in the metadata", lambda s: _cut(s, s.head_size // 2)),
    _structure("cut-in-table", "ends in the tensor table", lambda s: _cut(s, s.head_size - 20)),
    _structure("cut-in-data", "the last 40 % are missing", lambda s: _cut(s, len(s.raw) * 6 // 10)),
    _structure(
        "cut-one-byte", "the very last byte of the last tensor is missing", lambda s: _cut(s, len(s.raw) - 1)
    ),
)

_HEADER = (
    _structure(
        "magic-flipped", "first byte has one bit flipped", lambda s: bytes([s.raw[0] ^ 1]) + s.raw[1:]
    ),
    _structure("version-unknown", "claims format version 99", lambda s: _patched(s, 4, "<I", 99)),
    _structure(
        "version-big-endian", "claims version 3 in the other byte order", lambda s: _patched(s, 4, ">I", 3)
    ),
    _structure(
        "tensor-count-low",
        "claims one tensor fewer, so every tensor is read from the wrong place",
        lambda s: _patched(s, 8, "<Q", len(s.file.tensors) - 1),
    ),
    _structure(
        "tensor-count-high", "one tensor too many", lambda s: _patched(s, 8, "<Q", len(s.file.tensors) + 1)
    ),
    _structure("tensor-count-huge", "claims 2^61 tensors", lambda s: _patched(s, 8, "<Q", HUGE_COUNT)),
    _structure(
        "field-count-huge", "claims 2^61 metadata entries", lambda s: _patched(s, 16, "<Q", HUGE_COUNT)
    ),
)

_METADATA = (
    _structure("key-length-huge", "first key claims 2^61 bytes", lambda s: _patched(s, 24, "<Q", HUGE_COUNT)),
    _structure(
        "string-length-huge",
        "a string claims 2^61 bytes",
        lambda s: _extra_field(s, gguf.STRING, struct.pack("<Q", HUGE_COUNT)),
    ),
    _structure(
        "string-length-wraps",
        "a string length that wraps a 64-bit sum",
        lambda s: _extra_field(s, gguf.STRING, struct.pack("<Q", NEAR_WRAP)),
    ),
    _structure(
        "array-count-huge",
        "a byte array claims 2^61 elements: some readers never come back",
        lambda s: _extra_field(s, gguf.ARRAY, struct.pack("<IQ", gguf.U8, HUGE_COUNT)),
    ),
    _structure(
        "array-nested",
        "an array of arrays, three deep",
        lambda s: _extra_field(s, gguf.ARRAY, _nested_array(3)),
    ),
    _structure(
        "array-nested-deep",
        "arrays 5000 deep: recursion without a limit",
        lambda s: _extra_field(s, gguf.ARRAY, _nested_array(5000)),
    ),
    _structure("value-type-unknown", "an entry of type 77", lambda s: _extra_field(s, 77, b"\0\0\0\0")),
    _structure("duplicate-key", "general.name appears twice", _duplicate_key),
    _structure("alignment-odd", "general.alignment is 3", lambda s: _number(s, "general.alignment", 3)),
    _structure(
        "no-architecture",
        "general.architecture is missing",
        lambda s: encode(s.file.without_field("general.architecture")),
    ),
    _structure(
        "architecture-unknown",
        "an architecture that no engine knows",
        lambda s: encode(s.file.with_field(Field("general.architecture", gguf.STRING, "llamma"))),
    ),
    _structure(
        "field-type-wrong",
        "embedding_length as 64-bit: engines read 32",
        lambda s: _number(s, "llama.embedding_length", s.file.value("llama.embedding_length"), gguf.U64),
    ),
    _structure(
        "head-count-wrong",
        "three heads do not divide the width",
        lambda s: _number(s, "llama.attention.head_count", 3),
    ),
    _structure(
        "block-count-zero", "no blocks: aborts the engine", lambda s: _number(s, "llama.block_count", 0)
    ),
    _structure(
        "block-count-high", "one block more than there are", lambda s: _number(s, "llama.block_count", 3)
    ),
    _structure(
        "rope-base-nan",
        "rope.freq_base is not a number",
        lambda s: _number(s, "llama.rope.freq_base", float("nan"), gguf.F32),
    ),
    _structure(
        "vocabulary-short", "the last token is missing", lambda s: _changed_tokens(s, lambda t: t[:-1])
    ),
    _structure(
        "vocabulary-repeats",
        "two tokens with one text: aborts the engine",
        lambda s: _changed_tokens(s, lambda tokens: [*tokens[:-1], tokens[-2]]),
    ),
    _structure(
        "eos-out-of-range",
        "the end token is beyond the vocabulary",
        lambda s: _number(s, "tokenizer.ggml.eos_token_id", 70000),
    ),
)

_TENSORS = (
    _structure(
        "tensor-missing", "a matrix is missing", lambda s: _without_tensor(s, "blk.1.ffn_down.weight")
    ),
    _structure(
        "tensor-stray",
        "a tensor that the architecture has not",
        lambda s: _with_tensor(s, _small_tensor("stray.weight")),
    ),
    _structure(
        "tensor-duplicate", "one tensor is there twice", lambda s: _with_tensor(s, s.file.tensors[-1])
    ),
    _structure(
        "tensor-name-long", "a name of 200 letters", lambda s: _with_tensor(s, _small_tensor("x" * 200))
    ),
    _structure(
        "tensor-type-unknown", "type 4 was removed from the format", lambda s: _first_tensor(s, kind=4)
    ),
    _structure(
        "dims-wrap",
        "the product of the dimensions wraps to a small one",
        lambda s: _first_tensor(s, dims=(2**32, 2**32)),
    ),
    _structure(
        "dims-five", "five dimensions", lambda s: _first_tensor(s, dims=(*s.file.tensors[0].dims, 1, 1, 1))
    ),
    _structure(
        "shape-swapped",
        "rows and columns are exchanged",
        lambda s: _first_tensor(s, dims=s.file.tensors[0].dims[::-1]),
    ),
    _structure(
        "offset-flipped",
        "the second tensor is said to lie a row further on",
        lambda s: _second_offset(s, 256),
    ),
    _structure("offset-unaligned", "a tensor begins at an odd place", lambda s: _second_offset(s, 1)),
    _structure("offset-overlap", "two tensors share bytes", lambda s: _second_offset(s, -64)),
    _structure("offset-wraps", "an offset near 2^64", lambda s: _first_tensor(s, offset=NEAR_WRAP)),
)

DAMAGED = (*_WHOLE_FILE, *_HEADER, *_METADATA, *_TENSORS)
