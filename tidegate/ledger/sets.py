"""What the ledger remembers of sets: the spec that they were asked for and the last recorded state."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from tidegate.domain import NotFound, ServiceRef, SetSpec
from tidegate.domain.totals import SET_REQUESTS
from tidegate.ledger.counting import count_deleted
from tidegate.ledger.part import Part, lock_fenced, refuse_foreign_set, upsert
from tidegate.ledger.tables import SetRow
from tidegate.ledger.totals import forget_total

DELETED = "deleted"
"""State of a set that is gone; its row stays as a tombstone."""


class SetsPart(Part):
    """Implements the sets of the port `Journal`."""

    def record_set(self, spec: SetSpec, *, platform: str, epoch: int, state: str) -> None:
        """Remember a set and its spec (upsert by name). Raises: Fenced, Refused for a name of another service."""
        at = self._clock()
        values = {
            "name": spec.name,
            "org": spec.org,
            "service": spec.service,
            "platform": platform,
            "spec": spec.model_dump(mode="json"),
            "state": state,
            "epoch": epoch,
            "created_at": at,
            "updated_at": at,
            "deleted_at": at if state == DELETED else None,
        }
        with self._database.write() as session:
            lock_fenced(session, ServiceRef(spec.org, spec.service), epoch, at)
            refuse_foreign_set(session, ServiceRef(spec.org, spec.service), [spec.name])
            renewed = ("platform", "spec", "state", "epoch", "updated_at", "deleted_at")
            upsert(session, SetRow, values, ("name",), overwrite=renewed)

    def set_state(self, name: str, state: str, *, epoch: int) -> None:
        """Change the recorded state of a set. Raises: NotFound, Fenced."""
        at = self._clock()
        with self._database.write() as session:
            row = _get(session, name)
            lock_fenced(session, ServiceRef(row.org, row.service), epoch, at)
            if state == DELETED and row.deleted_at is None:
                count_deleted(session, row)
                forget_total(session, SET_REQUESTS, (row.org, row.service, row.name))
            row.state = state
            row.epoch = epoch
            row.updated_at = at
            row.deleted_at = at if state == DELETED else None

    def forget_set(self, name: str, *, epoch: int) -> None:
        """Record that the set is gone: its state becomes `deleted` and lists leave it out. Raises: NotFound, Fenced."""
        self.set_state(name, DELETED, epoch=epoch)

    def get_set(self, name: str) -> tuple[SetSpec, str] | None:
        """Spec and recorded state of a set, `deleted` ones too."""
        with self._database.read() as session:
            row = session.scalars(select(SetRow).where(SetRow.name == name)).one_or_none()
        return _told(row) if row else None

    def list_sets(self, ref: ServiceRef | None = None) -> list[tuple[SetSpec, str]]:
        """Recorded sets that are not deleted, oldest first."""
        wanted = select(SetRow).where(SetRow.deleted_at.is_(None)).order_by(SetRow.number)
        if ref is not None:
            wanted = wanted.where(SetRow.org == ref.org, SetRow.service == ref.service)
        with self._database.read() as session:
            return [_told(row) for row in session.scalars(wanted)]

    def sets_since(self, org: str, at: datetime) -> list[tuple[str, datetime | None]]:
        """Names of the organization's sets that existed at some time since then, and when they were deleted."""
        is_later = SetRow.deleted_at.is_(None) | (SetRow.deleted_at >= at)
        wanted = select(SetRow).where(SetRow.org == org, is_later).order_by(SetRow.number)
        with self._database.read() as session:
            return [(row.name, row.deleted_at) for row in session.scalars(wanted)]


def _get(session: Session, name: str) -> SetRow:
    row = session.scalars(select(SetRow).where(SetRow.name == name)).one_or_none()
    if row is None:
        raise NotFound(
            f"No set '{name}' was ever recorded.", remedy="List the sets to find its name.", set_name=name
        )
    return row


def _told(row: SetRow) -> tuple[SetSpec, str]:
    return SetSpec.model_validate(row.spec), row.state
