"""One pass over a file or a stream: SHA-256, header, layout, padding and numbers from the same buffer.

What was hashed is what was judged. Reading, not mapping: a file that shrinks meanwhile cannot kill us. Memory
holds the header once and one piece of data, whatever the size of the file.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tidegate.gguf.findings import Finding, Severity, capped, has_errors
from tidegate.gguf.header import Header
from tidegate.gguf.kind import check_kind
from tidegate.gguf.layout import check_layout, check_tensors, data_end
from tidegate.gguf.limits import LIMITS, Limits
from tidegate.gguf.lora import check_adapter, check_trained_file, is_adapter
from tidegate.gguf.model_rules import check_model
from tidegate.gguf.model_tensors import check_model_tensors
from tidegate.gguf.numbers import Bytes
from tidegate.gguf.reader import (
    FIRST_READ_BYTES,
    USUAL_HEADER_BYTES,
    NeedMore,
    Reading,
    next_read,
    parse_header,
)
from tidegate.gguf.rules import UNSUPPORTED, finding
from tidegate.gguf.split import check_part_alone, check_split_keys, is_part
from tidegate.gguf.template import check_templates
from tidegate.gguf.tensor_scan import TensorScan, tensor_scans
from tidegate.gguf.vocabulary import check_vocabulary

# Twice as much at once costs a third less of all that is done for each piece; more gains nothing.
PIECE_BYTES = 2 * 1024**2
HIDDEN_BYTES = 4096
# As long as nobody knows how long a stream is, no length in its header is too long; the caps still hold.
UNKNOWN_BYTES = 2**63 - 1

Progress = Callable[[int, int], None]
"""Called with bytes done and in all (0 when nobody knows). What it raises ends the inspection."""
Fill = Callable[[memoryview], int]
"""Puts the next bytes into the buffer and says how many; 0 at the end."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything found out about the bytes of a file."""

    digest: str
    size_bytes: int
    header: Header | None
    findings: tuple[Finding, ...]
    numbers_were_scanned: bool


def inspect_file(descriptor: int, progress: Progress | None = None, limits: Limits = LIMITS) -> Inspection:
    """Read a regular file once from its start and judge it. The descriptor stays open.

    A file that changes meanwhile is a finding (`I-CHANGED`), as is anything wrong with its content.
    """
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        return Inspection("", 0, None, (finding("F-KIND", "This is not a regular file."),), False)
    inspector = _Inspector(lambda view: os.readv(descriptor, [view]), before.st_size, progress, limits)
    inspector.run()
    after = os.fstat(descriptor)
    if _identity(before) != _identity(after) or inspector.position != before.st_size:
        inspector.findings.insert(
            0, finding("I-CHANGED", "Size, time or content of the file changed during the inspection.")
        )
    return inspector.result()


def inspect_stream(
    read: Callable[[int], bytes],
    expected_bytes: int | None = None,
    progress: Progress | None = None,
    limits: Limits = LIMITS,
) -> Inspection:
    """Judge what comes out of a pipe, an HTTP body or an object store, exactly like the file with these bytes.

    Args:
        read: Returns at most so many of the next bytes, and none at the end; `file.read` will do.
        expected_bytes: The announced size. Another one is a finding (`I-LENGTH`), and nothing beyond it is read
            but the first byte. Without it a source without end is read without end, until `progress` raises.
        progress: Called after each piece.
        limits: Caps on what the header may ask for.
    """
    inspector = _Inspector(_filler(read), expected_bytes, progress, limits)
    inspector.run()
    if expected_bytes is not None and inspector.position != expected_bytes:
        beyond = "more" if inspector.position > expected_bytes else f"{inspector.position}"
        text = f"The source announced {expected_bytes} bytes and brought {beyond}."
        inspector.findings.insert(0, finding("I-LENGTH", text))
    return inspector.result()


def _filler(read: Callable[[int], bytes]) -> Fill:
    def fill(view: memoryview) -> int:
        piece = read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    return fill


def inspect_header(reading: Reading) -> tuple[Finding, ...]:
    """All rules that need no tensor data."""
    header = reading.header
    if header is None:
        return reading.findings
    found = [*reading.findings, *check_tensors(header)]
    if not has_errors(row for row in found if row.check not in UNSUPPORTED):
        found += check_layout(header)
    if is_adapter(header):
        return (*found, *check_kind(header), *check_adapter(header))
    if is_part(header):
        return (*found, *check_split_keys(header), *check_part_alone(header))
    return (
        *found,
        *check_model(header),
        *check_model_tensors(header),
        *check_vocabulary(header),
        *check_templates(header),
    )


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class _Inspector:
    """Reads, hashes and judges; the size is that of the file, or None for a stream of unknown length."""

    def __init__(self, fill: Fill, size: int | None, progress: Progress | None, limits: Limits):
        self.fill = fill
        self.size = size
        self.progress = progress
        self.limits = limits
        self.position = 0
        self.hash = hashlib.sha256()
        self.header: Header | None = None
        self.findings: list[Finding] = []
        self.is_scanning = False
        self.buffer = memoryview(bytearray(PIECE_BYTES))
        self.scans: list[TensorScan] = []
        self.next_scan = 0
        self.padding = _Padding(0, 0)

    def result(self) -> Inspection:
        return Inspection(
            digest=self.hash.hexdigest(),
            size_bytes=self.position,
            header=self.header,
            findings=capped(self.findings, self.limits),
            numbers_were_scanned=self.is_scanning,
        )

    def run(self) -> None:
        prefix = self._read_header()
        if self.header is not None:
            self._plan(self.header)
            self._judge(self.header.header_bytes, memoryview(prefix)[self.header.header_bytes :])
        if self.size is not None:
            # Only a stream of unknown length is judged once more when its end is known.
            prefix = b""
        while piece := self._read(PIECE_BYTES):
            self._judge(self.position - len(piece), piece)
        if self.size is None:
            self._settle(prefix)
        if self.is_scanning:
            for scan in self.scans:
                self.findings += scan.findings()
            if self.header is not None and is_adapter(self.header):
                self.findings += check_trained_file(
                    self.header, {scan.tensor.name for scan in self.scans if scan.is_zero}
                )
            self.findings += self.padding.findings()

    def _read_header(self) -> bytes | bytearray:
        """The bytes up to the end of the header and some more, already hashed and parsed."""
        content, wanted = self._longer(bytearray(), FIRST_READ_BYTES), FIRST_READ_BYTES
        while True:
            is_whole = len(content) < wanted
            known = UNKNOWN_BYTES if self.size is None else self.size
            try:
                self._take(parse_header(content, len(content) if is_whole else known, self.limits))
            except NeedMore as more:
                wanted = next_read(len(content), more.wanted, self.limits)
            else:
                return content
            content = self._longer(bytearray(content), wanted)

    def _longer(self, content: bytearray, wanted: int) -> bytes | bytearray:
        """The content with what follows, up to a length; items of `bytes` are faster to take, copies cost memory."""
        while len(content) < wanted and (piece := self._read(min(PIECE_BYTES, wanted - len(content)))):
            content += piece
        return bytes(content) if len(content) <= USUAL_HEADER_BYTES else content

    def _take(self, reading: Reading) -> None:
        self.header = reading.header
        self.findings = list(inspect_header(reading))

    def _settle(self, prefix: bytes | bytearray) -> None:
        """Judge the header again, now that it is known how much there is of the tensors that it lists."""
        self._take(parse_header(prefix, self.position, self.limits))
        self.is_scanning = self.is_scanning and not self._has_bad_layout()

    def _read(self, count: int) -> memoryview:
        """The next bytes into the one buffer, hashed; less than wanted only at the end."""
        if self.size is not None:
            # One byte more would show that the source goes on; then nothing more is wanted of it.
            count = min(count, max(0, self.size + 1 - self.position))
        view, length = self.buffer[:count], 0
        while length < count and (added := self.fill(view[length:])):
            length += added
        piece = view[:length]
        self.hash.update(piece)
        self.position += length
        if self.progress is not None and length:
            self.progress(self.position, self.size or 0)
        return piece

    def _plan(self, header: Header) -> None:
        """Scan numbers only where the layout is sound; otherwise offsets mean nothing."""
        if self._has_bad_layout():
            return
        self.is_scanning = True
        self.scans = tensor_scans(header)
        self.padding = _Padding(data_end(header), header.alignment)

    def _has_bad_layout(self) -> bool:
        return any(
            found.check.startswith(("L-", "T-", "H-")) and found.severity is Severity.ERROR
            for found in self.findings
        )

    def _judge(self, start: int, piece: memoryview) -> None:
        if not self.is_scanning:
            return
        content = np.frombuffer(piece, dtype=np.uint8)
        place, end = start, start + len(content)
        while place < end:
            if self.next_scan == len(self.scans):
                self.padding.feed(place, content[place - start :])
                return
            scan = self.scans[self.next_scan]
            if place < scan.start:
                stop = min(end, scan.start)
                self.padding.feed(place, content[place - start : stop - start])
            else:
                stop = min(end, scan.end)
                scan.feed(content[place - start : stop - start])
                self.next_scan += stop == scan.end
            place = stop


@dataclass(slots=True)
class _Padding:
    """Bytes that belong to no tensor: between tensors they must be zero, behind the last there should be none."""

    data_end: int
    alignment: int
    nonzero: int = 0
    first_nonzero: int = 0
    trailing: int = 0
    trailing_nonzero: int = 0

    def feed(self, start: int, content: Bytes) -> None:
        allowed = -(-self.data_end // self.alignment) * self.alignment
        inside, behind = content[: max(0, allowed - start)], content[max(0, allowed - start) :]
        nonzero = int(np.count_nonzero(inside))
        if nonzero and not self.nonzero:
            self.first_nonzero = start + int(np.flatnonzero(inside)[0])
        self.nonzero += nonzero
        self.trailing += len(behind)
        self.trailing_nonzero += int(np.count_nonzero(behind))

    def findings(self) -> Iterator[Finding]:
        if self.nonzero:
            level = Severity.ERROR if self.nonzero > HIDDEN_BYTES else Severity.WARNING
            text = f"{self.nonzero} bytes of padding are not zero."
            yield finding("L-PAD", text, offset=self.first_nonzero, severity=level)
        if self.trailing:
            level = Severity.ERROR if self.trailing_nonzero else Severity.WARNING
            count = "One byte follows" if self.trailing == 1 else f"{self.trailing} bytes follow"
            kinds = (
                f"{self.trailing_nonzero} of them not zero" if self.trailing_nonzero else "all of them zero"
            )
            text = f"{count} the last tensor, {kinds}."
            yield finding("L-TRAIL", text, offset=self.data_end, severity=level)
