"""Lists a folder that nobody has vouched for, without ever leaving it: no link is followed out of it.

Everything is opened from the folder's own descriptor, part by part, so that swapping a folder for a link
meanwhile leads nowhere.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.gguf import Finding, quote
from tidegate.safetensors.rules import finding

MAX_FILES = 4096
MAX_DEPTH = 4
MAX_NAME_BYTES = 255
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Entry:
    """A plain file of the folder, by its path inside of it with slashes."""

    path: str
    size: int
    opened_as: str
    """Path of the file itself, which differs for a link inside of the folder."""


@dataclass(frozen=True, slots=True)
class Listing:
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]


def list_folder(descriptor: int) -> Listing:
    """All plain files below the folder, in the order of their names, and what else is there."""
    found: list[Finding] = []
    entries: list[Entry] = []
    for item in _walk(descriptor, "", 1):
        if isinstance(item, Finding):
            found.append(item)
        else:
            entries.append(item)
        if len(entries) > MAX_FILES or len(found) > MAX_FILES:
            found.append(finding("FD-LIMIT", f"The folder holds more than {MAX_FILES} files."))
            break
    return Listing(tuple(sorted(entries, key=lambda entry: entry.path)), tuple(found))


def open_entry(descriptor: int, entry: Entry) -> int:
    """Open a listed file, following no link on the way.

    Raises:
        OSError: it is not there any more, may not be read, or became something else.
    """
    *folders, name = entry.opened_as.split("/")
    place = os.dup(descriptor)
    try:
        for folder in folders:
            inner = os.open(folder, _OPEN | os.O_DIRECTORY, dir_fd=place)
            os.close(place)
            place = inner
        return os.open(name, _OPEN, dir_fd=place)
    finally:
        os.close(place)


def _walk(descriptor: int, prefix: str, depth: int) -> Iterator[Entry | Finding]:
    try:
        names = sorted(os.listdir(descriptor))
    except OSError as error:
        yield finding("FD-READ", f"Folder {quote(prefix or '.')} cannot be listed: {error.strerror}.")
        return
    for name in names[: MAX_FILES + 1]:
        path = prefix + name
        if not name.isprintable() or "\\" in name:
            yield finding("FD-NAME", f"The folder holds a file named {quote(path)}.", subject=path)
            continue
        status = os.lstat(name, dir_fd=descriptor)
        if stat.S_ISREG(status.st_mode):
            yield Entry(path, status.st_size, path)
        elif stat.S_ISLNK(status.st_mode):
            yield _link(descriptor, name, prefix)
        elif not stat.S_ISDIR(status.st_mode):
            yield finding("FD-SPECIAL", f"{quote(path)} is no plain file.", subject=path)
        elif depth >= MAX_DEPTH:
            yield finding("FD-LIMIT", f"Folder {quote(path)} is nested too deep.", subject=path)
        else:
            yield from _inner(descriptor, name, path, depth)


def _inner(descriptor: int, name: str, path: str, depth: int) -> Iterator[Entry | Finding]:
    try:
        inner = os.open(name, _OPEN | os.O_DIRECTORY, dir_fd=descriptor)
    except OSError as error:
        yield finding("FD-READ", f"Folder {quote(path)} cannot be opened: {error.strerror}.", subject=path)
        return
    try:
        yield from _walk(inner, path + "/", depth + 1)
    finally:
        os.close(inner)


def _link(descriptor: int, name: str, prefix: str) -> Entry | Finding:
    """A link counts as the file it names when that lies beside it; every other one leads out."""
    path = prefix + name
    target = os.readlink(name, dir_fd=descriptor)
    if "/" not in target and target not in (".", ".."):
        try:
            status = os.lstat(target, dir_fd=descriptor)
        except OSError:
            return finding("FD-LINK", f"{quote(path)} is a link to {quote(target)}, which is not there.",
                           subject=path)  # fmt: skip
        if stat.S_ISREG(status.st_mode):
            return Entry(path, status.st_size, prefix + target)
    return finding("FD-LINK", f"{quote(path)} is a link to {quote(target)}.", subject=path)
