"""A working folder for each Envoy process, and the log of what it measured, read line by line exactly once.

The folder is the process's own, because two Envoys of one gateway (one that leaves, one that came) must never write
into one file. Its lock lives as long as the process: whoever can take it knows that nobody writes any more.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.files import OWNER_ONLY_FILE, OWNER_ONLY_FOLDER
from tidegate.gateway.listener import LIVE_LOG

BOOTS = "boots"
ASIDE = f"{LIVE_LOG}.1"
"""The part of the log that was renamed and is read to its end; at most one."""
_LOCK = "alive"
_PIECE_BYTES = 1_048_576


@dataclass(frozen=True)
class Boot:
    """The folder of one Envoy process."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def log(self) -> Path:
        return self.folder / LIVE_LOG

    @property
    def aside(self) -> Path:
        return self.folder / ASIDE

    def is_over(self) -> bool:
        """Whether its Envoy has ended, so that nothing is written here any more."""
        try:
            handle = os.open(self.folder / _LOCK, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def new_boot(config: GatewayConfig) -> tuple[Boot, int]:
    """A folder, and the open lock that the Envoy must inherit; the caller closes it when it did.

    It appears with its lock taken: a reader never sees it without.
    """
    name = f"{time.time_ns():020}-{os.getpid()}"
    hidden = config.path(BOOTS) / f".{name}"
    hidden.mkdir(mode=OWNER_ONLY_FOLDER, parents=True)
    handle = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT, OWNER_ONLY_FILE)
    fcntl.flock(handle, fcntl.LOCK_EX)
    folder = config.path(BOOTS) / name
    hidden.rename(folder)
    return Boot(folder.absolute()), handle


def boots(config: GatewayConfig) -> list[Boot]:
    """Every Envoy of this gateway that has left something to read, the newest last."""
    root = config.path(BOOTS)
    if not root.is_dir():
        return []
    return [Boot(path) for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]


@dataclass
class Reading:
    """How far the log of a boot was read: its present part, and the part that was renamed, if there is one."""

    log: int = 0
    aside: int | None = None

    def lines(self, boot: Boot, *, most_bytes: int) -> Iterator[bytes]:
        """Whole lines that were not read before, the older part first. A line without its end stays for later."""
        if not boot.aside.exists():
            self.aside = None
        elif self.aside is None:
            # Renamed since: also by a process that ended before it could write that down.
            self.log, self.aside = 0, self.log
        if self.aside is not None:
            for line, end in _lines(boot.aside, self.aside, most_bytes):
                self.aside = end
                yield line
        for line, end in _lines(boot.log, self.log, most_bytes):
            self.log = end
            yield line


def _lines(path: Path, start: int, most_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Each line with the position behind it. Of more than `most_bytes` only the newest are looked at."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        if size - start > most_bytes:
            file.seek(size - most_bytes)
            start = size - most_bytes + len(file.readline())
        file.seek(start)
        rest = b""
        while piece := file.read(_PIECE_BYTES):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                start += len(line) + 1
                yield line, start
