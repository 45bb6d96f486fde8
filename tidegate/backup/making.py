"""Makes backups, proves them by restoring, and brings one back. Needs no ledger that can be opened: it may be lost."""

import io
import json
import secrets
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from tidegate import __version__
from tidegate.backup.archive import TRIAL, Archive, Kept, damaged, entry_of, write_private
from tidegate.backup.copying import Database, Facts, database_at
from tidegate.backup.manifest import CONFIGURATION, LEDGER, MANIFEST, SEALED, Manifest, Verification
from tidegate.backup.sealing import seal, unseal
from tidegate.domain import NeedsOperator, NotFound, Secret, Transient
from tidegate.domain.audit import Anchor
from tidegate.ledger import Ledger
from tidegate.ledger.migrations import HEAD

SPARE_BYTES = 64 * 1024**2
KEPT_SUFFIXES = (".yaml", ".yml", ".pem")
"""What an organization is made of: its file, its policies, and public keys. Anything else there is not ours."""


@dataclass(frozen=True)
class Sealed:
    """What is only kept sealed: secrets by name, and which artifacts the store has. `passphrase` opens it."""

    passphrase: Secret
    secrets: Mapping[str, Secret]
    store: Mapping[str, int]
    """Digest -> size."""


@dataclass(frozen=True)
class Checked:
    """A backup that was restored as a test. `problems` is empty when all was there."""

    kept: Kept
    problems: tuple[str, ...]
    rows: int
    took_s: float


@dataclass(frozen=True)
class Backups:
    """Of one installation. `configuration` are the folders of organizations and policies."""

    archive: Archive
    ledger_url: str
    configuration: Sequence[Path] = ()
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def create(self, sealed: Sealed | None = None) -> Kept:
        """One more backup, whole or not at all.

        Raises: Transient, NeedsOperator, Refused for a passphrase that could be guessed.
        """
        now = self.clock()
        name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        database = database_at(self.ledger_url)
        self._require_room(database)
        with self.archive.draft(name) as draft:
            facts = database.dump(draft / LEDGER)
            write_private(draft / CONFIGURATION, _packed(self.configuration))
            if sealed is not None:
                write_private(draft / SEALED, seal(_sealable(sealed), sealed.passphrase, name))
            manifest = Manifest(
                name=name,
                made_at=now,
                tidegate=__version__,
                database="sqlite" if database.kind == "sqlite" else "postgresql",
                revision=facts.revision,
                rows=facts.rows,
                audit_end=facts.audit_end,
                files={path.name: entry_of(path) for path in sorted(draft.iterdir())},
            )
            write_private(draft / MANIFEST, manifest.model_dump_json(indent=2).encode())
        return self.archive.get(name)

    def verify(self, name: str = "") -> Checked:
        """Restore it into a place of its own, and compare every count, the schema and the whole audit log.

        Raises: NotFound, NeedsOperator, Transient.
        """
        begun = time.monotonic()
        kept = self.archive.get(name)
        manifest = _manifest(kept)
        problems = damaged(kept)
        if not problems:
            problems = self._tried(kept, manifest)
        took_s = time.monotonic() - begun
        rows = sum(manifest.rows.values())
        if not problems:
            self.archive.note_verified(
                kept, Verification(at=self.clock(), rows=rows, took_s=round(took_s, 3))
            )
        return Checked(kept, tuple(problems), rows, took_s)

    def restore(self, name: str = "", *, actor: str = "") -> str:
        """Put the ledger of a backup in the place of the present one, after its bytes were checked. The restored audit
        log says that it was, by whom and from which backup.

        Raises: NotFound, NeedsOperator for a damaged one or one of another kind of database, Refused.
        """
        kept = self.archive.get(name)
        database, manifest = self._database_of(kept), _manifest(kept)
        problems = damaged(kept)
        if problems:
            raise NeedsOperator(
                f"The backup {kept.name} is damaged: {problems[0]}. Nothing was restored.",
                remedy="Take another one: tidegate backup list.",
            )
        if manifest.revision > HEAD:
            raise NeedsOperator(
                f"The backup {kept.name} has schema {manifest.revision}, and this Tidegate knows {HEAD}. Nothing was restored.",
                remedy="Install the version of Tidegate that made it, or a newer one.",
            )
        said = database.restore(kept.folder / LEDGER)
        # Opening brings an older schema up to date, or refuses one that a newer Tidegate made.
        with Ledger.open(self.ledger_url) as ledger:
            evidence = {"made_at": manifest.made_at.isoformat(), "rows": sum(manifest.rows.values())}
            ledger.note_deed("ledger.restored", actor=actor, subject=kept.name, evidence=evidence)
        return f"{said}; {sum(manifest.rows.values())} rows of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC"

    def secrets_of(self, name: str, passphrase: Secret) -> dict[str, Secret]:
        """The secrets that were sealed into a backup. Raises: NotFound when there are none, Refused."""
        kept = self.archive.get(name)
        if not _manifest(kept).has_secrets:
            raise NotFound(
                f"The backup {kept.name} holds no secrets.",
                remedy="Those made with --with-secrets do: tidegate backup list.",
            )
        content: Any = json.loads(unseal((kept.folder / SEALED).read_bytes(), passphrase, kept.name))
        return {
            str(key): Secret(str(value)) for key, value in cast("dict[str, str]", content["secrets"]).items()
        }

    def _database_of(self, kept: Kept) -> Database:
        database, manifest = database_at(self.ledger_url), _manifest(kept)
        if database.kind != manifest.database:
            raise NeedsOperator(
                f"The backup {kept.name} is of a {manifest.database} ledger, and TIDEGATE_LEDGER_URL names a "
                f"{database.kind} one.",
                remedy=f"Name a {manifest.database} database in TIDEGATE_LEDGER_URL.",
            )
        return database

    def _tried(self, kept: Kept, manifest: Manifest) -> list[str]:
        wanted = Facts(manifest.revision, manifest.rows, manifest.audit_end)
        scratch = Path(tempfile.mkdtemp(prefix=TRIAL, dir=self.archive.root))
        try:
            with self._database_of(kept).trial(kept.folder / LEDGER, scratch) as (url, facts):
                problems = wanted.differences(facts)
                return problems or _audit_problems(url, manifest)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _require_room(self, database: Database) -> None:
        folder = next(path for path in (self.archive.root, *self.archive.root.parents) if path.exists())
        free, wanted = shutil.disk_usage(folder).free, database.size_bytes() + SPARE_BYTES
        if free < wanted:
            raise Transient(
                f"A backup needs {wanted / 1024**2:.0f} MiB in {self.archive.root}, {free / 1024**2:.0f} MiB are free.",
                remedy="Free some, keep fewer backups (--keep), or set TIDEGATE_BACKUP_DIR to another disk.",
            )


def _audit_problems(url: str, manifest: Manifest) -> list[str]:
    """The restored ledger opens, its schema is brought up to date, and its audit log is one chain to the same end."""
    end = manifest.audit_end
    anchors = [Anchor(end.number, end.hash)] if end else []
    with Ledger.open(url) as ledger:
        seen = ledger.verify_audit(anchors)
    return (
        [f"the audit log is broken at entry {seen.broken.number}: {seen.broken.why}"] if seen.broken else []
    )


def _manifest(kept: Kept) -> Manifest:
    assert kept.manifest is not None, "Archive.get says so"
    return kept.manifest


def _sealable(sealed: Sealed) -> bytes:
    content = {
        "secrets": {name: value.reveal() for name, value in sealed.secrets.items()},
        "store": dict(sealed.store),
    }
    return json.dumps(content).encode()


def _packed(folders: Sequence[Path]) -> bytes:
    """A tar of the configuration: references to secrets stand in it, never a secret."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for folder in folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.is_symlink() and path.suffix in KEPT_SUFFIXES:
                    packed.add(path, arcname=f"{folder.name}/{path.relative_to(folder)}", recursive=False)
    return buffer.getvalue()
