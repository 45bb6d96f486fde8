"""What clients got from each set, second by second, as gateways report it."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tidegate.domain.live import SLICES, LiveBatch
from tidegate.ledger.counting import count_live
from tidegate.ledger.part import Part, insert_new
from tidegate.ledger.tables import LiveBatchRow

KEEP_LIVE = timedelta(hours=24)
KEY = ("set_name", "started_at", "gateway", "slice", "is_probe")


class LivePart(Part):
    """Batches are facts of the past: sending one again changes nothing."""

    def record_live(self, batches: Sequence[LiveBatch]) -> None:
        """Store and count them; those that are there already stay as they are. Old ones are pruned."""
        with self._database.write() as session:
            new = [batch for batch in batches if _is_new(session, batch)]
            count_live(session, new, self._clock())
            session.execute(delete(LiveBatchRow).where(LiveBatchRow.ended_at < self._clock() - KEEP_LIVE))

    def live(
        self,
        set_name: str,
        since: datetime,
        until: datetime | None = None,
        *,
        slices: Collection[str] = SLICES,
    ) -> list[LiveBatch]:
        """Batches of a set that began since then (and ended by `until`), in order of time. A release looks at them
        again and again, for hours: only what it asks for is read, and no row becomes an object of the session."""
        wanted = select(LiveBatchRow.data).where(
            LiveBatchRow.set_name == set_name, LiveBatchRow.started_at >= since
        )
        if until is not None:
            wanted = wanted.where(LiveBatchRow.ended_at <= until)
        if set(slices) < set(SLICES):
            wanted = wanted.where(LiveBatchRow.slice.in_(slices))
        wanted = wanted.order_by(LiveBatchRow.started_at, LiveBatchRow.gateway, LiveBatchRow.slice)
        with self._database.read() as session:
            return [LiveBatch.model_validate(data) for data in session.scalars(wanted)]


def _is_new(session: Session, batch: LiveBatch) -> bool:
    values = {name: getattr(batch, name) for name in (*KEY, "ended_at")}
    data = batch.model_dump(mode="json", exclude_defaults=True)
    return insert_new(session, LiveBatchRow, values | {"data": data}, KEY)
