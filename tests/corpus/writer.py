"""Writes GGUF files of every version and byte order, sound or wrong in any place. Pure Python, no GGUF library."""

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMS = {
    U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q", I64: "q", F64: "d",
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A tensor type: id, geometry of a block, and where half-precision scales stand in it."""

    id: int
    name: str
    items: int
    bytes: int
    halves: tuple[int, ...] = ()


_KINDS = (
    Kind(0, "F32", 1, 4), Kind(1, "F16", 1, 2), Kind(2, "Q4_0", 32, 18, (0,)), Kind(3, "Q4_1", 32, 20, (0, 2)),
    Kind(6, "Q5_0", 32, 22, (0,)), Kind(7, "Q5_1", 32, 24, (0, 2)), Kind(8, "Q8_0", 32, 34, (0,)),
    Kind(10, "Q2_K", 256, 84, (80, 82)), Kind(11, "Q3_K", 256, 110, (108,)), Kind(12, "Q4_K", 256, 144, (0, 2)),
    Kind(13, "Q5_K", 256, 176, (0, 2)), Kind(14, "Q6_K", 256, 210, (208,)), Kind(16, "IQ2_XXS", 256, 66, (0,)),
    Kind(17, "IQ2_XS", 256, 74, (0,)), Kind(18, "IQ3_XXS", 256, 98, (0,)), Kind(19, "IQ1_S", 256, 50, (0,)),
    Kind(20, "IQ4_NL", 32, 18, (0,)), Kind(21, "IQ3_S", 256, 110, (0,)), Kind(22, "IQ2_S", 256, 82, (0,)),
    Kind(23, "IQ4_XS", 256, 136, (0,)), Kind(24, "I8", 1, 1), Kind(25, "I16", 1, 2), Kind(26, "I32", 1, 4),
    Kind(27, "I64", 1, 8), Kind(28, "F64", 1, 8), Kind(29, "IQ1_M", 256, 56), Kind(30, "BF16", 1, 2),
    Kind(34, "TQ1_0", 256, 54, (52,)), Kind(35, "TQ2_0", 256, 66, (64,)), Kind(39, "MXFP4", 32, 17),
    Kind(40, "NVFP4", 64, 36), Kind(41, "Q1_0", 128, 18, (0,)), Kind(42, "Q2_0", 64, 18, (0,)),
)  # fmt: skip
KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}


@dataclass(frozen=True)
class Pair:
    """One metadata entry; `raw` replaces the encoded value, for values that cannot be written rightly."""

    key: str | bytes
    kind: int
    value: Any = None
    item: int = STRING
    raw: bytes | None = None


@dataclass(frozen=True)
class Tensor:
    """One tensor with its bytes; `offset` overrides the right place."""

    name: str | bytes
    dims: tuple[int, ...]
    kind: int
    data: bytes
    offset: int | None = None


@dataclass(frozen=True)
class Marks:
    """Where things begin in an encoded file."""

    pairs: dict[str, int] = field(default_factory=dict)
    """Key to the byte of its length."""
    values: dict[str, int] = field(default_factory=dict)
    """Key to the byte behind the type of its value."""
    infos: dict[str, int] = field(default_factory=dict)
    data: dict[str, int] = field(default_factory=dict)
    header_end: int = 0
    data_start: int = 0
    data_end: int = 0


@dataclass(frozen=True)
class File:
    """A whole file. Every method gives a changed copy; nothing is checked, so that anything can be written."""

    pairs: tuple[Pair, ...]
    tensors: tuple[Tensor, ...]
    version: int = 3
    order: str = "<"
    alignment: int = 32
    n_tensors: int | None = None
    n_pairs: int | None = None
    tail: bytes = b""
    pad_last: bool = True

    def set(self, key: str, kind: int, value: Any, item: int = STRING) -> "File":
        """With this pair in place of the one of the same key, or added."""
        new = Pair(key, kind, value, item)
        if any(pair.key == key for pair in self.pairs):
            return replace(self, pairs=tuple(new if pair.key == key else pair for pair in self.pairs))
        return replace(self, pairs=(*self.pairs, new))

    def raw(self, key: str, kind: int, raw: bytes) -> "File":
        """With the encoded value of this key replaced or added."""
        kept = tuple(pair for pair in self.pairs if pair.key != key)
        return replace(self, pairs=(*kept, Pair(key, kind, raw=raw)))

    def add(self, *pairs: Pair) -> "File":
        return replace(self, pairs=(*self.pairs, *pairs))

    def without(self, *keys: str) -> "File":
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.key not in keys))

    def get(self, key: str) -> Any:
        return next(pair.value for pair in self.pairs if pair.key == key)

    def tensor(self, name: str) -> Tensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def change(self, at: str, /, **changes: Any) -> "File":
        """With one tensor changed."""
        assert any(tensor.name == at for tensor in self.tensors), at
        return replace(
            self, tensors=tuple(replace(row, **changes) if row.name == at else row for row in self.tensors)
        )

    def drop(self, *names: str) -> "File":
        return replace(self, tensors=tuple(tensor for tensor in self.tensors if tensor.name not in names))

    def put(self, *tensors: Tensor) -> "File":
        return replace(self, tensors=(*self.tensors, *tensors))

    def aligned(self, alignment: int) -> "File":
        return replace(self.set("general.alignment", U32, alignment), alignment=alignment)

    def poke(self, place: int | Callable[[Marks], int], content: bytes) -> bytes:
        """The encoded file with some bytes overwritten."""
        raw = bytearray(self.encode())
        at = place if isinstance(place, int) else place(self.marks())
        raw[at : at + len(content)] = content
        return bytes(raw)

    def head(self) -> tuple[bytes, Marks]:
        """Header without padding, and where its parts begin."""
        marks = Marks()
        out = bytearray(b"GGUF" + self._int(U32, self.version))
        count = U32 if self.version == 1 else U64
        out += self._int(count, len(self.tensors) if self.n_tensors is None else self.n_tensors)
        out += self._int(count, len(self.pairs) if self.n_pairs is None else self.n_pairs)
        for pair in self.pairs:
            name = pair.key if isinstance(pair.key, str) else pair.key.decode("latin-1")
            marks.pairs[name] = len(out)
            out += self.text(pair.key) + self._int(U32, pair.kind)
            marks.values[name] = len(out)
            out += self._value(pair) if pair.raw is None else pair.raw
        place = 0
        for tensor in self.tensors:
            name = tensor.name if isinstance(tensor.name, str) else tensor.name.decode("latin-1")
            marks.infos[name] = len(out)
            out += self.text(tensor.name) + self._int(U32, len(tensor.dims))
            out += b"".join(self._int(count, size) for size in tensor.dims)
            out += self._int(U32, tensor.kind) + self._int(
                U64, place if tensor.offset is None else tensor.offset
            )
            marks.data[name] = place
            place += pad(len(tensor.data), self.alignment)
        start = pad(len(out), self.alignment)
        ends = [start + marks.data[name] for name in marks.data]
        last = len(self.tensors[-1].data) if self.tensors else 0
        end = (ends[-1] + last) if ends else len(out)
        data = {name: start + at for name, at in marks.data.items()}
        return bytes(out), replace(marks, data=data, header_end=len(out), data_start=start, data_end=end)

    def marks(self) -> Marks:
        return self.head()[1]

    def encode(self) -> bytes:
        head = self.head()[0]
        parts = [head.ljust(pad(len(head), self.alignment), b"\0") if self.tensors else head]
        for number, tensor in enumerate(self.tensors):
            is_last = number == len(self.tensors) - 1
            size = (
                len(tensor.data) if is_last and not self.pad_last else pad(len(tensor.data), self.alignment)
            )
            parts.append(tensor.data.ljust(size, b"\0"))
        return b"".join(parts) + self.tail

    def text(self, value: str | bytes) -> bytes:
        raw = value if isinstance(value, bytes) else value.encode("utf-8")
        return self._int(U32 if self.version == 1 else U64, len(raw)) + raw

    def array(self, item: int, items: Sequence[Any]) -> bytes:
        head = self._int(U32, item) + self._int(U32 if self.version == 1 else U64, len(items))
        if item == STRING:
            return head + b"".join(self.text(one) for one in items)
        return head + struct.pack(f"{self.order}{len(items)}{FORMS[item]}", *items)

    def _value(self, pair: Pair) -> bytes:
        if pair.kind == STRING:
            return self.text(pair.value)
        if pair.kind == ARRAY:
            return self.array(pair.item, pair.value)
        return struct.pack(self.order + FORMS[pair.kind], pair.value)

    def _int(self, kind: int, value: int) -> bytes:
        return struct.pack(self.order + FORMS[kind], value % 2 ** (8 * struct.calcsize(FORMS[kind])))


def pad(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


# Half-precision numbers of moderate size: the high byte keeps its sign and gets a small exponent.
_TAME = bytes((number & 0x80) | 0x20 | (number & 0x0B) for number in range(256))
_TAME_SINGLE = bytes((number & 0x80) | 0x3C for number in range(256))


class Weights:
    """Reproducible weights of any type, with numbers that a trained model could have."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)

    def __call__(self, name: str, *dims: int, kind: str = "F16") -> Tensor:
        """A tensor of random weights; norms are ones."""
        shape = KINDS[kind]
        count = prod(dims) // shape.items
        if name.endswith("norm.weight") and kind == "F32":
            return Tensor(name, dims, shape.id, struct.pack("<f", 1.0) * count)
        return Tensor(name, dims, shape.id, self.data(kind, count))

    def data(self, kind: str, blocks: int) -> bytes:
        shape = KINDS[kind]
        raw = bytearray(self.random.randbytes(blocks * shape.bytes))
        if kind == "F16":
            raw[1::2] = raw[1::2].translate(_TAME)
        elif kind in ("BF16", "F32", "F64"):
            raw[shape.bytes - 1 :: shape.bytes] = raw[shape.bytes - 1 :: shape.bytes].translate(_TAME_SINGLE)
        elif kind == "MXFP4":
            raw[0 :: shape.bytes] = bytes([118]) * blocks
        elif kind == "NVFP4":
            for at in range(4):
                raw[at :: shape.bytes] = bytes([0x20]) * blocks
        elif kind == "IQ1_M":
            # The scale is spread over the top nibbles of four words: 0x2000 in all.
            for at, nibble in ((49, 0), (51, 0), (53, 0), (55, 0x20)):
                raw[at :: shape.bytes] = bytes((byte & 0x0F) | nibble for byte in raw[at :: shape.bytes])
        for at in shape.halves:
            raw[at + 1 :: shape.bytes] = raw[at + 1 :: shape.bytes].translate(_TAME)
        return bytes(raw)
