"""Totals: numbers that only rise, written in the transaction of what they count, and read at once by the exporter."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tidegate.domain.totals import (
    LAST_TIME,
    LAST_VALUE,
    PIPELINE_RUNS,
    PIPELINE_S,
    PIPELINE_SECONDS,
    PIPELINE_SUCCESS,
    SEPARATOR,
    Gain,
    PipelineRun,
    Total,
    added,
    observed,
)
from tidegate.ledger.metric_tables import PipelineRunRow, TotalRow
from tidegate.ledger.part import Part, insert_new, upsert

KEEP_RUNS = timedelta(days=14)
KEY = ("metric", "labels", "part")


class TotalsPart(Part):
    """Counters that survive the rows they counted, and every restart of who shows them."""

    def add_totals(self, gains: Sequence[Gain]) -> None:
        """Several writers may add at once; nothing is lost between them."""
        if gains:
            with self._database.write() as session:
                add_gains(session, gains)

    def note_last(self, metric: str, labels: tuple[str, ...], value: float) -> None:
        """The last value of what is looked at now and then: a nightly score, the end of a sweep."""
        at = self._clock()
        with self._database.write() as session:
            put_last(session, metric, labels, value, at)

    def totals(self, timeout_s: float) -> list[Total]:
        """All of them. Raises: Transient when the database takes longer than `timeout_s`."""
        wanted = select(TotalRow.metric, TotalRow.labels, TotalRow.part, TotalRow.amount)
        with self._database.read(timeout_s) as session:
            return [
                Total(metric, tuple(labels.split(SEPARATOR)) if labels else (), part, amount)
                for metric, labels, part, amount in session.execute(wanted)
            ]

    def record_runs(self, runs: Iterable[PipelineRun]) -> int:
        """Count runs of flows that ended; one that was told before changes nothing. Returns how many were new."""
        with self._database.write() as session:
            new = [run for run in runs if _is_new(session, run)]
            gains: list[Gain] = []
            for run in new:
                gains.append(Gain(PIPELINE_RUNS, (run.flow, run.state)))
                gains += observed(PIPELINE_SECONDS, (run.flow,), run.seconds, PIPELINE_S)
            add_gains(session, gains)
            for run in sorted(new, key=lambda one: one.ended_at):
                if run.state == "completed":
                    put_last(session, PIPELINE_SUCCESS, (run.flow,), run.ended_at.timestamp(), run.ended_at)
            session.execute(delete(PipelineRunRow).where(PipelineRunRow.ended_at < self._clock() - KEEP_RUNS))
            return len(new)

    def last_run_at(self) -> datetime | None:
        """When the newest run ended that was counted."""
        newest = select(PipelineRunRow.ended_at).order_by(PipelineRunRow.ended_at.desc()).limit(1)
        with self._database.read() as session:
            return session.scalars(newest).first()


def add_gains(session: Session, gains: Iterable[Gain]) -> None:
    """Within a transaction that writes what they count. One statement for all: a busy gateway adds thousands a second."""
    rows = [
        {"metric": metric, "labels": labels, "part": part, "amount": amount}
        for (metric, labels, part), amount in added(gains)
    ]
    if rows:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        table = cast("Table", TotalRow.__table__)
        statement = insert(table)
        risen = {"amount": table.c.amount + statement.excluded.amount}
        session.connection().execute(statement.on_conflict_do_update(index_elements=KEY, set_=risen), rows)


def put_last(session: Session, metric: str, labels: tuple[str, ...], value: float, at: datetime) -> None:
    """The last value of something that is asked now and then, with its time."""
    for part, amount in ((LAST_VALUE, value), (LAST_TIME, at.timestamp())):
        name, joined, _ = Gain(metric, labels).key
        values = {"metric": name, "labels": joined, "part": part, "amount": amount}
        upsert(session, TotalRow, values, KEY, overwrite=("amount",))


def forget_total(session: Session, metric: str, labels: tuple[str, ...]) -> None:
    """For the totals of one thing that is gone, and in no sum."""
    _, joined, _ = Gain(metric, labels).key
    session.execute(delete(TotalRow).where(TotalRow.metric == metric, TotalRow.labels == joined))


def _is_new(session: Session, run: PipelineRun) -> bool:
    values = {name: getattr(run, name) for name in ("id", "flow", "state", "seconds", "ended_at")}
    return insert_new(session, PipelineRunRow, values, ("id",))
