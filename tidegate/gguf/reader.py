"""Bounds-checked reading of a GGUF header from bytes. Never trusts a number, never raises for a bad file.

Every length is compared with the bytes that the file has left before it is used. The reader works on a
prefix of the file and says how much more it wants, so that the caller hashes the very bytes that it parses.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.foreign import name_foreign
from tidegate.gguf.header import (
    DEFAULT_ALIGNMENT,
    FIXED_FORMATS,
    FIXED_SIZES,
    ArrayValue,
    Header,
    Scalar,
    TensorInfo,
    Value,
    ValueType,
)
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.rules import finding

MAGIC = b"GGUF"
FIRST_READ_BYTES = 1024**2
SMALLEST_METADATA_BYTES = 8 + 1 + 4 + 1
SMALLEST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8
SMALLEST_ALIGNMENT = 8
LARGEST_ALIGNMENT = 1024**2


@dataclass(frozen=True, slots=True)
class Reading:
    """A header, or None when the file could not be read to its end, with what was found on the way."""

    header: Header | None
    findings: tuple[Finding, ...]


class NeedMore(Exception):
    """The header goes on beyond the prefix; `wanted` is the number of bytes needed to go on."""

    def __init__(self, wanted: int):
        super().__init__(wanted)
        self.wanted = wanted


class _Stop(Exception):
    """Reading on makes no sense; carries the finding that says why."""

    def __init__(self, found: Finding):
        super().__init__(found.message)
        self.found = found


def read_header(source: bytes | BinaryIO, limits: Limits = LIMITS) -> Reading:
    """Read a header from bytes or from a seekable binary stream at position 0."""
    if isinstance(source, bytes):
        return parse_header(source, len(source), limits)
    size = source.seek(0, 2)
    source.seek(0)
    prefix = bytearray()
    wanted = FIRST_READ_BYTES
    while True:
        chunk = source.read(max(wanted - len(prefix), 1))
        prefix += chunk
        try:
            # A stream shorter than it said ends here: its real length is what was read.
            return parse_header(bytes(prefix), size if chunk else len(prefix), limits)
        except NeedMore as more:
            wanted = max(more.wanted, 2 * len(prefix))


def parse_header(prefix: bytes, file_bytes: int, limits: Limits = LIMITS) -> Reading:
    """Parse the header at the start of a file of `file_bytes` bytes.

    Raises:
        NeedMore: when the prefix ends before the header does; never when the prefix is the whole file.
    """
    parser = _Parser(prefix, file_bytes, limits)
    try:
        header = parser.parse()
    except _Stop as stop:
        return Reading(None, (*parser.findings, stop.found))
    return Reading(header, tuple(parser.findings))


@dataclass(slots=True)
class _Parser:
    prefix: bytes
    file_bytes: int
    limits: Limits
    position: int = 0
    array_items: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])

    def parse(self) -> Header:
        version = self._preamble()
        n_tensors, n_metadata = self._counts()
        metadata: dict[str, Value] = {}
        for _ in range(n_metadata):
            start = self.position
            key, value = self._pair()
            if key in metadata:
                self._note("K-DUP", f"Key {quote(key)} occurs twice.", start, key)
            metadata[key] = value
        tensors = tuple(self._tensors(n_tensors))
        return Header(version, metadata, tensors, self._alignment(metadata), self.position, self.file_bytes)

    def _preamble(self) -> int:
        head = self.prefix[:512]
        if self.file_bytes == 0:
            raise _Stop(finding("F-EMPTY", "The file is empty.", offset=0))
        if not head.startswith(MAGIC):
            other = name_foreign(head)
            if other:
                raise _Stop(finding("F-FOREIGN", f"This is {other}, not a GGUF file.", offset=0))
            raise _Stop(
                finding("H-MAGIC", f"The file begins with {quote(head[:4])} instead of GGUF.", offset=0)
            )
        self.position = 4
        version = self._fixed(ValueType.U32, "the version")
        if version & 0xFFFF == 0 and version >> 16:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            raise _Stop(finding("H-ENDIAN", f"This is a big-endian GGUF file, version {swapped}.", offset=4))
        if version not in (2, 3):
            raise _Stop(
                finding("H-VERSION", f"GGUF version {version} is not supported, only 2 and 3.", offset=4)
            )
        return version

    def _counts(self) -> tuple[int, int]:
        n_tensors = self._fixed(ValueType.U64, "the tensor count")
        n_metadata = self._fixed(ValueType.U64, "the metadata count")
        left = self._left()
        if n_tensors > min(self.limits.max_tensors, left // SMALLEST_TENSOR_BYTES):
            text = f"The header claims {n_tensors} tensors; {left} bytes are left."
            raise _Stop(finding("H-NTENSOR", text, offset=8))
        if n_metadata > min(self.limits.max_metadata, left // SMALLEST_METADATA_BYTES):
            text = f"The header claims {n_metadata} metadata keys; {left} bytes are left."
            raise _Stop(finding("H-NKV", text, offset=16))
        return n_tensors, n_metadata

    def _pair(self) -> tuple[str, Value]:
        start = self.position
        raw = self._string("a key", self.limits.max_key_bytes, "K-KEYLEN")
        if not raw:
            raise _Stop(finding("K-KEYLEN", "A metadata key is empty.", offset=start))
        key = raw.decode("utf-8", "replace")
        if not raw.isascii() or not raw.replace(b".", b"").replace(b"_", b"").replace(b"-", b"").isalnum():
            self._note("K-KEYCHAR", f"Key {quote(raw)} has characters that keys must not have.", start, key)
        elif raw != raw.lower():
            self._note("K-CASE", f"Key {quote(raw)} has capital letters.", start, key)
        return key, self._value(key)

    def _value(self, key: str) -> Value:
        kind = self._type(key)
        start = self.position
        if kind is ValueType.ARRAY:
            return Value(kind, self._array(key), start)
        if kind is ValueType.STRING:
            return self._text(key, start)
        raw = self._take(FIXED_SIZES[kind], f"the value of {quote(key)}")
        content: Scalar = struct.unpack("<" + FIXED_FORMATS[kind], raw)[0]
        if kind is ValueType.BOOL:
            if content not in (0, 1):
                self._note("K-BOOL", f"Key {quote(key)} holds {content} as a boolean.", start, key)
            content = bool(content)
        return Value(kind, content, start)

    def _text(self, key: str, start: int) -> Value:
        raw = self._string(f"the value of {quote(key)}", self.limits.max_header_bytes, "K-STRLEN")
        try:
            text, is_utf8 = raw.decode("utf-8"), True
        except UnicodeDecodeError as error:
            text, is_utf8 = raw.decode("utf-8", "replace"), False
            self._note("K-UTF8", f"The value of {quote(key)} is not UTF-8.", start + 8 + error.start, key)
        if "\0" in text:
            self._note(
                "K-NUL", f"The value of {quote(key)} holds a NUL byte.", start + 8 + raw.find(b"\0"), key
            )
        return Value(ValueType.STRING, text, start, is_utf8)

    def _array(self, key: str) -> ArrayValue:
        at = self.position
        item = self._type(key)
        count = self._fixed(ValueType.U64, f"the length of {quote(key)}")
        if item is ValueType.ARRAY:
            raise _Stop(finding("K-NEST", f"{quote(key)} is an array of arrays.", offset=at, subject=key))
        self.array_items += count
        most = self.limits.max_string_items if item is ValueType.STRING else self.limits.max_array_items
        size = 8 if item is ValueType.STRING else FIXED_SIZES[item]
        if count * size > self._left() or count > most or self.array_items > self.limits.max_array_items:
            text = f"{quote(key)} claims {count} items; {self._left()} bytes are left."
            raise _Stop(finding("K-ARRLEN", text, offset=at, subject=key))
        start = self.position
        if item is ValueType.STRING:
            self._skip_strings(key, count)
            return ArrayValue(item, count, self.prefix[start : self.position], start)
        raw = self._take(count * size, f"the items of {quote(key)}")
        if item is ValueType.BOOL and raw.translate(None, b"\0\1"):
            self._note("K-BOOL", f"{quote(key)} holds booleans other than 0 and 1.", start, key)
        return ArrayValue(item, count, raw, start)

    def _skip_strings(self, key: str, count: int) -> None:
        """Walk over strings without building them: a vocabulary has half a million."""
        unpack = struct.Struct("<Q").unpack_from
        prefix, end, position = self.prefix, len(self.prefix), self.position
        for _ in range(count):
            if position + 8 > end:
                self.position = position
                self._take(8, f"an item of {quote(key)}")
            length: int = unpack(prefix, position)[0]
            if length > self.file_bytes - position - 8:
                text = f"An item of {quote(key)} claims {length} bytes; the file ends before."
                raise _Stop(finding("K-STRLEN", text, offset=position, subject=key))
            position += 8 + length
        self.position = self._checked_end(position)

    def _tensors(self, count: int) -> Iterator[TensorInfo]:
        names: set[str] = set()
        for _ in range(count):
            start = self.position
            raw = self._string("a tensor name", self.limits.max_key_bytes, "T-NAME")
            name = raw.decode("utf-8", "replace")
            if (
                not 0 < len(raw) <= self.limits.max_tensor_name_bytes
                or not name.isprintable()
                or "\ufffd" in name
            ):
                self._note("T-NAME", f"{quote(raw)} is not a tensor name.", start, name)
            if name in names:
                self._note("T-DUP", f"Tensor {quote(name)} occurs twice.", start, name)
            names.add(name)
            n_dims = self._fixed(ValueType.U32, f"the dimensions of {quote(name)}")
            if not 1 <= n_dims <= self.limits.max_dims:
                text = f"Tensor {quote(name)} claims {n_dims} dimensions."
                raise _Stop(finding("T-NDIMS", text, offset=start, subject=name))
            dims = tuple(self._fixed(ValueType.U64, f"the shape of {quote(name)}") for _ in range(n_dims))
            type_id = self._fixed(ValueType.U32, f"the type of {quote(name)}")
            offset = self._fixed(ValueType.U64, f"the offset of {quote(name)}")
            yield TensorInfo(name, dims, type_id, offset, start)

    def _alignment(self, metadata: dict[str, Value]) -> int:
        value = metadata.get("general.alignment")
        if value is None:
            return DEFAULT_ALIGNMENT
        wanted = value.content
        number = wanted if value.type is ValueType.U32 and isinstance(wanted, int) else 0
        if SMALLEST_ALIGNMENT <= number <= LARGEST_ALIGNMENT and number.bit_count() == 1:
            return number
        shown = wanted if isinstance(wanted, int) else "no number"
        text = f"general.alignment is {shown} ({value.type.name})."
        raise _Stop(finding("L-ALIGN", text, offset=value.offset, subject="general.alignment"))

    def _type(self, key: str) -> ValueType:
        at = self.position
        number = self._fixed(ValueType.U32, f"the type of {quote(key)}")
        if number > ValueType.F64:
            text = f"{quote(key)} has the unknown value type {number}."
            raise _Stop(finding("K-TYPE", text, offset=at, subject=key))
        return ValueType(number)

    def _string(self, what: str, most: int, too_long: str) -> bytes:
        start = self.position
        length = self._fixed(ValueType.U64, f"the length of {what}")
        if length > self._left():
            text = f"{what.capitalize()} claims {length} bytes; {self._left()} are left."
            raise _Stop(finding("K-STRLEN", text, offset=start))
        if length > most:
            raise _Stop(finding(too_long, f"{what.capitalize()} claims {length} bytes.", offset=start))
        return self._take(length, what)

    def _fixed(self, kind: ValueType, what: str) -> int:
        raw = self._take(FIXED_SIZES[kind], what)
        return struct.unpack("<" + FIXED_FORMATS[kind], raw)[0]

    def _take(self, count: int, what: str) -> bytes:
        start = self.position
        if count > self._left():
            text = f"The file ends inside {what}: {count} bytes wanted, {self._left()} left."
            raise _Stop(finding("H-TRUNC", text, offset=start))
        self.position = self._checked_end(start + count)
        return self.prefix[start : self.position]

    def _checked_end(self, end: int) -> int:
        if end > self.limits.max_header_bytes:
            text = f"The header goes on beyond {self.limits.max_header_bytes} bytes."
            raise _Stop(finding("H-HUGE", text, offset=self.position))
        if end > len(self.prefix):
            raise NeedMore(end)
        return end

    def _left(self) -> int:
        return self.file_bytes - self.position

    def _note(self, check: str, message: str, offset: int, subject: str) -> None:
        # Kept short here as well: a hostile header could make a million of one kind.
        if sum(1 for found in self.findings if found.check == check) < self.limits.max_findings_per_check:
            self.findings.append(finding(check, message, offset=offset, subject=subject))
