"""Copies of the ledger's database, taken while others write, and what is true of a copy. One face, two databases."""

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tidegate.backup.manifest import AuditEnd
from tidegate.domain import InvalidInput
from tidegate.ledger.failures import Place, translate


@dataclass(frozen=True)
class Facts:
    """What must be the same in the original and in whatever is restored from its copy."""

    revision: str
    rows: dict[str, int]
    audit_end: AuditEnd | None

    def differences(self, other: "Facts") -> list[str]:
        """In words; empty when they are the same."""
        found: list[str] = []
        if self.revision != other.revision:
            found.append(f"the schema is {other.revision}, not {self.revision}")
        for table in sorted({*self.rows, *other.rows}):
            wanted, seen = self.rows.get(table), other.rows.get(table)
            if wanted != seen:
                found.append(f"{table} has {'no' if seen is None else seen} rows, not {wanted}")
        if self.audit_end != other.audit_end:
            found.append("the audit log ends otherwise")
        return found


class Database(Protocol):
    """The ledger's database as something that is copied."""

    kind: str

    def size_bytes(self) -> int: ...
    def dump(self, target: Path) -> Facts:
        """Write a copy of one moment to a new file. Raises: Transient, NeedsOperator."""
        ...

    def trial(self, dump: Path, scratch: Path) -> AbstractContextManager[tuple[str, Facts]]:
        """Restore into a place of its own that is gone afterwards: its URL and what is true of it."""
        ...

    def restore(self, dump: Path) -> str:
        """Put it in the place of the ledger; says in words what became of what was there. Raises: Refused."""
        ...


def database_at(url: str) -> Database:
    """Raises: InvalidInput for an address that no ledger has."""
    from tidegate.backup.postgres_copy import PostgresDatabase
    from tidegate.backup.sqlite_copy import SqliteDatabase

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The cause may quote the URL with its password.
        raise InvalidInput(
            "The ledger's URL cannot be read.", remedy="Correct TIDEGATE_LEDGER_URL.", field="ledger_url"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase(Path(str(parsed.database)))
    return PostgresDatabase(parsed.set(drivername="postgresql+psycopg"))


def place_of(url: URL) -> Place:
    """Where it is, as it may be told."""
    secrets = (str(url.password),) if url.password else ()
    return Place(f"postgresql://{url.host or 'local'}/{url.database or ''}", secrets)


@contextmanager
def told(place: Place) -> Generator[None]:
    """What the driver raises, in the domain's words and without the password."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error, place) from (None if place.exposes(error) else error)


def facts_of(revision: str | None, rows: Iterable[tuple[str, int]], end: tuple[int, str] | None) -> Facts:
    return Facts(revision or "", dict(rows), AuditEnd(number=end[0], hash=end[1]) if end else None)
