"""Tables of what happened: errors, and the audit log. A change here needs a migration; a test compares the two.

The audit log's rows are text where others have times and JSON: what is hashed is what is stored, to the byte, and a
value that somebody else put there can still be read. Triggers refuse to change or remove them; a migration that copies
the table must make those anew.
"""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from tidegate.ledger.columns import Rows


class ErrorRow(Rows):
    """One error of one service. Organization, service and release are empty texts where there is none: they are keys."""

    __tablename__ = "errors"
    __table_args__ = (Index(None, "last_seen"),)

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    org: Mapped[str] = mapped_column(primary_key=True)
    service: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    kind: Mapped[str]
    place: Mapped[str]
    raised_in: Mapped[str]
    message: Mapped[str]
    remedy: Mapped[str]
    release_id: Mapped[str]
    count: Mapped[int]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str]


class ForgottenErrorRow(Rows):
    """What the rows that were pushed out had counted, so that totals never fall."""

    __tablename__ = "forgotten_errors"

    code: Mapped[str] = mapped_column(primary_key=True)
    org: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


class AuditRow(Rows):
    """One entry of the chain; `tidegate.domain.audit` says what its hash covers."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "org", "service"), Index(None, "release_id"))

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str]
    actor: Mapped[str]
    interface: Mapped[str]
    action: Mapped[str]
    org: Mapped[str | None]
    service: Mapped[str | None]
    release_id: Mapped[str | None]
    subject: Mapped[str]
    reason: Mapped[str]
    evidence: Mapped[str]
    former: Mapped[str]
    hash: Mapped[str]
