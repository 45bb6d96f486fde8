"""A folder of immutable artifacts: `root/sha256/ab/<digest>.gguf`, read-only.

Its detached signatures lie beside it, each under its own digest.
A file appears under its digest only when all of it is on the disk: it is copied to a temporary name on the
same file system, hashed on the way, synced, then linked. A crash leaves at most a temporary file.
"""

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tidegate.domain import InvalidInput, NotFound, Transient
from tidegate.domain.names import DIGEST_PATTERN

PIECE_BYTES = 4 * 1024**2
RESERVE_BYTES = 64 * 1024**2
STALE_AFTER_S = 24 * 3600.0

Progress = Callable[[int, int], None]
FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """One file in the store."""

    digest: str
    size_bytes: int
    path: str


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class ArtifactStore:
    """Content-addressed files below `root`. Several processes may use one store at once."""

    def __init__(self, root: str | Path, *, free_bytes: FreeBytes = _free_bytes):
        self.root = Path(root).absolute()
        self._free_bytes = free_bytes

    def add(
        self, path: str | Path, *, expected_digest: str | None = None, progress: Progress | None = None
    ) -> StoredArtifact:
        """Store a copy of the file and return where it lies. The same content again returns the stored one.

        Raises:
            NotFound: there is no such file.
            InvalidInput: it is a link, a folder, a device, a pipe or empty, changed while it was read, or has
                another digest than expected.
            Transient: the disk has no room for it, or cannot be read or written.
        """
        source = Path(path)
        descriptor = _open_regular(source)
        try:
            return self._add(source, descriptor, expected_digest, progress)
        except OSError as error:
            raise Transient(
                f"The artifact {source} could not be stored: {error.strerror or error}.",
                remedy=f"Check space and permissions of {self.root}.",
                path=source,
            ) from error
        finally:
            os.close(descriptor)

    def path_of(self, digest: str) -> str | None:
        """Where the artifact lies, or None when it is not stored (or `digest` is none)."""
        if not re.fullmatch(DIGEST_PATTERN, digest):
            return None
        target = self._target(digest)
        return str(target) if _is_artifact(target) else None

    def verify(self, digest: str) -> bool:
        """Read the stored file again and compare; False when it is missing or damaged."""
        path = self.path_of(digest)
        if path is None:
            return False
        with open(path, "rb", buffering=0) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest

    def add_signature(self, digest: str, bundle: bytes) -> None:
        """Keep a detached signature beside its artifact; the same one again changes nothing.

        Raises:
            NotFound: the artifact is not stored.
            Transient: the disk cannot be written.
        """
        if self.path_of(digest) is None:
            raise NotFound(
                f"The store has no artifact {digest[:12]} to sign.", remedy="Add the model file first."
            )
        target = self._signatures_of(digest) / f"{hashlib.sha256(bundle).hexdigest()}.json"
        try:
            self._write_small(target, bundle)
        except OSError as error:
            raise Transient(
                f"The signature {target} could not be stored: {error.strerror or error}.",
                remedy=f"Check space and permissions of {self.root}.",
                path=target,
            ) from error

    def signatures(self, digest: str) -> list[bytes]:
        """Detached signatures of the artifact, in a stable order. They are kept, not judged, here."""
        if not re.fullmatch(DIGEST_PATTERN, digest):
            return []
        return [path.read_bytes() for path in sorted(self._signatures_of(digest).glob("*.json"))]

    def sweep(self, now: float | None = None) -> int:
        """Remove temporary files that a crash left behind more than a day ago; returns how many."""
        limit = (time.time() if now is None else now) - STALE_AFTER_S
        removed = 0
        for leftover in self._incoming().glob("*.part"):
            if leftover.lstat().st_mtime < limit:
                leftover.unlink(missing_ok=True)
                removed += 1
        return removed

    def _add(
        self, source: Path, descriptor: int, expected_digest: str | None, progress: Progress | None
    ) -> StoredArtifact:
        before = os.fstat(descriptor)
        self._incoming().mkdir(parents=True, exist_ok=True)
        self._require_room(before.st_size)
        handle, name = tempfile.mkstemp(dir=self._incoming(), suffix=".part")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb", buffering=0) as target:
                digest, size = _copy(descriptor, target.fileno(), before.st_size, progress)
                os.fchmod(target.fileno(), 0o444)
                os.fsync(target.fileno())
            _require_unchanged(source, before, os.fstat(descriptor), size)
            if expected_digest is not None and digest != expected_digest:
                raise InvalidInput(
                    f"{source} has the SHA-256 {digest}, expected {expected_digest}.",
                    remedy="Fetch the file again from its publisher.",
                    field="digest",
                )
            self._publish(temporary, digest, size)
        finally:
            temporary.unlink(missing_ok=True)
        return StoredArtifact(digest, size, str(self._target(digest)))

    def _publish(self, temporary: Path, digest: str, size: int) -> None:
        """Give the complete file its name. An intact file of that name stays; a damaged one is replaced."""
        target = self._target(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        is_there = _is_artifact(target) and target.stat().st_size == size and self.verify(digest)
        if not is_there:
            os.rename(temporary, target)
            _sync_folder(target.parent)
            _sync_folder(target.parent.parent)

    def _write_small(self, target: Path, content: bytes) -> None:
        """Whole or not at all, like an artifact."""
        self._incoming().mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._incoming(), suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                os.fchmod(handle, 0o444)
                stream.flush()
                os.fsync(handle)
            os.rename(name, target)
            _sync_folder(target.parent)
            _sync_folder(target.parent.parent)
        finally:
            Path(name).unlink(missing_ok=True)

    def _require_room(self, size: int) -> None:
        free = self._free_bytes(self._incoming())
        if free < size + RESERVE_BYTES:
            raise Transient(
                f"The store has {free} bytes free; {size} are needed and {RESERVE_BYTES} stay in reserve.",
                remedy=f"Free space on the disk of {self.root}.",
                free_bytes=free,
                size_bytes=size,
            )

    def _incoming(self) -> Path:
        return self.root / "incoming"

    def _signatures_of(self, digest: str) -> Path:
        return self.root / "sha256" / digest[:2] / f"{digest}.signatures"

    def _target(self, digest: str) -> Path:
        return self.root / "sha256" / digest[:2] / f"{digest}.gguf"


def _open_regular(path: Path) -> int:
    """Open without following a link and without waiting at a pipe; refuse what is no regular file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", remedy="Check the path.", field="path") from error
    except OSError as error:
        what = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be opened: {error.strerror}"
        raise _refused(path, what) from error
    except ValueError as error:
        raise _refused(path, "is no path") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise _refused(path, "is not a regular file")
    if status.st_size == 0:
        os.close(descriptor)
        raise _refused(path, "is empty")
    return descriptor


def _refused(path: Path, what: str) -> InvalidInput:
    return InvalidInput(f"{str(path)!r} {what}.", remedy="Name the model file itself.", field="path")


def _copy(source: int, target: int, size: int, progress: Progress | None) -> tuple[str, int]:
    sha256 = hashlib.sha256()
    buffer = memoryview(bytearray(PIECE_BYTES))
    done = 0
    while length := os.readv(source, [buffer]):
        piece = buffer[:length]
        sha256.update(piece)
        written = 0
        while written < length:
            written += os.write(target, piece[written:])
        done += length
        if done > size:
            break
        if progress is not None:
            progress(done, size)
    return sha256.hexdigest(), done


def _require_unchanged(path: Path, before: os.stat_result, after: os.stat_result, copied: int) -> None:
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or copied != before.st_size:
        raise InvalidInput(
            f"{str(path)!r} changed while it was read.",
            remedy="Wait until the export has ended, then add the file again.",
            field="path",
        )


def _is_artifact(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
