"""What health checks saw: a state for each check, and a history of 24 hours that stays small.

A change is always kept; between changes one sample in five minutes is enough for a trend. The ledger also looks at itself
here: how long a write takes, which schema it has, and whether its pages are whole.
"""

import sqlite3
import time
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from tidegate.domain.health import BackupMark, Health, HealthSample, HealthState, Judgement, Part
from tidegate.ledger.engine import to_json
from tidegate.ledger.health_tables import BackupMarkRow, HealthSampleRow, HealthStateRow
from tidegate.ledger.part import Part as LedgerPart
from tidegate.ledger.part import upsert
from tidegate.ledger.tables import RouteRow

SAMPLE_EVERY = timedelta(minutes=5)
KEEP_SAMPLES = timedelta(hours=24, minutes=10)
KEEP_CHANGES = timedelta(days=30)
MAX_CHANGES = 1000
"""Of one check: one that flutters all day fills no disk."""
MAX_TEXT = 2000
TOUCHED = "touched"
"""The row that is written to see how long a write takes; no step of backups."""
_STEPS_BETWEEN_LOOKS = 10_000
"""Of SQLite's machine: about a millisecond between two looks at the clock."""


class HealthPart(LedgerPart):
    """Written by whoever runs the checks; several may, the last one counts."""

    def record_health(self, check: str, judgement: Judgement, *, took_s: float, interval_s: float) -> None:
        """Say what a check saw just now."""
        now = self._clock()
        with self._database.write() as session:
            row = session.get(HealthStateRow, check, with_for_update=True)
            is_change = row is None or row.health != judgement.health.value
            is_due = row is None or now - row.sampled_at >= SAMPLE_EVERY
            values: dict[str, Any] = {
                "check_name": check,
                "health": judgement.health.value,
                "text": judgement.text[:MAX_TEXT],
                "remedy": judgement.remedy[:MAX_TEXT],
                "parts": to_json([asdict(part) for part in judgement.parts]),
                "measures": to_json(judgement.measures),
                "since": now if row is None or is_change else row.since,
                "checked_at": now,
                "sampled_at": now if row is None or is_change or is_due else row.sampled_at,
                "took_s": took_s,
                "interval_s": interval_s,
            }
            overwrite = [name for name in values if name != "check_name"]
            upsert(session, HealthStateRow, values, ("check_name",), overwrite=overwrite)
            if is_change or is_due:
                sample = {name: values[name] for name in ("check_name", "health", "text", "measures")}
                session.add(HealthSampleRow(**sample, at=now, is_change=is_change))
                _make_room(session, check, now)

    def health_states(self) -> list[HealthState]:
        """One for each check that ever ran, by name, as it was seen then; `seen_from` says what it is worth now."""
        with self._database.read() as session:
            rows = session.scalars(select(HealthStateRow).order_by(HealthStateRow.check_name))
            return [_state(row) for row in rows]

    def health_history(self, check: str, since: datetime) -> list[HealthSample]:
        """Oldest first."""
        wanted = (
            select(HealthSampleRow)
            .where(HealthSampleRow.check_name == check, HealthSampleRow.at >= since)
            .order_by(HealthSampleRow.number)
        )
        with self._database.read() as session:
            return [_sample(row) for row in session.scalars(wanted)]

    def forget_health(self, check: str) -> None:
        """Of a check that is made no more."""
        with self._database.write() as session:
            session.execute(delete(HealthStateRow).where(HealthStateRow.check_name == check))

    def note_backup(self, mark: BackupMark) -> None:
        """A step of backups succeeded."""
        values = asdict(mark)
        overwrite = [name for name in values if name != "step"]
        with self._database.write() as session:
            upsert(session, BackupMarkRow, values, ("step",), overwrite=overwrite)

    def backup_marks(self) -> dict[str, BackupMark]:
        """The last success of each step that ever succeeded: `made`, `verified`."""
        with self._database.read() as session:
            return {
                row.step: BackupMark(row.step, row.name, row.at, row.size_bytes, row.took_s)
                for row in session.scalars(select(BackupMarkRow).where(BackupMarkRow.step != TOUCHED))
            }

    def schema_revision(self) -> str | None:
        """Which migration the database has; `tidegate.ledger.migrations.HEAD` is the one that this code wants."""
        with self._database.read() as session:
            return session.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()

    def newest_route_at(self) -> datetime | None:
        """Since when gateways have something to reach."""
        with self._database.read() as session:
            return session.scalar(select(func.max(RouteRow.updated_at)))

    def write_latency_s(self) -> float:
        """How long one durable write takes now, waiting for other writers included."""
        begun = time.monotonic()
        with self._database.write() as session:
            values = {"step": TOUCHED, "name": "", "at": self._clock(), "size_bytes": 0, "took_s": 0.0}
            upsert(session, BackupMarkRow, values, ("step",), overwrite=("at",))
        return time.monotonic() - begun

    def integrity_problems(self, timeout_s: float) -> list[str]:
        """What the database says of its own pages and indexes; empty when they are whole.

        Raises: Transient when it takes longer than `timeout_s`.
        """
        with self._database.read() as session:
            if session.get_bind().dialect.name == "postgresql":
                session.execute(text(f"SET LOCAL statement_timeout = {max(1, int(timeout_s * 1000))}"))
                broken = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
                return [f"the index {name} is not valid" for (name,) in session.execute(text(broken))]
            return _sqlite_problems(session, timeout_s)


def _sqlite_problems(session: Session, timeout_s: float) -> list[str]:
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "the dialect says so"
    deadline = time.monotonic() + timeout_s
    driver.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        found = [str(line) for (line,) in session.execute(text("PRAGMA quick_check(10)"))]
    finally:
        driver.set_progress_handler(None, 0)
    return [] if found == ["ok"] else found


def _make_room(session: Session, check: str, now: datetime) -> None:
    """Samples older than a day go, changes later, and the oldest changes of a check that has too many."""
    own = HealthSampleRow.check_name == check
    session.flush()
    old = (HealthSampleRow.at < now - KEEP_SAMPLES, HealthSampleRow.is_change.is_(False))
    session.execute(delete(HealthSampleRow).where(own, *old))
    session.execute(delete(HealthSampleRow).where(own, HealthSampleRow.at < now - KEEP_CHANGES))
    newest = (
        select(HealthSampleRow.number).where(own).order_by(HealthSampleRow.number.desc()).offset(MAX_CHANGES)
    )
    last = session.scalars(newest.limit(1)).one_or_none()
    if last is not None:
        session.execute(delete(HealthSampleRow).where(own, HealthSampleRow.number <= last))


def _state(row: HealthStateRow) -> HealthState:
    return HealthState(
        check=row.check_name,
        health=Health(row.health),
        text=row.text,
        remedy=row.remedy,
        parts=tuple(
            Part(one["name"], Health(one["health"]), one["text"], one["remedy"]) for one in row.parts
        ),
        measures=row.measures,
        since=row.since,
        checked_at=row.checked_at,
        took_s=row.took_s,
        interval_s=row.interval_s,
    )


def _sample(row: HealthSampleRow) -> HealthSample:
    return HealthSample(row.check_name, Health(row.health), row.text, row.measures, row.at, row.is_change)
