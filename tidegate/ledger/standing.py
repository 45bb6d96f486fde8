"""Holds on services, quarantined files and their near copies, and findings of the reconciler."""

from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from tidegate.domain import NotFound, ServiceRef
from tidegate.domain.event_sources import event_of_finding, event_of_hold
from tidegate.domain.standing import Finding, Hold, Quarantined
from tidegate.ledger.engine import to_json
from tidegate.ledger.event_rows import add_event
from tidegate.ledger.part import Part, ensure_organization, lock_owned, lock_service, standing_holds, upsert
from tidegate.ledger.tables import FindingRow, HoldRow, QuarantineRow, ReleaseRow, VersionRow


class StandingPart(Part):
    """All of these are kept after they end: who lifted what, when and why can always be told."""

    def hold_service(
        self,
        ref: ServiceRef,
        *,
        reason: str,
        actor: str,
        release_id: str | None = None,
        epoch: int | None = None,
    ) -> Hold:
        """Let nothing be released to it by itself. One that stands already is returned.

        Raises: Fenced when `epoch` is given and is not the one that owns the release."""
        at = self._clock()
        with self._database.write() as session:
            if epoch is None:
                lock_service(session, ref, at)
            else:
                lock_owned(session, release_id, epoch)
            row = session.scalars(standing_holds(ref)).first()
            if row is None:
                row = HoldRow(
                    org=ref.org, service=ref.service, reason=reason, actor=actor, release_id=release_id, at=at
                )
                session.add(row)
                session.flush()
                add_event(session, event_of_hold(_hold(row)))
                self._witness(session, "hold.set", actor=actor, ref=ref, release_id=release_id, reason=reason)
            return _hold(row)

    def hold_of(self, ref: ServiceRef) -> Hold | None:
        """The hold that stands on a service."""
        with self._database.read() as session:
            row = session.scalars(standing_holds(ref)).first()
        return _hold(row) if row else None

    def list_holds(self, ref: ServiceRef | None = None, *, lifted: bool = False) -> list[Hold]:
        """Newest first; those that were lifted only when asked for."""
        wanted = select(HoldRow).order_by(HoldRow.number.desc())
        if ref is not None:
            wanted = wanted.where(HoldRow.org == ref.org, HoldRow.service == ref.service)
        if not lifted:
            wanted = wanted.where(HoldRow.lifted_at.is_(None))
        with self._database.read() as session:
            return [_hold(row) for row in session.scalars(wanted)]

    def lift_hold(self, ref: ServiceRef, *, actor: str, reason: str) -> Hold | None:
        """End the hold that stands; None when there is none."""
        at = self._clock()
        with self._database.write() as session:
            lock_service(session, ref, at)
            row = session.scalars(standing_holds(ref)).first()
            if row is None:
                return None
            row.lifted_at, row.lifted_by, row.lift_reason = at, actor, reason
            session.flush()
            self._witness(
                session,
                "hold.lifted",
                at=at,
                actor=actor,
                ref=ref,
                release_id=row.release_id,
                reason=reason,
                evidence={"set_by": row.actor, "held_for": row.reason},
            )
            return _hold(row)

    def quarantine(
        self,
        org: str,
        digest: str,
        *,
        reason: str,
        release_id: str,
        tensor_digest: str | None = None,
        epoch: int | None = None,
        actor: str = "",
    ) -> None:
        """Forbid the digest, and files of the same tensors, to the organization; again for the same digest, the
        newest reason stands. Without `tensor_digest` the registered version's is taken.

        Raises: Fenced when `epoch` is given and is not the one that owns the release."""
        at = self._clock()
        with self._database.write() as session:
            if epoch is not None:
                lock_owned(session, release_id, epoch)
            ensure_organization(session, org, at)
            known = select(VersionRow.tensor_digest).where(VersionRow.org == org, VersionRow.digest == digest)
            values = {
                "org": org,
                "digest": digest,
                "tensor_digest": tensor_digest or session.scalars(known).first(),
                "reason": reason,
                "release_id": release_id,
                "at": at,
                "lifted_at": None,
                "lifted_by": None,
                "lift_reason": None,
            }
            renewed = tuple(name for name in values if name not in ("org", "digest"))
            upsert(session, QuarantineRow, values, ("org", "digest"), overwrite=renewed)
            self._witness(
                session,
                "quarantine.set",
                at=at,
                actor=actor or _owner_of(session, release_id),
                org=org,
                release_id=release_id,
                subject=digest,
                reason=reason,
                evidence={"digest": digest, "tensors": values["tensor_digest"]},
            )

    def note_tensors(self, org: str, digest: str, tensor_digest: str) -> None:
        """Remember what a file holds that was registered, or put into quarantine, before that was looked at."""
        with self._database.write() as session:
            for table in (VersionRow, QuarantineRow):
                own = (table.org == org, table.digest == digest, table.tensor_digest.is_(None))
                session.execute(update(table).where(*own).values(tensor_digest=tensor_digest))

    def quarantined(self, org: str, digest: str) -> Quarantined | None:
        """Why a file may not be released: its own quarantine, else that of a file with the same tensors."""
        with self._database.read() as session:
            tensors = session.scalars(
                select(VersionRow.tensor_digest).where(
                    VersionRow.org == org, VersionRow.digest == digest, VersionRow.tensor_digest.is_not(None)
                )
            ).first()
            is_meant = QuarantineRow.digest == digest
            if tensors is not None:
                is_meant = or_(is_meant, QuarantineRow.tensor_digest == tensors)
            wanted = (
                select(QuarantineRow)
                .where(QuarantineRow.org == org, QuarantineRow.lifted_at.is_(None), is_meant)
                .order_by(QuarantineRow.digest != digest, QuarantineRow.at.desc())
            )
            row = session.scalars(wanted).first()
        return _quarantined(row) if row else None

    def quarantine_reason(self, org: str, digest: str) -> str | None:
        found = self.quarantined(org, digest)
        if found is None:
            return None
        return (
            found.reason if found.digest == digest else f"same tensors as {found.digest[:12]}: {found.reason}"
        )

    def list_quarantine(self, org: str | None = None, *, lifted: bool = False) -> list[Quarantined]:
        """Newest first; those that were lifted only when asked for."""
        wanted = select(QuarantineRow).order_by(QuarantineRow.at.desc(), QuarantineRow.digest)
        if org is not None:
            wanted = wanted.where(QuarantineRow.org == org)
        if not lifted:
            wanted = wanted.where(QuarantineRow.lifted_at.is_(None))
        with self._database.read() as session:
            return [_quarantined(row) for row in session.scalars(wanted)]

    def lift_quarantine(self, org: str, digest: str, *, actor: str, reason: str) -> Quarantined:
        """Allow the digest again. Raises: NotFound when it is not in quarantine."""
        at = self._clock()
        with self._database.write() as session:
            row = session.get(QuarantineRow, (org, digest))
            if row is None or row.lifted_at is not None:
                raise NotFound(
                    f"{digest[:12]} is not in quarantine at {org}.",
                    remedy="See what is: tidegate quarantine list.",
                    digest=digest,
                )
            row.lifted_at, row.lifted_by, row.lift_reason = at, actor, reason
            session.flush()
            self._witness(
                session,
                "quarantine.lifted",
                at=at,
                actor=actor,
                org=org,
                release_id=row.release_id,
                subject=digest,
                reason=reason,
                evidence={"digest": digest, "quarantined_for": row.reason},
            )
            return _quarantined(row)

    def note_finding(
        self,
        kind: str,
        subject: str,
        summary: str,
        *,
        remedy: str = "",
        ref: ServiceRef | None = None,
        data: dict[str, Any] | None = None,
    ) -> Finding:
        """Say that something is not as it should be. While it stands it is one finding, however often it is seen."""
        at = self._clock()
        with self._database.write() as session:
            return put_finding(session, at, kind, subject, summary, remedy=remedy, ref=ref, data=data)

    def resolve_finding(self, kind: str, subject: str) -> None:
        """It is as it should be again. No error when nothing stood."""
        now = self._clock()
        with self._database.write() as session:
            end_finding(session, now, kind, subject)

    def findings(self, *, only_open: bool = True) -> list[Finding]:
        """The longest standing first."""
        wanted = select(FindingRow).order_by(FindingRow.first_seen, FindingRow.kind, FindingRow.subject)
        if only_open:
            wanted = wanted.where(FindingRow.resolved_at.is_(None))
        with self._database.read() as session:
            return [_finding(row) for row in session.scalars(wanted)]


def put_finding(
    session: Session,
    at: datetime,
    kind: str,
    subject: str,
    summary: str,
    *,
    remedy: str = "",
    ref: ServiceRef | None = None,
    data: dict[str, Any] | None = None,
) -> Finding:
    """For other parts of the ledger, inside the transaction that finds it."""
    row = session.get(FindingRow, (kind, subject))
    begins = row is None or row.resolved_at is not None
    if row is None:
        row = FindingRow(kind=kind, subject=subject, first_seen=at)
        session.add(row)
    elif row.resolved_at is not None:
        row.first_seen = at
    row.org, row.service = (ref.org, ref.service) if ref else (None, None)
    row.summary, row.remedy, row.data = summary, remedy, to_json(data or {})
    row.last_seen, row.resolved_at = at, None
    session.flush()
    if begins:
        add_event(session, event_of_finding(_finding(row)))
    return _finding(row)


def end_finding(session: Session, at: datetime, kind: str, subject: str) -> None:
    """The same for its end."""
    own = (FindingRow.kind == kind, FindingRow.subject == subject, FindingRow.resolved_at.is_(None))
    session.execute(update(FindingRow).where(*own).values(resolved_at=at))


def _owner_of(session: Session, release_id: str) -> str:
    """The process that drives the release: what the machine forbids, it does by that."""
    release = session.get(ReleaseRow, release_id) if release_id else None
    return release.owner if release else ""


def _hold(row: HoldRow) -> Hold:
    return Hold.model_validate({name: getattr(row, name) for name in Hold.model_fields})


def _quarantined(row: QuarantineRow) -> Quarantined:
    return Quarantined.model_validate({name: getattr(row, name) for name in Quarantined.model_fields})


def _finding(row: FindingRow) -> Finding:
    return Finding.model_validate({name: getattr(row, name) for name in Finding.model_fields})
