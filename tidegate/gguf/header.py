"""What a GGUF header says, as immutable values. Reading it is `reader.py`; judging it is elsewhere.

numpy is loaded by who asks for the items of an array: the process that only reports has no use for it.
"""

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import prod
from typing import TYPE_CHECKING, Any

from tidegate.gguf.limits import LIMITS
from tidegate.gguf.tensor_types import TENSOR_TYPES, TensorType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Places = NDArray[np.uint32]

DEFAULT_ALIGNMENT = 32


class ValueType(IntEnum):
    """Metadata value types with the numbers they have in files."""

    U8 = 0
    I8 = 1
    U16 = 2
    I16 = 3
    U32 = 4
    I32 = 5
    F32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    U64 = 10
    I64 = 11
    F64 = 12


FIXED_FORMATS: dict[ValueType, str] = {
    ValueType.U8: "B", ValueType.I8: "b", ValueType.U16: "H", ValueType.I16: "h", ValueType.U32: "I",
    ValueType.I32: "i", ValueType.F32: "f", ValueType.BOOL: "B", ValueType.U64: "Q", ValueType.I64: "q",
    ValueType.F64: "d",
}  # fmt: skip
FIXED_SIZES: dict[ValueType, int] = {
    kind: struct.calcsize("<" + code) for kind, code in FIXED_FORMATS.items()
}


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """An array as a place in the bytes of the header; items are made when someone wants them."""

    item_type: ValueType
    count: int
    offset: int
    """Byte of the first item."""
    end: int
    source: bytes | bytearray = field(repr=False, compare=False)
    order: str = "<"
    starts: "array[int]" = field(default_factory=lambda: array("I"), repr=False, compare=False)
    """Where the strings begin, for an array of them."""
    length_bytes: int = 8
    """Size of the length before each string: 4 in version 1."""

    @property
    def raw(self) -> bytes:
        """The encoded items, as a copy."""
        return bytes(memoryview(self.source)[self.offset : self.end])

    @property
    def view(self) -> memoryview:
        """The encoded items, seen in place."""
        return memoryview(self.source)[self.offset : self.end]

    def numeric(self) -> "NDArray[Any]":
        """Items of a numeric array, seen in place; empty for strings."""
        import numpy as np

        if self.item_type is ValueType.STRING:
            return np.empty(0, dtype=np.uint8)
        form = np.dtype(self.order + FIXED_FORMATS[self.item_type])
        return np.frombuffer(self.source, dtype=form, count=self.count, offset=self.offset)

    def numbers(self, most: int | None = None) -> tuple[int | float, ...]:
        """Items of a numeric array as Python numbers, the first `most` of them; empty for strings."""
        return tuple(self.numeric()[:most].tolist())

    @property
    def spans(self) -> "tuple[Places, Places]":
        """Where each string begins and ends in the source."""
        import numpy as np

        starts = np.frombuffer(self.starts, dtype=np.uint32)
        ends = np.append(starts[1:] - np.uint32(self.length_bytes), np.uint32(self.end))
        return starts, ends[: len(starts)]

    @property
    def lengths(self) -> "Places":
        starts, ends = self.spans
        return ends - starts

    def string(self, number: int) -> bytes:
        """One item of a string array."""
        is_last = number == self.count - 1
        end = self.end if is_last else self.starts[number + 1] - self.length_bytes
        return bytes(self.source[self.starts[number] : end])

    def strings(self, first: int = 0, stop: int | None = None) -> list[bytes]:
        """Items of a string array as raw bytes, all or those from `first` to before `stop`; empty for numbers."""
        starts, ends = self.spans
        source = self.source if isinstance(self.source, bytes) else memoryview(self.source)
        pairs = zip(starts[first:stop].tolist(), ends[first:stop].tolist(), strict=True)
        if isinstance(source, bytes):
            return [source[begin:end] for begin, end in pairs]
        return [bytes(source[begin:end]) for begin, end in pairs]


Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Value:
    """One metadata value with the place where it stands."""

    type: ValueType
    content: Scalar | ArrayValue
    offset: int
    is_utf8: bool = True


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as the header describes it; `offset` counts from the start of the data."""

    name: str
    dims: tuple[int, ...]
    type_id: int
    offset: int
    info_offset: int

    @property
    def type(self) -> TensorType | None:
        return TENSOR_TYPES.get(self.type_id)

    @property
    def items(self) -> int:
        return prod(self.dims)

    @property
    def n_bytes(self) -> int | None:
        """Exact size, or None when the type is unknown or rows are no whole blocks."""
        kind = self.type
        if kind is None or not self.dims or self.dims[0] % kind.block_items:
            return None
        return self.items // kind.block_items * kind.block_bytes


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the tensor data."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    header_bytes: int
    file_bytes: int
    is_big_endian: bool = False

    @property
    def data_start(self) -> int:
        return padded(self.header_bytes, self.alignment)

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or ""

    def text(self, key: str) -> str | None:
        """A string value, or None when the key is absent or has another type."""
        value = self.metadata.get(key)
        return value.content if value and isinstance(value.content, str) else None

    def integer(self, key: str) -> int | None:
        """An integer value of any width, or None."""
        value = self.metadata.get(key)
        if value is None or isinstance(value.content, bool) or not isinstance(value.content, int):
            return None
        return value.content

    def real(self, key: str) -> float | None:
        value = self.metadata.get(key)
        return value.content if value and isinstance(value.content, float) else None

    def array(self, key: str) -> ArrayValue | None:
        value = self.metadata.get(key)
        return value.content if value and isinstance(value.content, ArrayValue) else None

    def of_model(self, suffix: str) -> int | None:
        """Integer under the architecture's own prefix, such as `llama.block_count`."""
        return self.integer(f"{self.architecture}.{suffix}")

    def per_block(self, suffix: str, default: int | None = None) -> tuple[int, ...] | None:
        """A value that may be one number or one per block, as one number per block."""
        blocks = self.of_model("block_count") or 0
        if not 0 <= blocks <= LIMITS.max_blocks:
            return None
        values = self.array(f"{self.architecture}.{suffix}")
        if values is not None:
            if values.count != blocks:
                return None
            numbers = tuple(int(number) for number in values.numbers() if isinstance(number, int))
            return numbers if len(numbers) == blocks else None
        single = self.of_model(suffix)
        chosen = default if single is None else single
        return None if chosen is None else (chosen,) * blocks


def padded(size: int, alignment: int) -> int:
    """The next multiple of the alignment. Python integers do not wrap."""
    return -(-size // alignment) * alignment
