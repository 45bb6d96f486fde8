"""Copies a SQLite ledger by SQLite's own online backup: writers go on, and the copy is of one moment."""

import os
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tidegate.backup.copying import Facts, facts_of
from tidegate.domain import NeedsOperator, Refused, Transient
from tidegate.ledger.failures import Place, translate

TIMEOUT_S = 30
SIDE_FILES = ("", "-wal", "-shm")


class SqliteDatabase:
    """The file of the ledger."""

    kind = "sqlite"

    def __init__(self, path: Path):
        self._path = path
        self._place = Place(str(path))

    def size_bytes(self) -> int:
        return sum(one.stat().st_size for one in self._files() if one.exists())

    def dump(self, target: Path) -> Facts:
        if not self._path.is_file():
            raise NeedsOperator(
                f"There is no ledger at {self._path}.", remedy="Check TIDEGATE_HOME and TIDEGATE_LEDGER_URL."
            )
        with self._told(), closing(_open(self._path, "ro")) as live:
            # What is counted and what is copied is one moment: the transaction is held until both are done.
            live.execute("BEGIN")
            facts = _facts(live)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with closing(_open(target, "rw")) as copy:
                live.backup(copy)
                # One file, without a log beside it.
                copy.execute("PRAGMA journal_mode=DELETE")
            live.execute("COMMIT")
        return facts

    @contextmanager
    def trial(self, dump: Path, scratch: Path) -> Generator[tuple[str, Facts]]:
        restored = scratch / "ledger.sqlite3"
        shutil.copyfile(dump, restored)
        with self._told(), closing(_open(restored, "rw")) as connection:
            problems = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(10)")]
            if problems != ["ok"]:
                raise NeedsOperator(
                    f"The copy is damaged: {problems[0]}.", remedy="Make another one: tidegate backup create."
                )
            facts = _facts(connection)
        yield f"sqlite:///{restored}", facts

    def restore(self, dump: Path) -> str:
        """The former ledger stays beside it: whoever restored the wrong backup can go back. There is no moment without a
        ledger: a process that starts then would begin an empty one."""
        draft = self._path.with_name(f".{self._path.name}.restored")
        aside = self._path.with_name(f"{self._path.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        with self._told():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        had_one = self._path.exists()
        try:
            with self._told():
                shutil.copyfile(dump, draft)
                draft.chmod(0o600)
                _sync(draft)
            is_whole = not had_one or self._close_log()
            with self._told():
                if had_one:
                    self._keep(aside)
                draft.replace(self._path)
                _sync(self._path.parent)
        finally:
            draft.unlink(missing_ok=True)
        if not had_one:
            return f"restored to {self._path}"
        return f"the former ledger{'' if is_whole else ', which is damaged,'} is {aside}"

    def _close_log(self) -> bool:
        """Everything into one file. False when it is damaged, which is what backups are for.

        Raises: Refused, Transient while another process has it open.
        """
        try:
            with self._told(), closing(_open(self._path, "rw")) as live:
                live.execute("PRAGMA busy_timeout=1000")
                (mode,) = live.execute("PRAGMA journal_mode=DELETE").fetchone()
        except NeedsOperator as error:
            if _is_damage(error.__cause__):
                return False
            raise
        if mode != "delete":
            raise Refused(f"Another process has {self._path} open.", remedy="Stop it first: tidegate down.")
        return True

    def _keep(self, aside: Path) -> None:
        """The ledger under another name, with what a damaged one has beside it."""
        try:
            os.link(self._path, aside)
        except OSError:
            # Not every file system can give a file two names.
            self._path.rename(aside)
        for end, leftover in zip(SIDE_FILES[1:], self._files()[1:], strict=True):
            if leftover.exists():
                leftover.rename(aside.with_name(aside.name + end))

    def _files(self) -> list[Path]:
        return [self._path.with_name(self._path.name + end) for end in SIDE_FILES]

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translate(error, self._place) from error
        except OSError as error:
            raise Transient(
                f"The copy of {self._path} cannot be made: {error.strerror}.",
                remedy="See that there is room.",
            ) from error


def _is_damage(error: BaseException | None) -> bool:
    """By SQLite's code: what is in the way of a ledger that may not be read or written is no damage."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=TIMEOUT_S, isolation_level=None)


def _facts(connection: sqlite3.Connection) -> Facts:
    def ask(statement: str) -> list[Any]:
        return connection.execute(statement).fetchall()

    names = [
        str(name)
        for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    ]
    rows = [(name, int(ask(f'SELECT count(*) FROM "{name}"')[0][0])) for name in sorted(names)]
    revision = ask("SELECT version_num FROM alembic_version") if "alembic_version" in names else []
    end = ask("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1") if "audit" in names else []
    return facts_of(revision[0][0] if revision else None, rows, end[0] if end else None)
