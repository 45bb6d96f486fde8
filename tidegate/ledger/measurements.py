"""Measurements that stay: load runs, quality runs, drift and nightly reports, each found again by id."""

import json
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import undefer

from tidegate.domain import InvalidInput, Measurement, MeasurementKind, NotFound, Refused, ServiceRef
from tidegate.domain.measurement import MAX_RECORD_BYTES, MAX_SUMMARY_BYTES
from tidegate.ledger.engine import to_json
from tidegate.ledger.part import Part, ensure_organization, lock_service, upsert
from tidegate.ledger.tables import MeasurementRow

MIN_PREFIX = 3
SHOWN_MATCHES = 5


class MeasurementsPart(Part):
    """Written once and never changed: a figure that a verdict rests on must not be another one tomorrow."""

    def record_measurement(self, measured: Measurement) -> Measurement:
        """Store it. The same one again: nothing happens. Returns what is stored.

        Raises: Refused when the id stands for another measurement, InvalidInput when it is too large.
        """
        summary = to_json(measured.summary)
        _refuse_too_large(measured, len(json.dumps(summary, separators=(",", ":"))))
        at = self._clock()
        with self._database.write() as session:
            if measured.org is not None and measured.service is not None:
                lock_service(session, ServiceRef(measured.org, measured.service), at)
            elif measured.org is not None:
                ensure_organization(session, measured.org, at)
            values = {name: getattr(measured, name) for name in Measurement.model_fields}
            upsert(
                session, MeasurementRow, values | {"summary": summary, "kind": measured.kind.value}, ("id",)
            )
            wanted = (
                select(MeasurementRow)
                .where(MeasurementRow.id == measured.id)
                .options(undefer(MeasurementRow.record))
            )
            row = session.scalars(wanted).one()
            stored = _told(row, row.record)
        if (stored.kind, stored.summary, stored.record) != (measured.kind, summary, measured.record):
            raise Refused(
                f"There is another measurement with the id {measured.id}; nothing was written.",
                remedy="Measurements are never changed: store this one under a new id.",
                field="id",
            )
        return stored

    def measurement(self, id_or_prefix: str, *, kind: MeasurementKind | None = None) -> Measurement:
        """The one of this id, or whose id alone begins so; with its record.

        Raises: NotFound, and InvalidInput for a beginning that several have or that is too short.
        """
        if len(id_or_prefix) < MIN_PREFIX:
            raise InvalidInput(
                f"'{id_or_prefix}' is too short to name a measurement.",
                remedy=f"Write at least its first {MIN_PREFIX} characters.",
                field="id",
            )
        # Not LIKE: its wildcards and its idea of letter case differ between the databases.
        begins = func.substr(MeasurementRow.id, 1, len(id_or_prefix)) == id_or_prefix
        wanted = select(MeasurementRow.id).where(begins).order_by(MeasurementRow.taken_at.desc())
        if kind is not None:
            wanted = wanted.where(MeasurementRow.kind == kind.value)
        with self._database.read() as session:
            ids = list(session.scalars(wanted.limit(100)))
            chosen = _one_of(ids, id_or_prefix, kind)
            row = session.get_one(MeasurementRow, chosen, options=[undefer(MeasurementRow.record)])
            return _told(row, row.record)

    def measurements(
        self,
        *,
        kind: MeasurementKind | None = None,
        org: str | None = None,
        service: str | None = None,
        digest: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[Measurement]:
        """Newest first, without their records. `since` counts by the time at which they were taken."""
        wanted = select(MeasurementRow).order_by(MeasurementRow.taken_at.desc(), MeasurementRow.id.desc())
        equal = {
            MeasurementRow.kind: kind.value if kind else None,
            MeasurementRow.org: org,
            MeasurementRow.service: service,
            MeasurementRow.digest: digest,
        }
        for column, value in equal.items():
            if value is not None:
                wanted = wanted.where(column == value)
        if since is not None:
            wanted = wanted.where(MeasurementRow.taken_at >= since)
        with self._database.read() as session:
            return [_told(row, None) for row in session.scalars(wanted.limit(limit))]


def _refuse_too_large(measured: Measurement, summary_bytes: int) -> None:
    if measured.record is not None and len(measured.record) > MAX_RECORD_BYTES:
        raise InvalidInput(
            f"The record of {measured.id} takes {len(measured.record)} bytes; at most {MAX_RECORD_BYTES} are kept.",
            remedy="Store the summary alone and keep the record as a file.",
            field="record",
        )
    if summary_bytes > MAX_SUMMARY_BYTES:
        raise InvalidInput(
            f"The summary of {measured.id} takes {summary_bytes} bytes; at most {MAX_SUMMARY_BYTES} are kept.",
            remedy="Put single requests or questions into the record.",
            field="summary",
        )


def _one_of(ids: list[str], wanted: str, kind: MeasurementKind | None) -> str:
    if wanted in ids:
        return wanted
    if not ids:
        what = f"{kind.value} measurement" if kind else "measurement"
        raise NotFound(
            f"No {what} is stored whose id begins with '{wanted}'.",
            remedy="List the stored ones to find its id.",
            field="id",
        )
    if len(ids) > 1:
        shown = ", ".join(ids[:SHOWN_MATCHES]) + (", ..." if len(ids) > SHOWN_MATCHES else "")
        raise InvalidInput(
            f"'{wanted}' is the beginning of several measurements: {shown}.",
            remedy="Write more characters of the id.",
            field="id",
        )
    return ids[0]


def _told(row: MeasurementRow, record: bytes | None) -> Measurement:
    return Measurement(
        id=row.id,
        kind=MeasurementKind(row.kind),
        org=row.org,
        service=row.service,
        digest=row.digest,
        label=row.label,
        taken_at=row.taken_at,
        summary=row.summary,
        record=record,
    )
