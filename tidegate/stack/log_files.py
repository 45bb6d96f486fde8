"""Logs of supervised processes: opened for appending, rotated by size, read from their end."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

MAX_LOG_BYTES = 8 * 1024**2
KEPT_ROTATIONS = 2
TAIL_BLOCK_BYTES = 64 * 1024


def open_log(path: Path) -> IO[bytes]:
    """A private file that a process may write to after its supervisor is gone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def rotate(path: Path, max_bytes: int = MAX_LOG_BYTES, kept: int = KEPT_ROTATIONS) -> bool:
    """Copy the log aside and empty it, when it has grown too large.

    The writer keeps its descriptor: it was opened for appending, so it goes on at the start of the emptied
    file. Lines written between the copy and the cut are lost; that is the price of having no pipe, whose
    reader's death would kill the writer.
    """
    try:
        if path.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    for number in range(kept, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    shutil.copy2(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; none when it does not exist."""
    if lines <= 0:
        return []
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            block = b""
            while position > 0 and block.count(b"\n") <= lines:
                step = min(TAIL_BLOCK_BYTES, position)
                position = file.seek(position - step)
                block = file.read(step) + block
                file.seek(position)
    except FileNotFoundError:
        return []
    return block.decode("utf-8", errors="replace").splitlines()[-lines:]


def read_new(path: Path, offset: int) -> tuple[str, int]:
    """Whole lines written after `offset`, and the next offset; starts over when the log was rotated."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(offset if offset <= size else 0)
            start = file.tell()
            block = file.read()
    except FileNotFoundError:
        return "", 0
    end = block.rfind(b"\n") + 1
    return block[:end].decode("utf-8", errors="replace"), start + end


def log_files(folder: Path) -> Iterator[Path]:
    """Current logs of a folder, by name."""
    yield from sorted(folder.glob("*.log"))
