"""Reading the audit log, and entries about what is written nowhere else in the ledger."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, select
from sqlalchemy.orm import Session

from tidegate.domain import NotFound, ServiceRef
from tidegate.domain.audit import Anchor, Interface, Verified, shown, verify
from tidegate.ledger.chain import stamp
from tidegate.ledger.operations_tables import AuditRow
from tidegate.ledger.part import Part, upsert
from tidegate.ledger.tables import ResultRow

CONFIGURATION = "configuration"
PAGE = 500


class AuditPart(Part):
    """What was done, in the order in which it took effect."""

    def note_deed(
        self,
        action: str,
        *,
        actor: str,
        org: str | None = None,
        ref: ServiceRef | None = None,
        release_id: str | None = None,
        subject: str = "",
        reason: str = "",
        evidence: Mapping[str, Any] | None = None,
        interface: Interface | None = None,
    ) -> None:
        """Of something that changes no row of the ledger: a token that is issued, a drill that was played."""
        with self._database.write() as session:
            self._witness(
                session,
                action,
                actor=actor,
                org=org,
                ref=ref,
                release_id=release_id,
                subject=subject,
                reason=reason,
                evidence=evidence,
                interface=interface,
            )

    def note_configuration(self, org: str, digest: str, *, actor: str, parts: Mapping[str, str]) -> bool:
        """Say which configuration of an organization is in force here; an entry is made when it is another one than
        the last that was seen, by whichever process. True when it is."""
        with self._database.read() as session:
            if _seen(session, org) == digest:
                return False
        with self._database.write() as session:
            former = _seen(session, org)
            if former == digest:
                return False
            values = {"kind": CONFIGURATION, "key": org, "data": {"digest": digest}, "at": self._clock()}
            upsert(session, ResultRow, values, ("kind", "key"), overwrite=("data", "at"))
            evidence = {"digest": digest, "former": former, **parts}
            self._witness(session, "configuration.seen", actor=actor, org=org, evidence=evidence)
        return True

    def audit_entries(
        self,
        *,
        org: str | None = None,
        service: str | None = None,
        release_id: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Newest first. `action` may be the beginning of one, as `release.`."""
        wanted = select(*AuditRow.__table__.columns).order_by(AuditRow.number.desc()).limit(limit)
        exact = {"org": org, "service": service, "release_id": release_id, "actor": actor}
        for name, value in exact.items():
            if value is not None:
                wanted = wanted.where(getattr(AuditRow, name) == value)
        if action is not None:
            wanted = wanted.where(AuditRow.action.startswith(action, autoescape=True))
        if since is not None:
            wanted = wanted.where(AuditRow.at >= stamp(since))
        with self._database.read() as session:
            return [shown(_stored(row)) for row in session.execute(wanted).mappings()]

    def audit_entry(self, number: int) -> dict[str, Any]:
        """Raises: NotFound."""
        wanted = select(*AuditRow.__table__.columns).where(AuditRow.number == number)
        with self._database.read() as session:
            row = session.execute(wanted).mappings().one_or_none()
        if row is None:
            raise NotFound(
                f"The audit log has no entry {number}.", remedy="See: tidegate audit list.", field="number"
            )
        return shown(_stored(row))

    def audit_log(self) -> Iterator[dict[str, Any]]:
        """Every entry as it is stored, oldest first; a page at a time, however many there are."""
        page = select(*AuditRow.__table__.columns).order_by(AuditRow.number).limit(PAGE)
        wanted = page
        with self._database.read() as session:
            while rows := session.execute(wanted).mappings().all():
                yield from map(_stored, rows)
                wanted = page.where(AuditRow.number > rows[-1]["number"])

    def verify_audit(self, anchors: Iterable[Anchor] = ()) -> Verified:
        """Follow the whole chain, and compare it with what was kept elsewhere."""
        return verify(self.audit_log(), anchors)


def _stored(row: RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _seen(session: Session, org: str) -> str | None:
    row = session.get(ResultRow, (CONFIGURATION, org))
    return str(row.data["digest"]) if row else None
