"""One pass over an open file: SHA-256, header, layout, padding and numbers from the same buffer.

What was hashed is what was judged. Reading, not mapping: a file that shrinks meanwhile cannot kill us.
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
from tidegate.gguf.numbers import Bytes, TensorScan, tensor_scans
from tidegate.gguf.reader import FIRST_READ_BYTES, NeedMore, Reading, parse_header
from tidegate.gguf.rules import UNSUPPORTED, finding
from tidegate.gguf.split import check_part_alone, check_split_keys, is_part
from tidegate.gguf.template import check_templates
from tidegate.gguf.vocabulary import check_vocabulary

PIECE_BYTES = 1024**2
HIDDEN_BYTES = 4096

Progress = Callable[[int, int], None]


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
    inspector = _Inspector(descriptor, before.st_size, progress, limits)
    inspector.run()
    after = os.fstat(descriptor)
    found = list(inspector.findings)
    if _identity(before) != _identity(after) or inspector.position != before.st_size:
        found.insert(
            0, finding("I-CHANGED", "Size, time or content of the file changed during the inspection.")
        )
    return Inspection(
        digest=inspector.hash.hexdigest(),
        size_bytes=inspector.position,
        header=inspector.header,
        findings=capped(found, limits),
        numbers_were_scanned=inspector.is_scanning,
    )


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
    def __init__(self, descriptor: int, size: int, progress: Progress | None, limits: Limits):
        self.descriptor = descriptor
        self.size = size
        self.progress = progress
        self.limits = limits
        self.position = 0
        self.hash = hashlib.sha256()
        self.header: Header | None = None
        self.findings: list[Finding] = []
        self.is_scanning = False
        self.buffer = bytearray(PIECE_BYTES)
        self.scans: list[TensorScan] = []
        self.next_scan = 0
        self.padding = _Padding(0, 0)

    def run(self) -> None:
        prefix = self._read_header()
        if self.header is not None:
            self._plan(self.header)
        self._judge(0, prefix)
        del prefix
        while piece := self._read(PIECE_BYTES):
            self._judge(self.position - len(piece), piece)
        if self.is_scanning:
            for scan in self.scans:
                self.findings += scan.findings()
            if self.header is not None and is_adapter(self.header):
                self.findings += check_trained_file(
                    self.header, {scan.tensor.name for scan in self.scans if scan.is_zero}
                )
            self.findings += self.padding.findings()

    def _read_header(self) -> bytes:
        prefix = bytearray()
        wanted = FIRST_READ_BYTES
        while True:
            while len(prefix) < wanted and (piece := self._read(min(PIECE_BYTES, wanted - len(prefix)))):
                prefix += piece
            is_whole = len(prefix) < wanted
            content = bytes(prefix)
            try:
                reading = parse_header(content, len(prefix) if is_whole else self.size, self.limits)
            except NeedMore as more:
                wanted = max(more.wanted, 2 * len(prefix))
                continue
            self.header = reading.header
            self.findings += inspect_header(reading)
            return content

    def _read(self, count: int) -> memoryview:
        """The next bytes into the one buffer, hashed; empty at the end."""
        view = memoryview(self.buffer)[:count]
        length = os.readv(self.descriptor, [view])
        piece = view[:length]
        self.hash.update(piece)
        self.position += length
        if self.progress is not None and length:
            self.progress(self.position, self.size)
        return piece

    def _plan(self, header: Header) -> None:
        """Scan numbers only where the layout is sound; otherwise offsets mean nothing."""
        has_bad_layout = any(
            found.check.startswith(("L-", "T-", "H-")) and found.severity is Severity.ERROR
            for found in self.findings
        )
        if has_bad_layout:
            return
        self.is_scanning = True
        self.scans = tensor_scans(header)
        self.padding = _Padding(data_end(header), header.alignment)

    def _judge(self, start: int, piece: bytes | memoryview) -> None:
        if not self.is_scanning or self.header is None:
            return
        content = np.frombuffer(piece, dtype=np.uint8)
        end = start + len(content)
        place = max(start, self.header.header_bytes)
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
            text = f"{self.trailing} bytes follow the last tensor, {self.trailing_nonzero} of them not zero."
            yield finding("L-TRAIL", text, offset=self.data_end, severity=level)
