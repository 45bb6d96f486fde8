"""Looks at the numbers of whole blocks: finite or not, how large, and whether there is anything at all.

Bit patterns are compared as integers: all finite means that the largest signed and unsigned patterns stay
below that of infinity. That needs no float conversion and no temporary arrays, runs several times faster
than hashing, and the same two maxima say how large the largest number is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.gguf.tensor_types import Scale, TensorType

Bytes = NDArray[np.uint8]
Words = NDArray[np.unsignedinteger[Any]]

# Cells of this size are looked at when a tensor without blocks is searched for zeros.
CELL_BYTES = 256


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """How an IEEE-like format looks as bits: unsigned type, pattern of infinity, bits behind the exponent."""

    word: str
    infinity: int
    mantissa_bits: int
    signed: str = field(init=False)
    sign: int = field(init=False)

    def __post_init__(self) -> None:
        # Kept, because they are asked for at every piece of a file.
        object.__setattr__(self, "signed", self.word.replace("u", "i"))
        object.__setattr__(self, "sign", 1 << (np.dtype(self.word).itemsize * 8 - 1))

    def value(self, pattern: int) -> float:
        """The number that a finite pattern without its sign stands for."""
        exponent, fraction = pattern >> self.mantissa_bits, pattern & ((1 << self.mantissa_bits) - 1)
        bias = (self.infinity >> self.mantissa_bits) // 2
        one = 1 << self.mantissa_bits
        if not exponent:
            return fraction / one * 2.0 ** (1 - bias)
        return (fraction + one) / one * 2.0 ** (exponent - bias)


HALF = FloatFormat("<u2", 0x7C00, 10)
FORMATS: dict[Scale, FloatFormat] = {
    Scale.F16: HALF,
    Scale.BF16: FloatFormat("<u2", 0x7F80, 7),
    Scale.F32: FloatFormat("<u4", 0x7F800000, 23),
    Scale.F64: FloatFormat("<u8", 0x7FF0000000000000, 52),
    Scale.F8_E5M2: FloatFormat("|u1", 0x7C, 2),
}
E8M0_NAN, E8M0_BIAS = 0xFF, 127
UE4M3_NAN = E4M3_NAN = 0x7F
FNUZ_NAN = 0x80
IQ1_M_SCALES = 48


@dataclass(frozen=True, slots=True)
class Flaw:
    """First bad number of a piece: which rule, and the index of its block."""

    check: str
    block: int
    count: int


@dataclass(frozen=True, slots=True)
class Look:
    """What whole blocks hold: a flaw, or how large the largest scale or number is; and how much is nothing.

    A cell is a block of a quantized type, else 256 bytes.
    """

    flaw: Flaw | None = None
    largest: float = 0.0
    zero_cells: int = 0
    cells: int = 0


def look_at(kind: TensorType, blocks: Bytes) -> Look:
    """Judge a piece that holds whole blocks of this type."""
    if not blocks.size:
        return Look()
    if kind.scale is Scale.F16_FIELDS:
        fields = _gather(kind, blocks)
        flaw, largest = _words(HALF, fields.view("<u2"), len(kind.fields))
        # A block whose scales are all zero is zero, whatever its weights say.
        return Look(flaw, largest, len(fields) - int(np.count_nonzero(fields)), len(fields))
    if kind.scale in FORMATS:
        form = FORMATS[kind.scale]
        flaw, largest = _words(form, blocks.view(form.word), 1)
    elif kind.scale is Scale.NONE:
        flaw, largest = None, 0.0
    else:
        flaw, largest = _FIELDS[kind.scale](kind, blocks)
    return Look(flaw, largest, *_zeros(kind, blocks))


def find_flaw(kind: TensorType, blocks: Bytes) -> Flaw | None:
    """The first number of a piece that is not finite; `blocks` holds whole blocks of this type."""
    return look_at(kind, blocks).flaw


def scales(kind: TensorType, blocks: Bytes) -> NDArray[np.float64]:
    """Magnitudes of the scales of a few blocks, or of the numbers of a type without blocks."""
    # A signalling NaN makes numpy warn when it is widened; that it is there is a finding of its own.
    with np.errstate(invalid="ignore"):
        return _scales(kind, blocks)


def _scales(kind: TensorType, blocks: Bytes) -> NDArray[np.float64]:
    form = FORMATS.get(kind.scale)
    if kind.scale is Scale.F8_E5M2:
        # The upper byte of half precision.
        return np.abs((blocks.astype(np.uint16) << 8).view(np.float16).astype(np.float64))
    if form is not None and kind.scale is not Scale.BF16:
        return np.abs(blocks.view(form.word.replace("u", "f")).astype(np.float64))
    if kind.scale is Scale.BF16:
        return np.abs((blocks.view("<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64))
    if kind.scale is Scale.F16_FIELDS:
        return np.abs(_column(kind, blocks, kind.fields[0], "<u2").view("<f2").astype(np.float64))
    if kind.scale is Scale.F32_FIELD:
        return np.abs(_column(kind, blocks, kind.fields[0], "<u4").view("<f4").astype(np.float64))
    if kind.scale is Scale.IQ1_M:
        return np.abs(_spread(kind, blocks).view("<f2").astype(np.float64))
    if kind.scale is Scale.E8M0:
        return np.exp2(_column(kind, blocks, 0, "u1").astype(np.float64) - E8M0_BIAS)
    return np.zeros(0)


def _zeros(kind: TensorType, blocks: Bytes) -> tuple[int, int]:
    """How many cells hold nothing but zeros, and how many there are.

    Only cells that begin with zeros are looked at whole, so this costs next to nothing where there are few.
    """
    size = kind.block_bytes if kind.is_quantized else CELL_BYTES
    count = len(blocks) // size
    if not count:
        return 0, 0
    # The scale of MXFP4 is a power of two: a zero there is not nothing.
    skipped = 1 if kind.scale is Scale.E8M0 else 0
    begins: Words = np.ndarray((count,), "<u8", blocks, skipped, (size,))
    if int(np.count_nonzero(begins)) == count:
        return 0, count
    cells = blocks[: count * size].reshape(-1, size)[np.flatnonzero(begins == 0)]
    return int(np.count_nonzero(~cells[:, skipped:].any(axis=1))), count


Judged = tuple[Flaw | None, float]


def _words(form: FloatFormat, words: Words, per_block: int) -> Judged:
    positive, negative = int(words.view(form.signed).max()), int(words.max())
    if negative < form.sign + form.infinity and positive < form.infinity:
        return None, form.value(max(positive, negative - form.sign, 0))
    magnitude = words & np.array(form.sign - 1, dtype=words.dtype)
    bad = np.flatnonzero(magnitude >= form.infinity)
    first = int(bad[0])
    check = "N-INF" if int(magnitude[first]) == form.infinity else "N-NAN"
    return Flaw(check, first // per_block, int(bad.size)), 0.0


def _column(kind: TensorType, blocks: Bytes, offset: int, word: str) -> Words:
    """One field of every block, gathered by single words: many times faster than by slices of bytes."""
    count = len(blocks) // kind.block_bytes
    return np.ndarray((count,), word, blocks, offset, (kind.block_bytes,)).copy()


def _gather(kind: TensorType, blocks: Bytes) -> Words:
    """The half-precision fields of every block, one word for each block; in every type they lie side by side."""
    return _column(kind, blocks, kind.fields[0], "<u4" if len(kind.fields) > 1 else "<u2")


def _single_field(kind: TensorType, blocks: Bytes) -> Judged:
    return _words(FORMATS[Scale.F32], _column(kind, blocks, kind.fields[0], "<u4"), 1)


def _e8m0(kind: TensorType, blocks: Bytes) -> Judged:
    exponents = _column(kind, blocks, 0, "u1")
    largest = int(exponents.max())
    if largest != E8M0_NAN:
        return None, 2.0 ** (largest - E8M0_BIAS)
    bad = np.flatnonzero(exponents == E8M0_NAN)
    return Flaw("N-NAN", int(bad[0]), int(bad.size)), 0.0


def _ue4m3(kind: TensorType, blocks: Bytes) -> Judged:
    four = _column(kind, blocks, 0, "<u4").view("u1").reshape(-1, 4)
    bad = np.flatnonzero(((four & UE4M3_NAN) == UE4M3_NAN).any(axis=1))
    return Flaw("N-RANGE", int(bad[0]), int(bad.size)) if bad.size else None, 0.0


def _e4m3(kind: TensorType, blocks: Bytes) -> Judged:
    bad = np.flatnonzero((_column(kind, blocks, 0, "u1") & E4M3_NAN) == E4M3_NAN)
    return Flaw("N-NAN", int(bad[0]), int(bad.size)) if bad.size else None, 0.0


def _fnuz(kind: TensorType, blocks: Bytes) -> Judged:
    """Eight-bit floats without infinity or negative zero, whose pattern is their only NaN."""
    bad = np.flatnonzero(_column(kind, blocks, 0, "u1") == FNUZ_NAN)
    return Flaw("N-NAN", int(bad[0]), int(bad.size)) if bad.size else None, 0.0


def _spread(kind: TensorType, blocks: Bytes) -> Words:
    """The scale of IQ1_M: one half-precision number over the top nibbles of four words."""
    words = _column(kind, blocks, IQ1_M_SCALES, "<u8")
    gathered = (
        ((words >> 12) & 0xF) | ((words >> 24) & 0xF0) | ((words >> 36) & 0xF00) | ((words >> 48) & 0xF000)
    )
    return gathered.astype("<u2")


def _iq1_m(kind: TensorType, blocks: Bytes) -> Judged:
    return _words(HALF, _spread(kind, blocks), 1)


_FIELDS: dict[Scale, Callable[[TensorType, Bytes], Judged]] = {
    Scale.F32_FIELD: _single_field,
    Scale.E8M0: _e8m0,
    Scale.UE4M3: _ue4m3,
    Scale.IQ1_M: _iq1_m,
    Scale.F8_E4M3: _e4m3,
    Scale.F8_FNUZ: _fnuz,
}
