"""The fast walk over strings agrees with the plain one, whatever lengths the file claims."""

import struct
from array import array

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.gguf.cursor import Cursor, NeedMore, Stop
from tidegate.gguf.header import ValueType
from tidegate.gguf.limits import LIMITS

LENGTHS = st.sampled_from([0, 1, 3, 10, 255, 256, 300, 2**31, 2**40, 2**63 + 1])


class _Plain(Cursor):
    """Never takes the short way."""

    __slots__ = ()

    def _short_strings(self, place: int, count: int) -> "array[int]":
        return array("I")


def _walked(cursor: Cursor, count: int) -> tuple[object, ...]:
    try:
        starts = cursor.skip_strings("a.key", count)
    except NeedMore as more:
        return ("more", more.wanted)
    except Stop as stop:
        return ("stop", stop.found.check, stop.found.message, stop.found.offset)
    return ("whole", starts, cursor.position)


@settings(max_examples=150, deadline=None)
@given(st.lists(LENGTHS, max_size=12), st.integers(0, 4000), st.integers(0, 1000), st.booleans())
@example([300, 1, 300, 1], 0, 0, True)
def test_the_short_way_over_strings_ends_where_the_plain_one_does(
    lengths: list[int], cut: int, beyond: int, is_old: bool
):
    kind, form, most = (ValueType.U32, "<I", 2**32 - 1) if is_old else (ValueType.U64, "<Q", 2**64 - 1)
    raw = b"".join(struct.pack(form, min(length, most)) + bytes(min(length, 400)) for length in lengths)
    prefix = raw[: len(raw) - cut % (len(raw) + 1)]
    size = len(prefix) + beyond
    fast = _walked(Cursor(prefix, size, LIMITS, 0, "<", kind), len(lengths))
    assert fast == _walked(_Plain(prefix, size, LIMITS, 0, "<", kind), len(lengths))
