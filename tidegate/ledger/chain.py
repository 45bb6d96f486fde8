"""Appends to the audit log, as the last thing of the transaction that the entry speaks of.

Entries of all writers form one chain, so that they take turns. The turn is taken last and ends with the commit: nobody
waits for anything else while having it, and no two writers can wait for each other.
"""

from datetime import UTC, datetime

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from tidegate.domain.audit import GENESIS, Deed, sealed
from tidegate.ledger.operations_tables import AuditRow

CHAIN_LOCK = 0x71DEA0D1
"""Key of PostgreSQL's advisory lock on the end of the chain. A writer of SQLite has the whole file anyway."""
_WITNESSED = "tidegate_witnessed"


def witness(session: Session, deed: Deed) -> None:
    """Have the deed in the log when, and only when, the transaction takes effect."""
    session.info.setdefault(_WITNESSED, []).append(deed)


def append_witnessed(session: Session) -> None:
    """Give every witnessed deed its place. Nothing may be written to the session afterwards."""
    deeds: list[Deed] = session.info.pop(_WITNESSED, [])
    if not deeds:
        return
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})
    newest = select(AuditRow.number, AuditRow.hash).order_by(AuditRow.number.desc()).limit(1)
    number, former = session.execute(newest).tuples().one_or_none() or (0, GENESIS)
    for deed in deeds:
        number += 1
        entry = sealed(deed, number, former)
        session.execute(insert(AuditRow).values(entry))
        former = entry["hash"]


def stamp(at: datetime) -> str:
    """A time as the log keeps it: UTC, always of the same length, so that texts sort like times."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
