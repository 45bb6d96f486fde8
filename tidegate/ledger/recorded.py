"""Baselines that nightly runs compare with, and results of costly checks kept by key."""

from typing import Any

from sqlalchemy import select

from tidegate.domain import ServiceRef
from tidegate.ledger.engine import to_json
from tidegate.ledger.part import Part, lock_service, upsert
from tidegate.ledger.tables import BaselineRow, ResultRow


class RecordedPart(Part):
    """Figures measured earlier."""

    def record_baseline(self, ref: ServiceRef, kind: str, digest: str, data: dict[str, Any]) -> None:
        """Make these figures of a digest the ones to compare with; former ones stay as history."""
        at = self._clock()
        content: dict[str, Any] = to_json(data)
        with self._database.write() as session:
            lock_service(session, ref, at)
            session.add(
                BaselineRow(org=ref.org, service=ref.service, kind=kind, digest=digest, data=content, at=at)
            )

    def baseline(self, ref: ServiceRef, kind: str) -> dict[str, Any] | None:
        """The newest one of that kind, as `digest`, `data` and `at`."""
        history = self.baseline_history(ref, kind, limit=1)
        return history[0] if history else None

    def baseline_history(self, ref: ServiceRef, kind: str, limit: int = 50) -> list[dict[str, Any]]:
        """Newest first, each as `digest`, `data` and `at`."""
        wanted = (
            select(BaselineRow)
            .where(BaselineRow.org == ref.org, BaselineRow.service == ref.service, BaselineRow.kind == kind)
            .order_by(BaselineRow.number.desc())
            .limit(limit)
        )
        with self._database.read() as session:
            return [{"digest": row.digest, "data": row.data, "at": row.at} for row in session.scalars(wanted)]

    def record_result(self, kind: str, key: str, data: dict[str, Any]) -> None:
        """Keep a result for the next time that the same is asked; the newest one of a key stands."""
        values = {"kind": kind, "key": key, "data": to_json(data), "at": self._clock()}
        with self._database.write() as session:
            upsert(session, ResultRow, values, ("kind", "key"), overwrite=("data", "at"))

    def result(self, kind: str, key: str) -> dict[str, Any] | None:
        with self._database.read() as session:
            row = session.get(ResultRow, (kind, key))
        return row.data if row else None
