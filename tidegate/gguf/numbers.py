"""Looks at every number that can be wrong: NaN and infinity in tensors and in the scales of quantized blocks.

Works on pieces of any size in file order, with memory for one piece. Bit patterns are compared as integers:
all finite means that the largest signed and unsigned patterns stay below that of infinity, which needs no
float conversion and no temporary arrays, and runs several times faster than hashing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import Header, TensorInfo
from tidegate.gguf.rules import finding
from tidegate.gguf.tensor_types import Scale, TensorType

Bytes = NDArray[np.uint8]
Words = NDArray[np.unsignedinteger[Any]]

SAMPLE_BLOCKS = 64
# Beyond this a float32 or bfloat16 weight no longer fits into half precision.
LARGEST_HALF = 65504.0


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """How an IEEE-like format looks as bits: unsigned type, infinity, and the pattern of LARGEST_HALF."""

    word: str
    infinity: int
    huge: int | None = None

    @property
    def sign(self) -> int:
        return 1 << (np.dtype(self.word).itemsize * 8 - 1)


HALF = FloatFormat("<u2", 0x7C00)
FORMATS: dict[Scale, FloatFormat] = {
    Scale.F16: HALF,
    Scale.BF16: FloatFormat("<u2", 0x7F80, 0x4780),
    Scale.F32: FloatFormat("<u4", 0x7F800000, 0x477FE000),
    Scale.F64: FloatFormat("<u8", 0x7FF0000000000000),
    Scale.F8_E5M2: FloatFormat("|u1", 0x7C),
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """First bad number of a piece: which rule, and the index of its block."""

    check: str
    block: int
    count: int


def find_flaw(kind: TensorType, blocks: Bytes) -> Flaw | None:
    """The first number of a piece that is not finite; `blocks` holds whole blocks of this type."""
    if kind.scale in FORMATS:
        return _flaw_of_words(FORMATS[kind.scale], blocks.view(FORMATS[kind.scale].word), 1)
    if kind.scale is Scale.NONE:
        return None
    rows = blocks.reshape(-1, kind.block_bytes)
    return _SPECIAL[kind.scale](kind, rows)


def _flaw_of_words(form: FloatFormat, words: Words, per_block: int) -> Flaw | None:
    if not words.size:
        return None
    signed = words.view(words.dtype.str.replace("u", "i"))
    if int(words.max()) < form.sign + form.infinity and int(signed.max()) < form.infinity:
        return None
    magnitude = words & np.array(form.sign - 1, dtype=words.dtype)
    bad = np.flatnonzero(magnitude >= form.infinity)
    if not bad.size:
        return None
    first = int(bad[0])
    check = "N-INF" if int(magnitude[first]) == form.infinity else "N-NAN"
    return Flaw(check, first // per_block, int(bad.size))


def _half_fields(kind: TensorType, rows: Bytes) -> Flaw | None:
    gathered = np.concatenate([rows[:, at : at + 2] for at in kind.fields], axis=1)
    return _flaw_of_words(HALF, np.ascontiguousarray(gathered).view("<u2").ravel(), len(kind.fields))


def _e8m0(kind: TensorType, rows: Bytes) -> Flaw | None:
    bad = np.flatnonzero(rows[:, 0] == 0xFF)
    return Flaw("N-NAN", int(bad[0]), int(bad.size)) if bad.size else None


def _ue4m3(kind: TensorType, rows: Bytes) -> Flaw | None:
    bad = np.flatnonzero(((rows[:, :4] & 0x7F) == 0x7F).any(axis=1))
    return Flaw("N-RANGE", int(bad[0]), int(bad.size)) if bad.size else None


def _e4m3(kind: TensorType, rows: Bytes) -> Flaw | None:
    bad = np.flatnonzero((rows[:, 0] & 0x7F) == 0x7F)
    return Flaw("N-NAN", int(bad[0]), int(bad.size)) if bad.size else None


def _fnuz(kind: TensorType, rows: Bytes) -> Flaw | None:
    """Eight-bit floats without infinity or negative zero, whose pattern is their only NaN."""
    bad = np.flatnonzero(rows[:, 0] == 0x80)
    return Flaw("N-NAN", int(bad[0]), int(bad.size)) if bad.size else None


def _iq1_m(kind: TensorType, rows: Bytes) -> Flaw | None:
    words = np.ascontiguousarray(rows[:, 48:56]).view("<u2").astype(np.uint16)
    scales = (
        (words[:, 0] >> 12)
        | ((words[:, 1] >> 8) & 0xF0)
        | ((words[:, 2] >> 4) & 0xF00)
        | (words[:, 3] & 0xF000)
    )
    return _flaw_of_words(HALF, scales.astype("<u2"), 1)


_SPECIAL: dict[Scale, Callable[[TensorType, Bytes], Flaw | None]] = {
    Scale.F16_FIELDS: _half_fields,
    Scale.E8M0: _e8m0,
    Scale.UE4M3: _ue4m3,
    Scale.IQ1_M: _iq1_m,
    Scale.F8_E4M3: _e4m3,
    Scale.F8_FNUZ: _fnuz,
}


def is_huge(kind: TensorType, blocks: Bytes) -> bool:
    """Whether a finite number of an unquantized piece would overflow in half precision."""
    form = FORMATS.get(kind.scale)
    if form is None or form.huge is None or not blocks.size:
        return False
    words = blocks.view(form.word)
    signed = words.view(words.dtype.str.replace("u", "i"))
    return int(signed.max()) > form.huge or int(words.max()) > form.sign + form.huge


@dataclass(slots=True)
class TensorScan:
    """Follows one tensor over pieces of the file; a block cut by a piece's end is carried to the next."""

    tensor: TensorInfo
    kind: TensorType
    start: int
    end: int
    carry: bytearray = field(default_factory=bytearray)
    blocks_seen: int = 0
    first_block: bytes = b""
    is_constant: bool = True
    has_huge: bool = False
    flaws: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    @property
    def is_zero(self) -> bool:
        """Whether all that was seen is zeros."""
        return self.is_constant and self.blocks_seen > 0 and not any(self.first_block)

    def feed(self, piece: Bytes) -> None:
        """Take the next bytes of this tensor."""
        size = self.kind.block_bytes
        if self.carry:
            missing = size - len(self.carry)
            self.carry += piece[:missing].tobytes()
            piece = piece[missing:]
            if len(self.carry) < size:
                return
            self._check(np.frombuffer(bytes(self.carry), dtype=np.uint8))
            self.carry.clear()
        whole = len(piece) // size * size
        if whole:
            self._check(piece[:whole])
        self.carry += piece[whole:].tobytes()

    def _check(self, blocks: Bytes) -> None:
        size = self.kind.block_bytes
        flaw = find_flaw(self.kind, blocks)
        if flaw is not None:
            at, count = self.flaws.get(flaw.check, (self.start + (self.blocks_seen + flaw.block) * size, 0))
            self.flaws[flaw.check] = (at, count + flaw.count)
        elif not self.has_huge:
            self.has_huge = is_huge(self.kind, blocks)
        if self.is_constant:
            self.is_constant = self._is_still_constant(blocks)
        self.blocks_seen += len(blocks) // size

    def _is_still_constant(self, blocks: Bytes) -> bool:
        size = self.kind.block_bytes
        if not self.first_block:
            self.first_block = blocks[:size].tobytes()
        first = np.frombuffer(self.first_block, dtype=np.uint8)
        sample = blocks[: SAMPLE_BLOCKS * size].reshape(-1, size)
        # The sample settles nearly every tensor; only a constant one is compared to its end.
        return bool((sample == first).all()) and bool((blocks.reshape(-1, size) == first).all())

    def findings(self) -> Iterator[Finding]:
        """What this tensor's numbers are worth, once all of it was fed."""
        name, what = quote(self.tensor.name), self.kind.name
        for check, (at, count) in self.flaws.items():
            shown = {"N-NAN": "NaN", "N-INF": "infinity"}.get(check, "an invalid scale")
            text = f"Tensor {name} ({what}) holds {shown}; {count} bad numbers in all."
            yield finding(check, text, offset=at, subject=self.tensor.name)
        if self.is_constant and self._is_weight() and self.blocks_seen > 1:
            is_zero = not any(self.first_block)
            text = f"Tensor {name} ({what}) holds nothing but {'zeros' if is_zero else 'one repeated value'}."
            yield finding(
                "N-ZERO" if is_zero else "N-CONST", text, offset=self.start, subject=self.tensor.name
            )
        if self.has_huge and self._is_weight():
            text = f"Tensor {name} ({what}) holds numbers beyond {LARGEST_HALF:.0f}."
            yield finding("N-HUGE", text, offset=self.start, subject=self.tensor.name)

    def _is_weight(self) -> bool:
        """Matrices only: norms may be all ones, and rotary factors may be enormous on purpose."""
        is_matrix = sum(size > 1 for size in self.tensor.dims) > 1
        return is_matrix and self.tensor.name.endswith(".weight") and "norm" not in self.tensor.name


def tensor_scans(header: Header) -> list[TensorScan]:
    """One scan for each tensor in file order; the layout must have been judged sound before."""
    scans: list[TensorScan] = []
    for tensor in header.tensors:
        kind, size = tensor.type, tensor.n_bytes
        if kind is not None and size is not None:
            start = header.data_start + tensor.offset
            scans.append(TensorScan(tensor, kind, start, start + size))
    return sorted(scans, key=lambda scan: scan.start)
