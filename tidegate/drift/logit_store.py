"""Keeps the baseline's logits while the candidate is loaded in its place: a file of fixed size, made by the parent.

The child may write no files; it writes into the pages of this one, whose size and place on the disk are reserved
before. It has no name, so that nothing is left behind whatever happens.
"""

import mmap
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from tidegate.domain import Transient
from tidegate.drift.measure import Logits

BYTES_PER_LOGIT = 4


@contextmanager
def reserved(size: int) -> Generator[int]:
    """Descriptor of a nameless file with as many bytes. Raises: Transient when the disk has no room."""
    with tempfile.TemporaryFile(prefix="tidegate-logits-") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise Transient(
                f"There is no room for {size / 1024**3:.1f} GiB of logits on the disk: {error.strerror}.",
                remedy="Free some space, or measure fewer tokens.",
            ) from error
        yield file.fileno()


class LogitStore:
    """Rows of logits, put in order and taken in order from a place."""

    def __init__(self, descriptor: int, vocabulary_size: int):
        size = os.fstat(descriptor).st_size
        self._rows = np.frombuffer(mmap.mmap(descriptor, size), dtype=np.float32)
        self._width = vocabulary_size
        self.capacity = size // (BYTES_PER_LOGIT * vocabulary_size)
        self._at = 0

    def seek(self, row: int) -> None:
        self._at = row

    def put(self, logits: Logits) -> None:
        self._next(len(logits))[...] = logits

    def take(self, shapes: Iterable[int]) -> Iterator[Logits]:
        """Blocks of so many rows each."""
        for rows in shapes:
            yield self._next(rows)

    def _next(self, rows: int) -> Logits:
        first = self._at
        if first + rows > self.capacity:
            raise ValueError("more logits than there is room for")
        self._at = first + rows
        return self._rows[first * self._width : self._at * self._width].reshape(rows, self._width)
