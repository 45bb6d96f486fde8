"""The folder of backups: each a folder of its own that appears whole or not at all, readable by its owner only."""

import hashlib
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from tidegate.backup.manifest import MANIFEST, NAME_PATTERN, FileEntry, Manifest, Verification, expired
from tidegate.domain import NeedsOperator, NotFound, Transient

VERIFIED = "verified.json"
UNFINISHED = ".unfinished-"
TRIAL = ".trial-"
"""A ledger that is restored as a test."""
ABANDONED = timedelta(days=1)
"""So old, what lies half made is of a process that was killed."""


@dataclass(frozen=True)
class Kept:
    """One backup of the folder. `trouble` says why it is of no use; then it has no manifest."""

    name: str
    folder: Path
    manifest: Manifest | None = None
    verified: Verification | None = None
    trouble: str = ""


class Archive:
    """Below `root`."""

    def __init__(self, root: Path):
        self.root = root

    @contextmanager
    def draft(self, name: str) -> Generator[Path]:
        """A private folder that becomes the backup `name` when the block ends well, and is gone when it does not.

        Raises: Transient when the disk cannot be written.
        """
        draft = self.root / f"{UNFINISHED}{name}"
        try:
            draft.mkdir(mode=0o700, parents=True)
            yield draft
            for path in (*draft.iterdir(), draft):
                _sync(path)
            draft.rename(self.root / name)
            _sync(self.root)
        except OSError as error:
            raise Transient(
                f"The backup cannot be written to {self.root}: {error.strerror or error}.",
                remedy="See that there is room and that the folder can be written, or set TIDEGATE_BACKUP_DIR.",
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def all(self) -> list[Kept]:
        """The newest first, those that are damaged included."""
        if not self.root.is_dir():
            return []
        names = [path.name for path in self.root.iterdir() if re.fullmatch(NAME_PATTERN, path.name)]
        return sorted(map(self._read, names), key=_age, reverse=True)

    def get(self, name: str = "") -> Kept:
        """The backup of that name, by default the newest. Raises: NotFound, NeedsOperator when it is of no use."""
        found = self.all()
        if name:
            found = [kept for kept in found if kept.name == name]
        if not found:
            raise NotFound(
                f"There is no backup {name} in {self.root}."
                if name
                else f"There is no backup in {self.root}.",
                remedy="See: tidegate backup list. Make one: tidegate backup create.",
                field="name",
            )
        if found[0].manifest is None:
            raise NeedsOperator(
                f"The backup {found[0].name} is of no use: {found[0].trouble}.",
                remedy="Take another one: tidegate backup list.",
            )
        return found[0]

    def note_verified(self, kept: Kept, verification: Verification) -> None:
        write_private(kept.folder / VERIFIED, verification.model_dump_json(indent=2).encode())

    def clear(self, now: datetime, keep: int, max_age: timedelta) -> list[str]:
        """Remove what is not to be kept longer; returns their names. Raises: Transient when one cannot be removed."""
        found = [
            (kept.manifest, kept.verified is not None) for kept in self.all() if kept.manifest is not None
        ]
        gone = [manifest.name for manifest in expired(found, now, keep, max_age)]
        try:
            for name in gone:
                # Out of the way in one step: half a backup must not look like one.
                aside = self.root / f"{UNFINISHED}{name}"
                (self.root / name).rename(aside)
                shutil.rmtree(aside)
        except OSError as error:
            raise Transient(
                f"Old backups in {self.root} cannot be removed: {error.strerror or error}.",
                remedy="See whose they are: the user that runs Tidegate must be able to remove them.",
            ) from error
        for path in (*self.root.glob(f"{UNFINISHED}*"), *self.root.glob(f"{TRIAL}*")):
            if now.timestamp() - path.stat().st_mtime > ABANDONED.total_seconds():
                shutil.rmtree(path, ignore_errors=True)
        return gone

    def _read(self, name: str) -> Kept:
        folder = self.root / name
        try:
            manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
            if manifest.name != name:
                return Kept(name, folder, trouble=f"its manifest is that of {manifest.name}")
            return Kept(name, folder, manifest, self._verification(folder))
        except OSError as error:
            return Kept(name, folder, trouble=f"its manifest cannot be read: {error.strerror}")
        except ValidationError:
            return Kept(name, folder, trouble="its manifest is damaged, or of a newer Tidegate")

    def _verification(self, folder: Path) -> Verification | None:
        try:
            return Verification.model_validate_json((folder / VERIFIED).read_bytes())
        except (OSError, ValidationError):
            return None


def _age(kept: Kept) -> tuple[str, float]:
    """Names tell the second; of two in one second the manifests tell which is newer."""
    return kept.name.partition("-")[0], kept.manifest.made_at.timestamp() if kept.manifest else 0.0


def damaged(kept: Kept) -> list[str]:
    """Files that are not what the manifest says, each with why."""
    assert kept.manifest is not None, "Archive.get says so"
    problems: list[str] = []
    for name, entry in kept.manifest.files.items():
        path = kept.folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif entry_of(path) != entry:
            problems.append(f"{name} is not what was written")
    return problems


def entry_of(path: Path) -> FileEntry:
    with path.open("rb", buffering=0) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(size_bytes=path.stat().st_size, sha256=digest)


def write_private(path: Path, content: bytes) -> None:
    """The whole content or the former one, for its owner only."""
    draft = path.with_name(f".{path.name}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
