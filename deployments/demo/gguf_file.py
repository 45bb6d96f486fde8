"""A small GGUF container: read a file that we wrote, change anything in it, write it again.

It checks nothing on purpose: `variants` uses it to write broken files. To judge a foreign file use
`tidegate.gguf`, which is bounds-safe.
"""

import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
_FORMATS = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?",
            U64: "<Q", I64: "<q", F64: "<d"}  # fmt: skip

TENSOR_F32, TENSOR_F16 = 0, 1


@dataclass(frozen=True)
class Field:
    """One metadata entry. For an array, `item_kind` is the type of its elements."""

    key: str
    kind: int
    value: Any
    item_kind: int = STRING


@dataclass(frozen=True)
class Tensor:
    """Dimensions are in file order: the contiguous row comes first. `offset` overrides the computed one."""

    name: str
    dims: tuple[int, ...]
    kind: int
    data: bytes
    offset: int | None = None


@dataclass(frozen=True)
class GgufFile:
    fields: tuple[Field, ...]
    tensors: tuple[Tensor, ...]
    version: int = VERSION
    magic: bytes = MAGIC
    claimed_tensors: int | None = field(default=None)
    claimed_fields: int | None = field(default=None)

    def value(self, key: str) -> Any:
        """Raises: KeyError."""
        for entry in self.fields:
            if entry.key == key:
                return entry.value
        raise KeyError(key)

    def with_field(self, changed: Field) -> "GgufFile":
        """The same file with one entry replaced, or appended when the key is new."""
        kept = tuple(changed if entry.key == changed.key else entry for entry in self.fields)
        if changed not in kept:
            kept += (changed,)
        return replace(self, fields=kept)

    def without_field(self, key: str) -> "GgufFile":
        return replace(self, fields=tuple(entry for entry in self.fields if entry.key != key))

    def tensor(self, name: str) -> Tensor:
        """Raises: KeyError."""
        for entry in self.tensors:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def with_tensor(self, changed: Tensor) -> "GgufFile":
        return replace(
            self, tensors=tuple(changed if entry.name == changed.name else entry for entry in self.tensors)
        )


def encode(file: GgufFile) -> bytes:
    """Bytes of the whole file."""
    head = bytearray(head_bytes(file))
    head += bytes(-len(head) % ALIGNMENT)
    for tensor in file.tensors:
        head += tensor.data
        head += bytes(-len(head) % ALIGNMENT)
    return bytes(head)


def head_bytes(file: GgufFile) -> bytes:
    """Header, metadata and tensor table, without the padding that follows."""
    tensors = len(file.tensors) if file.claimed_tensors is None else file.claimed_tensors
    fields = len(file.fields) if file.claimed_fields is None else file.claimed_fields
    parts = [file.magic, struct.pack("<IQQ", file.version, tensors, fields)]
    parts += [field_bytes(entry) for entry in file.fields]
    place = 0
    for tensor in file.tensors:
        offset = place if tensor.offset is None else tensor.offset
        parts.append(
            text_bytes(tensor.name) + struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims)
        )
        parts.append(struct.pack("<IQ", tensor.kind, offset))
        place += len(tensor.data) + (-len(tensor.data) % ALIGNMENT)
    return b"".join(parts)


def field_bytes(entry: Field) -> bytes:
    body = value_bytes(entry.kind, entry.value, entry.item_kind)
    return text_bytes(entry.key) + struct.pack("<I", entry.kind) + body


def text_bytes(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(kind: int, value: Any, item_kind: int = STRING) -> bytes:
    """One value; bytes are written as they are, which is how a hostile value gets in."""
    if isinstance(value, bytes):
        return value
    if kind == STRING:
        return text_bytes(value)
    if kind == ARRAY:
        return struct.pack("<IQ", item_kind, len(value)) + b"".join(
            value_bytes(item_kind, item) for item in value
        )
    return struct.pack(_FORMATS[kind], value)


def write(path: Path, file: GgufFile) -> Path:
    path.write_bytes(encode(file))
    return path


def read(path: Path) -> GgufFile:
    """Read a well-formed file.

    Raises:
        ValueError: when it does not begin like a GGUF file of this version.
        struct.error: when it ends too early.
    """
    raw = path.read_bytes()
    if raw[:4] != MAGIC or struct.unpack_from("<I", raw, 4)[0] != VERSION:
        raise ValueError(f"{path} is not a GGUF file of version {VERSION}")
    cursor = _Cursor(raw, 8)
    tensor_count, field_count = cursor.take("<Q"), cursor.take("<Q")
    fields = tuple(_field(cursor) for _ in range(field_count))
    table = [_entry(cursor) for _ in range(tensor_count)]
    start = cursor.place + (-cursor.place % ALIGNMENT)
    tensors = tuple(
        Tensor(name, dims, kind, raw[start + offset : start + offset + _size(dims, kind)])
        for name, dims, kind, offset in table
    )
    return GgufFile(fields, tensors)


class _Cursor:
    def __init__(self, raw: bytes, place: int):
        self._raw = raw
        self.place = place

    def take(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._raw, self.place)
        self.place += struct.calcsize(form)
        return value

    def text(self) -> str:
        size = self.take("<Q")
        self.place += size
        return self._raw[self.place - size : self.place].decode()


def _field(cursor: _Cursor) -> Field:
    key, kind = cursor.text(), cursor.take("<I")
    if kind != ARRAY:
        return Field(key, kind, _value(cursor, kind))
    item_kind, count = cursor.take("<I"), cursor.take("<Q")
    return Field(key, kind, [_value(cursor, item_kind) for _ in range(count)], item_kind)


def _value(cursor: _Cursor, kind: int) -> Any:
    return cursor.text() if kind == STRING else cursor.take(_FORMATS[kind])


def _entry(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name, count = cursor.text(), cursor.take("<I")
    dims = tuple(cursor.take("<Q") for _ in range(count))
    return name, dims, cursor.take("<I"), cursor.take("<Q")


def _size(dims: tuple[int, ...], kind: int) -> int:
    elements = 1
    for dim in dims:
        elements *= dim
    return elements * {TENSOR_F32: 4, TENSOR_F16: 2}[kind]
