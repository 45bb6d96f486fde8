"""Reads an open file once from its start, hashed as it goes, and notices when it changes meanwhile."""

import hashlib
import os
from collections.abc import Callable, Iterator

from tidegate.gguf import Finding
from tidegate.safetensors.rules import finding

PIECE_BYTES = 1024**2

Progress = Callable[[int, int], None]
Identity = tuple[int, int, int, int]


def identity(status: os.stat_result) -> Identity:
    """What must stay the same while a file is read."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class HashedFile:
    """A regular file behind a descriptor, which stays open. Memory is one buffer, whatever the size."""

    def __init__(self, descriptor: int, progress: Progress | None = None):
        self.descriptor = descriptor
        self.progress = progress
        self.before = os.fstat(descriptor)
        self.position = 0
        self._hash = hashlib.sha256()
        self._buffer = bytearray(PIECE_BYTES)

    @property
    def size(self) -> int:
        return self.before.st_size

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def take(self, count: int) -> bytes:
        """The next bytes as a value of their own; fewer at the end of the file."""
        content = bytearray()
        while len(content) < count and (piece := self._read(min(PIECE_BYTES, count - len(content)))):
            content += piece
        return bytes(content)

    def pieces(self) -> Iterator[memoryview]:
        """Everything that is left, piece by piece in the one buffer."""
        while piece := self._read(PIECE_BYTES):
            yield piece

    def changes(self) -> tuple[Finding, ...]:
        """The finding that the file changed, if it did; to be asked at the end."""
        is_same = identity(self.before) == identity(os.fstat(self.descriptor))
        if is_same and self.position == self.size:
            return ()
        return (finding("I-CHANGED", "Size, time or content of the file changed during the inspection."),)

    def _read(self, count: int) -> memoryview:
        view = memoryview(self._buffer)[:count]
        piece = view[: os.readv(self.descriptor, [view])]
        self._hash.update(piece)
        self.position += len(piece)
        if self.progress is not None and piece:
            self.progress(self.position, self.size)
        return piece
