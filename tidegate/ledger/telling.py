"""The events of a release, written in the transaction of the journal's entry that they tell of."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tidegate.domain import TERMINAL, JournalEntry, Release, ReleaseState, Verdict
from tidegate.domain.event_sources import event_of_entry
from tidegate.ledger.event_rows import add_event
from tidegate.ledger.tables import EvidenceRow

TOLD = TERMINAL | {ReleaseState.AWAIT_APPROVAL, ReleaseState.HOLD, ReleaseState.ROLLING_BACK}
"""States whose entry somebody may want to be told of."""


def is_told(entry: JournalEntry) -> bool:
    return entry.kind == "entered" and entry.name in TOLD


def tell(session: Session, release: Release, entry: JournalEntry) -> None:
    """The event stands or falls with the entry: a crash loses both or none."""
    latest = (
        select(func.max(EvidenceRow.number))
        .where(EvidenceRow.release_id == release.id)
        .group_by(EvidenceRow.gate, EvidenceRow.check_id)
    )
    failed = (
        select(EvidenceRow.check_id)
        .where(EvidenceRow.number.in_(latest), EvidenceRow.verdict == Verdict.FAIL.value)
        .order_by(EvidenceRow.number)
    )
    checks = list(session.scalars(failed))
    add_event(session, event_of_entry(release, entry.seq, entry.name, entry.data, checks, entry.at))
