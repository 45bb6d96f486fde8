"""Follows each tensor over pieces of the file and says what its numbers are worth.

Not finite refuses. Zeros refuse where the model cannot work without the tensor. What only looks untrained,
damaged or too large for half precision is a warning: only a test of the model can tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from tidegate.gguf.findings import Finding, quote
from tidegate.gguf.header import Header, TensorInfo
from tidegate.gguf.numbers import Bytes, look_at, scales
from tidegate.gguf.rules import finding
from tidegate.gguf.tensor_types import TensorType

SAMPLE_BLOCKS = 64
# A sample of this many bytes says what is usual in a tensor.
USUAL_BYTES = 65_536
# Beyond this a weight no longer fits into half precision.
LARGEST_HALF = 65504.0
# No trained weight is both larger than this and so many times larger than what is usual in its tensor.
LARGEST_USUAL, OUTLIER_RATIO = 256.0, 1000.0
# Shares of zero cells; embeddings have rows for tokens that do not exist.
MOST_ZERO, MOST_ZERO_EMBEDDING = 0.10, 0.50
EMBEDDINGS = frozenset({"token_embd.weight", "output.weight", "per_layer_token_embd.weight"})
SHOWN = {"N-NAN": "NaN", "N-INF": "infinity", "N-RANGE": "an invalid scale"}


@dataclass(slots=True)
class TensorScan:
    """One tensor; a block cut by a piece's end is carried to the next."""

    tensor: TensorInfo
    kind: TensorType
    start: int
    end: int
    carry: bytearray = field(default_factory=bytearray)
    blocks_seen: int = 0
    first_block: bytes = b""
    is_constant: bool = True
    largest: float = 0.0
    usual: float | None = None
    zero_cells: int = 0
    cells: int = 0
    has_zero_factor: bool = False
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
        seen = look_at(self.kind, blocks)
        if seen.flaw is not None:
            flaw = seen.flaw
            at, count = self.flaws.get(flaw.check, (self.start + (self.blocks_seen + flaw.block) * size, 0))
            self.flaws[flaw.check] = (at, count + flaw.count)
        self.largest = max(self.largest, seen.largest)
        if self.usual is None:
            self.usual = _usual(self.kind, blocks[: max(size, USUAL_BYTES // size * size)])
        self.zero_cells += seen.zero_cells
        self.cells += seen.cells
        if self.is_constant:
            self.is_constant = self._is_still_constant(blocks)
        if self._is_rotary() and not self.has_zero_factor:
            self.has_zero_factor = not blocks.reshape(-1, size).any(axis=1).all()
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
            more = "one bad number" if count == 1 else f"{count} bad numbers"
            text = f"Tensor {name} ({what}) holds {SHOWN[check]}: {more} in all, the first at this byte."
            yield finding(check, text, offset=at, subject=self.tensor.name)
        if self.flaws:
            return
        yield from self._emptiness(name, what)
        yield from self._size(name, what)

    def _emptiness(self, name: str, what: str) -> Iterator[Finding]:
        subject, is_zero = self.tensor.name, self.is_constant and not any(self.first_block)
        if is_zero and self._must_not_be_zero():
            yield finding("N-ZERO", f"Tensor {name} ({what}) holds nothing but zeros.", offset=self.start,
                          subject=subject)  # fmt: skip
            return
        if self.has_zero_factor:
            text = f"Tensor {name} ({what}) holds a zero; angles are divided by it."
            yield finding("N-ZERO", text, offset=self.start, subject=subject)
        if not self._is_matrix() or not self.blocks_seen:
            return
        if self.is_constant and self.blocks_seen > 1:
            text = f"Tensor {name} ({what}) holds nothing but one repeated value."
            yield finding("N-CONST", text, offset=self.start, subject=subject)
            return
        share = self.zero_cells / self.cells if self.cells else 0.0
        if share == 1.0:
            text = f"Tensor {name} ({what}) has scales of zero only, so all its weights are zero."
            yield finding("N-ZERO", text, offset=self.start, subject=subject)
        elif share > (MOST_ZERO_EMBEDDING if subject in EMBEDDINGS else MOST_ZERO):
            text = f"{share:.0%} of tensor {name} ({what}) are zero."
            yield finding("N-SPARSE", text, offset=self.start, subject=subject)

    def _size(self, name: str, what: str) -> Iterator[Finding]:
        if not self._is_matrix():
            return
        largest = self.largest * self.kind.largest_multiple
        ratio = self.largest / self.usual if self.usual else 0.0
        text = ""
        if largest > LARGEST_HALF:
            text = f"Tensor {name} ({what}) holds numbers beyond {LARGEST_HALF:.0f}, up to {largest:.3g}."
        elif largest > LARGEST_USUAL and ratio > OUTLIER_RATIO:
            text = f"Tensor {name} ({what}) holds {largest:.3g}, {ratio:.0f} times what is usual in it."
        if text:
            yield finding("N-HUGE", text, offset=self.start, subject=self.tensor.name)

    def _is_matrix(self) -> bool:
        """Norms may be all ones, and rotary factors may be enormous on purpose."""
        name = self.tensor.name
        is_wide = sum(size > 1 for size in self.tensor.dims) > 1
        return is_wide and name.endswith(".weight") and "norm" not in name

    def _must_not_be_zero(self) -> bool:
        """Matrices, norms and rotary factors; biases and the like are often zero in sound models."""
        name = self.tensor.name
        return self._is_matrix() or name.endswith("norm.weight") or self._is_rotary()

    def _is_rotary(self) -> bool:
        return self.tensor.name.startswith(("rope_freqs.", "rope_factors_"))


def _usual(kind: TensorType, blocks: Bytes) -> float:
    """The median of what is not zero in a sample."""
    found = scales(kind, blocks)
    found = found[np.isfinite(found) & (found > 0)]
    if not found.size:
        return 0.0
    # np.median would load numpy's masked arrays, which takes longer than to read a small model.
    middle = len(found) // 2
    return float(np.partition(found, middle)[middle])


def tensor_scans(header: Header) -> list[TensorScan]:
    """One scan for each tensor in file order; the layout must have been judged sound before."""
    scans: list[TensorScan] = []
    for tensor in header.tensors:
        kind, size = tensor.type, tensor.n_bytes
        if kind is not None and size is not None:
            start = header.data_start + tensor.offset
            scans.append(TensorScan(tensor, kind, start, start + size))
    return sorted(scans, key=lambda scan: scan.start)
