"""Bounds-checked reading of a GGUF header from bytes. Never trusts a number, never raises for a bad file.

Reads versions 1 to 3 in both byte orders, also those that no engine loads, so that a file can be shown and a
damaged one told from one that is only old. The reader works on a prefix of the file and says how much more it
wants, so that the caller hashes the very bytes that it parses.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tidegate.gguf.cursor import Cursor, NeedMore, Stop
from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.foreign import name_foreign
from tidegate.gguf.header import (
    DEFAULT_ALIGNMENT,
    FIXED_SIZES,
    ArrayValue,
    Header,
    TensorInfo,
    Value,
    ValueType,
)
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.rules import finding

MAGIC = b"GGUF"
FIRST_READ_BYTES = 1024**2
SMALLEST_ALIGNMENT = 8
LARGEST_ALIGNMENT = 1024**2
VERSIONS = (1, 2, 3)
KEY = re.compile(rb"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """A header, or None when the file could not be read to its end, with what was found on the way."""

    header: Header | None
    findings: tuple[Finding, ...]


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
            return parse_header(prefix, size if chunk else len(prefix), limits)
        except NeedMore as more:
            wanted = max(more.wanted, 2 * len(prefix))


def parse_header(prefix: bytes | bytearray, file_bytes: int, limits: Limits = LIMITS) -> Reading:
    """Parse the header at the start of a file of `file_bytes` bytes. The header refers to the prefix, without copies.

    Raises:
        NeedMore: when the prefix ends before the header does; never when the prefix is the whole file.
    """
    parser = _Parser(prefix, file_bytes, limits)
    try:
        header = parser.parse()
    except Stop as stop:
        return Reading(None, (*parser.findings, stop.found))
    return Reading(header, tuple(parser.findings))


class _Parser:
    def __init__(self, prefix: bytes | bytearray, file_bytes: int, limits: Limits):
        self.cursor = Cursor(prefix, file_bytes, limits)
        self.limits = limits
        self.array_items = 0
        self.findings: list[Finding] = []
        self.noted = Counter[str]()

    def parse(self) -> Header:
        cursor = self.cursor
        version = self._preamble()
        n_tensors, n_metadata = self._counts()
        metadata: dict[str, Value] = {}
        for _ in range(n_metadata):
            start = cursor.position
            key, value = self._pair()
            if key in metadata:
                self._note("K-DUP", f"Key {quote(key)} occurs twice.", start, key)
            metadata[key] = value
        tensors = tuple(self._tensors(n_tensors))
        return Header(
            version=version,
            metadata=metadata,
            tensors=tensors,
            alignment=self._alignment(metadata),
            header_bytes=cursor.position,
            file_bytes=cursor.file_bytes,
            is_big_endian=cursor.order == ">",
        )

    def _preamble(self) -> int:
        cursor = self.cursor
        head = bytes(cursor.prefix[:512])
        if cursor.file_bytes == 0:
            raise Stop(finding("F-EMPTY", "The file is empty.", offset=0))
        if not head.startswith(MAGIC):
            other = name_foreign(head)
            if other:
                raise Stop(finding("F-FOREIGN", f"This is {other}, not a GGUF file.", offset=0))
            text = f"The file begins with {quote(head[:4])} instead of GGUF."
            raise Stop(finding("H-MAGIC", text, offset=0))
        cursor.position = 4
        version = cursor.fixed(ValueType.U32, "the version")
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        if version not in VERSIONS and swapped in VERSIONS:
            # The four bytes of the magic are the same in both orders: only the version tells.
            cursor.order, version = ">", swapped
            self._note("H-ENDIAN", f"This is a big-endian GGUF file, version {version}.", 4, "")
        if version not in VERSIONS:
            text = f"GGUF version {version} does not exist; engines read 2 and 3."
            raise Stop(finding("H-VERSION", text, offset=4))
        if version == 1:
            cursor.count_kind = ValueType.U32
            self._note("H-VERSION", "This is a GGUF file of version 1, of August 2023.", 4, "")
        return version

    def _counts(self) -> tuple[int, int]:
        cursor, at = self.cursor, self.cursor.position
        n_tensors = cursor.count("the tensor count")
        n_metadata = cursor.count("the metadata count")
        size = cursor.count_bytes
        smallest_tensor, smallest_pair = size + 4 + size + 4 + 8, size + 1 + 4 + 1
        for check, what, number, most, smallest in (
            ("H-NTENSOR", "tensors", n_tensors, self.limits.max_tensors, smallest_tensor),
            ("H-NKV", "metadata keys", n_metadata, self.limits.max_metadata, smallest_pair),
        ):
            if number > min(most, cursor.left // smallest):
                text = f"The header claims {number} {what}; {cursor.left} bytes are left."
                raise Stop(finding(check, text, offset=at))
            at += size
        return n_tensors, n_metadata

    def _pair(self) -> tuple[str, Value]:
        start = self.cursor.position
        raw = self.cursor.text("a key", self.limits.max_key_bytes, "K-KEYLEN")
        if not raw:
            raise Stop(finding("K-KEYLEN", "A metadata key is empty.", offset=start))
        key = raw.decode("utf-8", "replace")
        if not KEY.fullmatch(raw):
            self._note("K-KEYCHAR", f"Key {quote(raw)} has characters that keys must not have.", start, key)
        elif raw != raw.lower():
            self._note("K-CASE", f"Key {quote(raw)} has capital letters.", start, key)
        return key, self._value(key)

    def _value(self, key: str) -> Value:
        kind = self._type(key)
        start = self.cursor.position
        if kind is ValueType.ARRAY:
            return Value(kind, self._array(key), start)
        if kind is ValueType.STRING:
            return self._text(key, start)
        content = self.cursor.scalar(kind, f"the value of {quote(key)}")
        if kind is ValueType.BOOL:
            if content not in (0, 1):
                self._note("K-BOOL", f"Key {quote(key)} holds {content} as a boolean.", start, key)
            content = bool(content)
        return Value(kind, content, start)

    def _text(self, key: str, start: int) -> Value:
        """A string value. Of a very long one only the beginning is kept: no rule wants more of it."""
        cursor, what = self.cursor, f"the value of {quote(key)}"
        length = cursor.string_length(what)
        begin = cursor.position
        kept = min(length, self.limits.max_kept_text_bytes)
        raw = cursor.kept(kept, what)
        cursor.skip(length - kept, what)
        if cursor.count_kind is ValueType.U32:
            raw = raw.removesuffix(b"\0")
        wrong = _first_non_utf8(cursor.prefix, begin, length)
        if wrong is not None:
            self._note("K-UTF8", f"The value of {quote(key)} is not UTF-8.", begin + wrong, key)
        nul = raw.find(b"\0")
        if nul >= 0:
            self._note("K-NUL", f"The value of {quote(key)} holds a NUL byte.", begin + nul, key)
        return Value(ValueType.STRING, raw.decode("utf-8", "replace"), start, wrong is None)

    def _array(self, key: str) -> ArrayValue:
        cursor, at = self.cursor, self.cursor.position
        item = self._type(key)
        count = cursor.count(f"the length of {quote(key)}")
        if item is ValueType.ARRAY:
            raise Stop(finding("K-NEST", f"{quote(key)} is an array of arrays.", offset=at, subject=key))
        self.array_items += count
        is_text = item is ValueType.STRING
        most = self.limits.max_string_items if is_text else self.limits.max_array_items
        size = cursor.count_bytes if is_text else FIXED_SIZES[item]
        if count * size > cursor.left or count > most or self.array_items > self.limits.max_array_items:
            text = f"{quote(key)} claims {count} items; {cursor.left} bytes are left."
            raise Stop(finding("K-ARRLEN", text, offset=at, subject=key))
        start = cursor.position
        if is_text:
            starts = cursor.skip_strings(key, count)
            return ArrayValue(
                item_type=item,
                count=count,
                offset=start,
                end=cursor.position,
                source=cursor.prefix,
                order=cursor.order,
                starts=starts,
                length_bytes=size,
            )
        cursor.skip(count * size, f"the items of {quote(key)}")
        array = ArrayValue(item, count, start, cursor.position, cursor.prefix, cursor.order)
        if item is ValueType.BOOL and bool((array.numeric() > 1).any()):
            self._note("K-BOOL", f"{quote(key)} holds booleans other than 0 and 1.", start, key)
        return array

    def _tensors(self, count: int) -> Iterator[TensorInfo]:
        cursor = self.cursor
        names: set[str] = set()
        for _ in range(count):
            start = cursor.position
            raw = cursor.text("a tensor name", self.limits.max_key_bytes, "T-NAME")
            name = raw.decode("utf-8", "replace")
            is_name = 0 < len(raw) <= self.limits.max_tensor_name_bytes
            if not is_name or not name.isprintable() or "\ufffd" in name:
                self._note("T-NAME", f"{quote(raw)} is not a tensor name.", start, name)
            if name in names:
                self._note("T-DUP", f"Tensor {quote(name)} occurs twice.", start, name)
            names.add(name)
            n_dims = cursor.fixed(ValueType.U32, "the number of dimensions of a tensor")
            if not 1 <= n_dims <= self.limits.max_dims:
                text = f"Tensor {quote(name)} claims {n_dims} dimensions."
                raise Stop(finding("T-NDIMS", text, offset=start, subject=name))
            dims = tuple(cursor.count("the shape of a tensor") for _ in range(n_dims))
            type_id = cursor.fixed(ValueType.U32, "the type of a tensor")
            offset = cursor.fixed(ValueType.U64, "the offset of a tensor")
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
        raise Stop(finding("L-ALIGN", text, offset=value.offset, subject="general.alignment"))

    def _type(self, key: str) -> ValueType:
        at = self.cursor.position
        number = self.cursor.fixed(ValueType.U32, "the type of a value")
        if number > ValueType.F64:
            text = f"{quote(key)} has the unknown value type {number}."
            raise Stop(finding("K-TYPE", text, offset=at, subject=key))
        return ValueType(number)

    def _note(self, check: str, message: str, offset: int, subject: str) -> None:
        # Kept short here as well: a hostile header could make a million of one kind.
        self.noted[check] += 1
        if self.noted[check] <= self.limits.max_findings_per_check:
            self.findings.append(finding(check, message, offset=offset, subject=subject))


def _first_non_utf8(prefix: bytes | bytearray, begin: int, length: int) -> int | None:
    """Index of the first byte that is not UTF-8; looks at pieces, so that a long text is never decoded as a whole."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, max(length, 1), FIRST_READ_BYTES):
        end = min(at + FIRST_READ_BYTES, length)
        try:
            decoder.decode(bytes(prefix[begin + at : begin + end]), end == length)
        except UnicodeDecodeError as error:
            return at + error.start
    return None


__all__ = ["FIRST_READ_BYTES", "NeedMore", "Reading", "parse_header", "read_header"]
