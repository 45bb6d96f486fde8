"""Sampled requests of clients, sealed before they come here, and gone when they expire."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select

from tidegate.domain import ServiceRef
from tidegate.ledger.part import Part, lock_service, upsert
from tidegate.ledger.tables import CapturedRow


class Sealed(NamedTuple):
    """One sampled request. The ledger cannot read it: the key is the organization's."""

    id: str
    at: datetime
    expires_at: datetime
    sealed: bytes


class CapturedPart(Part):
    """Only what has not expired can be read, also before it was pruned."""

    def record_captured(self, ref: ServiceRef, requests: Sequence[Sealed], *, keep: int) -> None:
        """Store them (again: nothing happens), drop what expired, and beyond `keep` of this service the oldest."""
        now = self._clock()
        with self._database.write() as session:
            lock_service(session, ref, now)
            for one in requests:
                upsert(
                    session, CapturedRow, {"org": ref.org, "service": ref.service, **one._asdict()}, ("id",)
                )
            session.execute(delete(CapturedRow).where(CapturedRow.expires_at <= now))
            own = (CapturedRow.org == ref.org, CapturedRow.service == ref.service)
            newest = (
                select(CapturedRow.id).where(*own).order_by(CapturedRow.at.desc(), CapturedRow.id).limit(keep)
            )
            session.execute(delete(CapturedRow).where(*own, CapturedRow.id.not_in(newest)))

    def captured(self, ref: ServiceRef, limit: int = 1000) -> list[Sealed]:
        """The newest that have not expired, oldest first."""
        own = (CapturedRow.org == ref.org, CapturedRow.service == ref.service)
        wanted = (
            select(CapturedRow)
            .where(*own, CapturedRow.expires_at > self._clock())
            .order_by(CapturedRow.at.desc(), CapturedRow.id)
            .limit(limit)
        )
        with self._database.read() as session:
            rows = list(session.scalars(wanted))
        return [Sealed(row.id, row.at, row.expires_at, row.sealed) for row in reversed(rows)]

    def forget_captured(self, ref: ServiceRef, *, actor: str = "") -> int:
        """Remove all of a service, at once; returns how many there were."""
        own = (CapturedRow.org == ref.org, CapturedRow.service == ref.service)
        with self._database.write() as session:
            count = session.scalar(select(func.count()).select_from(CapturedRow).where(*own)) or 0
            session.execute(delete(CapturedRow).where(*own))
            if count:
                self._witness(session, "captures.purged", actor=actor, ref=ref, evidence={"requests": count})
        return count
