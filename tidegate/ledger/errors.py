"""Errors, each as one row that counts. Bounded: the ones that were not seen for longest make room, their counts stay."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Delete, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tidegate.domain import NotFound
from tidegate.domain.error_tracking import ErrorTotal, SeenError, TrackedError
from tidegate.ledger.operations_tables import ErrorRow, ForgottenErrorRow
from tidegate.ledger.part import Part
from tidegate.ledger.tables import ReleaseRow

MAX_KEPT, MAX_OF_ONE_PLACE = 1000, 100
"""A flood of messages that all differ comes from one place, and pushes out its own."""
KEY = ("fingerprint", "org", "service")


class ErrorsPart(Part):
    """What went wrong, since when and how often."""

    def note_error(self, seen: SeenError, count: int = 1) -> None:
        """Count it. One that was called settled is open again. Whose it is, is known from its release too."""
        at = self._clock()
        with self._database.write() as session:
            release = (
                session.get(ReleaseRow, seen.release_id) if seen.release_id and not seen.service else None
            )
            if release is not None and seen.org in ("", release.org):
                seen = replace(seen, org=release.org, service=release.service)
            if _count(session, seen, count, at):
                _make_room(session, seen)

    def errors(
        self,
        *,
        org: str | None = None,
        service: str | None = None,
        code: str | None = None,
        release_id: str | None = None,
        fingerprint: str | None = None,
        since: datetime | None = None,
        only_open: bool = True,
        limit: int = 50,
    ) -> list[TrackedError]:
        """The newest first. `fingerprint` may be the beginning of one."""
        wanted = select(ErrorRow).order_by(ErrorRow.last_seen.desc(), ErrorRow.fingerprint).limit(limit)
        exact = {"org": org, "service": service, "code": code, "release_id": release_id}
        for name, value in exact.items():
            if value is not None:
                wanted = wanted.where(getattr(ErrorRow, name) == value)
        if fingerprint is not None:
            wanted = wanted.where(ErrorRow.fingerprint.startswith(fingerprint, autoescape=True))
        if since is not None:
            wanted = wanted.where(ErrorRow.last_seen >= since)
        if only_open:
            wanted = wanted.where(ErrorRow.resolved_at.is_(None))
        with self._database.read() as session:
            return [_told(row) for row in session.scalars(wanted)]

    def resolve_errors(self, fingerprint: str, *, actor: str, org: str | None = None) -> list[TrackedError]:
        """Call the open errors of this fingerprint settled, at one organization or at all.

        Raises: NotFound when none is open.
        """
        own = [ErrorRow.fingerprint == fingerprint, ErrorRow.resolved_at.is_(None)]
        if org is not None:
            own.append(ErrorRow.org == org)
        with self._database.write() as session:
            rows = session.scalars(select(ErrorRow).where(*own).with_for_update()).all()
            if not rows:
                raise NotFound(
                    f"No open error has the fingerprint {fingerprint}.",
                    remedy="See: tidegate errors list --all.",
                    field="fingerprint",
                )
            for row in rows:
                row.resolved_at, row.resolved_by = self._clock(), actor
                self._witness(
                    session,
                    "error.resolved",
                    actor=actor,
                    org=row.org or None,
                    release_id=row.release_id,
                    subject=fingerprint,
                    evidence={"code": row.code, "count": row.count, "service": row.service},
                )
            session.flush()
            return [_told(row) for row in rows]

    def error_totals(self) -> list[ErrorTotal]:
        """By code and organization, ever: what an exporter shows as a counter. By organization it is `""` where an
        error was of none."""
        totals: dict[tuple[str, str], int] = {}
        kept = select(ErrorRow.code, ErrorRow.org, func.sum(ErrorRow.count)).group_by(
            ErrorRow.code, ErrorRow.org
        )
        gone = select(ForgottenErrorRow.code, ForgottenErrorRow.org, ForgottenErrorRow.count)
        with self._database.read() as session:
            for wanted in (kept, gone):
                for code, org, count in session.execute(wanted).tuples():
                    totals[code, org] = totals.get((code, org), 0) + int(count)
        return [ErrorTotal(code=code, org=org, count=count) for (code, org), count in sorted(totals.items())]

    def open_errors(self) -> dict[tuple[str, str, str], int]:
        """How many different errors are open, by organization, service and code: what an exporter shows as a gauge."""
        wanted = (
            select(ErrorRow.org, ErrorRow.service, ErrorRow.code, func.count())
            .where(ErrorRow.resolved_at.is_(None))
            .group_by(ErrorRow.org, ErrorRow.service, ErrorRow.code)
        )
        with self._database.read() as session:
            rows = session.execute(wanted).tuples()
            return {(org, service, code): count for org, service, code, count in rows}


def _count(session: Session, seen: SeenError, count: int, at: datetime) -> bool:
    """True when it is a new row."""
    values: dict[str, Any] = {
        "fingerprint": seen.fingerprint,
        "org": seen.org,
        "service": seen.service,
        "code": seen.code,
        "kind": seen.kind,
        "place": seen.place,
        "raised_in": seen.raised_in,
        "message": seen.message,
        "remedy": seen.remedy,
        "release_id": seen.release_id,
        "count": count,
        "first_seen": at,
        "last_seen": at,
        "resolved_at": None,
        "resolved_by": "",
    }
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(ErrorRow).values(values)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=KEY,
        set_={
            "count": ErrorRow.count + new.count,
            "message": new.message,
            "remedy": new.remedy,
            # An occurrence that belongs to no release leaves the last one that did.
            "release_id": func.coalesce(func.nullif(new.release_id, ""), ErrorRow.release_id),
            "last_seen": new.last_seen,
            "resolved_at": None,
            "resolved_by": "",
        },
    )
    return session.scalars(statement.returning(ErrorRow.count)).one() == count


def _make_room(session: Session, newest: SeenError) -> None:
    """Settled ones go first, then those that were not seen for longest: of the place that makes too many, then of all."""
    own = (
        ErrorRow.code == newest.code,
        ErrorRow.place == newest.place,
        ErrorRow.raised_in == newest.raised_in,
    )
    rank = (ErrorRow.resolved_at.is_not(None), ErrorRow.last_seen.desc(), ErrorRow.fingerprint)
    ranked = select(*(getattr(ErrorRow, name) for name in KEY)).order_by(*rank)
    for too_many in (ranked.where(*own).offset(MAX_OF_ONE_PLACE), ranked.offset(MAX_KEPT)):
        for fingerprint, org, service in session.execute(too_many).tuples().all():
            _forget(session, fingerprint, org, service)


def _forget(session: Session, fingerprint: str, org: str, service: str) -> None:
    gone: Delete = delete(ErrorRow).where(
        ErrorRow.fingerprint == fingerprint, ErrorRow.org == org, ErrorRow.service == service
    )
    dropped = session.execute(gone.returning(ErrorRow.code, ErrorRow.count)).tuples().one_or_none()
    if dropped is not None:
        _carry(session, dropped[0], org, dropped[1])


def _carry(session: Session, code: str, org: str, count: int) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(ForgottenErrorRow).values(code=code, org=org, count=count)
    total = ForgottenErrorRow.count + statement.excluded.count
    session.execute(statement.on_conflict_do_update(index_elements=("code", "org"), set_={"count": total}))


def _told(row: ErrorRow) -> TrackedError:
    return TrackedError.model_validate({name: getattr(row, name) for name in TrackedError.model_fields})
