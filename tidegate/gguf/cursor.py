"""Bounds-checked steps through the bytes of a header: every length meets the bytes that are left before it is used."""

import struct
from array import array
from dataclasses import dataclass, field
from itertools import repeat

from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import FIXED_FORMATS, FIXED_SIZES, ValueType
from tidegate.gguf.limits import Limits
from tidegate.gguf.rules import finding


class NeedMore(Exception):
    """The header goes on beyond the prefix; `wanted` is the number of bytes needed to go on."""

    def __init__(self, wanted: int):
        super().__init__(wanted)
        self.wanted = wanted


class Stop(Exception):
    """Reading on makes no sense; carries the finding that says why."""

    def __init__(self, found: Finding):
        super().__init__(found.message)
        self.found = found


@dataclass(slots=True)
class Cursor:
    """A place in the prefix of a file. `order` and `count_kind` follow from the version, once it is known."""

    prefix: bytes | bytearray
    file_bytes: int
    limits: Limits
    position: int = 0
    order: str = "<"
    count_kind: ValueType = ValueType.U64
    """Type of counts and lengths: 64 bits, and 32 in version 1."""
    text_bytes: int = field(default=0, init=False)

    @property
    def left(self) -> int:
        return self.file_bytes - self.position

    @property
    def count_bytes(self) -> int:
        return FIXED_SIZES[self.count_kind]

    def fixed(self, kind: ValueType, what: str) -> int:
        """One number; floats and booleans come from `scalar`."""
        return int(self.scalar(kind, what))

    def scalar(self, kind: ValueType, what: str) -> int | float:
        start = self.position
        self.skip(FIXED_SIZES[kind], what)
        return struct.unpack_from(self.order + FIXED_FORMATS[kind], self.prefix, start)[0]

    def count(self, what: str) -> int:
        return self.fixed(self.count_kind, what)

    def text(self, what: str, most: int, too_long: str) -> bytes:
        """A string of at most `most` bytes, all of it."""
        start = self.position
        length = self.string_length(what)
        if length > most:
            raise Stop(finding(too_long, f"{what.capitalize()} claims {length} bytes.", offset=start))
        raw = self.kept(length, what)
        # Writers of version 1 counted the NUL with which C ends a string.
        return raw.removesuffix(b"\0") if self.count_kind is ValueType.U32 else raw

    def string_length(self, what: str) -> int:
        start = self.position
        length = self.count(f"the length of {what}")
        if length > self.left:
            text = f"{what.capitalize()} claims {length} bytes; {self.left} are left."
            raise Stop(finding("K-STRLEN", text, offset=start))
        if self.position + length > self.limits.max_header_bytes:
            text = f"{what.capitalize()} of {length} bytes goes beyond {self.limits.max_header_bytes} bytes."
            raise Stop(finding("H-HUGE", text, offset=start))
        return length

    def kept(self, length: int, what: str) -> bytes:
        """Bytes that will be kept as text; there is a bound on all of them together."""
        start = self.position
        self.skip(length, what)
        self.text_bytes += length
        if self.text_bytes > self.limits.max_text_bytes:
            text = f"Names and texts of the header have more than {self.limits.max_text_bytes} bytes."
            raise Stop(finding("H-HUGE", text, offset=start))
        return bytes(self.prefix[start : self.position])

    def skip(self, count: int, what: str) -> None:
        start = self.position
        if count > self.left:
            text = f"The file ends inside {what}: {count} bytes wanted, {self.left} left."
            raise Stop(finding("H-TRUNC", text, offset=start))
        self.move_to(start + count)

    def skip_strings(self, key: str, count: int) -> "array[int]":
        """Walk over strings without building them, and say where each begins: a vocabulary has half a million."""
        size = self.count_bytes
        unpack = struct.Struct(self.order + FIXED_FORMATS[self.count_kind]).unpack_from
        prefix = self.prefix
        starts = array("I")
        append = starts.append
        begin = self.position + size
        last = self.limits.max_header_bytes
        # The loop of the reader that runs most often; what goes wrong in it is sorted out behind it.
        try:
            for _ in repeat(None, count):
                append(begin)
                begin += unpack(prefix, begin - size)[0] + size
                if begin > last:
                    break
        except struct.error:
            starts.pop()
        what = f"an item of {quote(key)}"
        if starts:
            self.position = starts[-1] - size
            self.skip(self.string_length(what), what)
        if len(starts) < count:
            self.skip(size, what)
        return starts

    def move_to(self, end: int) -> None:
        if end > self.limits.max_header_bytes:
            text = f"The header goes on beyond {self.limits.max_header_bytes} bytes."
            raise Stop(finding("H-HUGE", text, offset=self.position))
        if end > len(self.prefix):
            raise NeedMore(end)
        self.position = end
