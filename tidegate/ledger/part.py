"""What every part of the ledger stands on: the database, a clock, a source of ids, and the fence of a service.

All fenced writes lock the row of their service first. That row is the only lock of the ledger: holding it
means that nobody else appends, moves an alias or changes the route of that service before our commit (S6).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Select, Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tidegate.domain import Fenced, NotFound, Refused, RequestProof, ServiceRef, owner_of_set
from tidegate.domain.audit import Deed, Interface
from tidegate.ledger.chain import stamp, witness
from tidegate.ledger.columns import Rows, clean
from tidegate.ledger.engine import Database, to_json
from tidegate.ledger.tables import HoldRow, OrganizationRow, ReleaseRow, ServiceRow, SetRow

Clock = Callable[[], datetime]
NewId = Callable[[], str]


class Part:
    """One face of the ledger; `Ledger` is all of them together."""

    def __init__(self, database: Database, clock: Clock, new_id: NewId, interface: Interface = Interface.CLI):
        self._database = database
        self._clock = clock
        self._new_id = new_id
        self._interface = interface

    def _witness(
        self,
        session: Session,
        action: str,
        *,
        actor: str,
        ref: ServiceRef | None = None,
        org: str | None = None,
        release_id: str | None = None,
        subject: str = "",
        reason: str = "",
        evidence: Mapping[str, Any] | None = None,
        proof: RequestProof | None = None,
        interface: Interface | None = None,
        at: datetime | None = None,
    ) -> None:
        """Have it in the audit log when, and only when, the transaction takes effect. Whoever proved who they are with
        a token came by that."""
        through = interface or self._interface
        shown: dict[str, Any] = dict(evidence or {})
        if proof is not None:
            shown |= {"token": proof.nonce, "token_key": proof.key_id, "through": through.value}
            through = Interface.TOKEN
        deed = Deed(
            action=clean(action),
            actor=clean(actor or "unknown"),
            interface=through,
            at=stamp(at or self._clock()),
            org=ref.org if ref else org,
            service=ref.service if ref else None,
            release_id=release_id or None,
            subject=clean(subject),
            reason=clean(reason),
            evidence=to_json({name: value for name, value in shown.items() if value not in (None, "")}),
        )
        witness(session, deed)


def lock_service(session: Session, ref: ServiceRef, at: datetime) -> ServiceRow:
    """The row of a service, ours until the end of the transaction; made on first use."""
    wanted = (
        select(ServiceRow)
        .where(ServiceRow.org == ref.org, ServiceRow.service == ref.service)
        .with_for_update(key_share=True)
    )
    found = session.scalars(wanted).one_or_none()
    if found is not None:
        return found
    ensure_organization(session, ref.org, at)
    upsert(
        session,
        ServiceRow,
        {"org": ref.org, "service": ref.service, "epoch": 0, "created_at": at},
        ("org", "service"),
    )
    return session.scalars(wanted).one()


def lock_fenced(session: Session, ref: ServiceRef, epoch: int, at: datetime) -> ServiceRow:
    """The same, for a writer that claims to hold `epoch`. Raises: Fenced when it is not the current one."""
    service = lock_service(session, ref, at)
    if service.epoch != epoch:
        raise fenced(ref, epoch, service.epoch)
    return service


def lock_release(session: Session, release_id: str | None) -> tuple[ReleaseRow, ServiceRow]:
    """A release and its service, both ours until the end of the transaction. Raises: NotFound."""
    wanted = (
        select(ReleaseRow, ServiceRow)
        .join(ServiceRow, (ServiceRow.org == ReleaseRow.org) & (ServiceRow.service == ReleaseRow.service))
        .where(ReleaseRow.id == release_id)
        .with_for_update(key_share=True)
    )
    found = session.execute(wanted).one_or_none()
    if found is None:
        raise unknown_release(release_id)
    release, service = found
    return release, service


def lock_owned(session: Session, release_id: str | None, epoch: int) -> tuple[ReleaseRow, ServiceRow]:
    """The same, for a writer that claims to own the release with `epoch`. Raises: Fenced when another does (S6)."""
    release, service = lock_release(session, release_id)
    if epoch == 0 or epoch != service.epoch or service.epoch_of != release.id:
        raise fenced(ServiceRef(release.org, release.service), epoch, service.epoch)
    return release, service


def standing_holds(ref: ServiceRef) -> Select[tuple[HoldRow]]:
    return (
        select(HoldRow)
        .where(HoldRow.org == ref.org, HoldRow.service == ref.service, HoldRow.lifted_at.is_(None))
        .order_by(HoldRow.number)
    )


def unknown_release(release_id: str | None) -> NotFound:
    return NotFound(
        f"There is no release {release_id}.",
        remedy="List the releases to find its id.",
        release_id=release_id,
    )


def refuse_foreign_set(session: Session, ref: ServiceRef, names: Sequence[str]) -> None:
    """No service records, routes to or spends on the set of another one.

    Raises: Refused for a set that is recorded for another service, or whose name says that it is another's.
    """
    owners = {name: owner for name in names if (owner := owner_of_set(name))}
    wanted = select(SetRow.name, SetRow.org, SetRow.service).where(SetRow.name.in_(names))
    owners |= {name: ServiceRef(org, service) for name, org, service in session.execute(wanted)}
    for name, owner in owners.items():
        if owner != ref:
            raise Refused(
                f"Set {name} belongs to {owner}, not to {ref}; nothing was written.",
                remedy="A service uses its own sets only.",
                service=str(ref),
                set_name=name,
            )


def fenced(ref: ServiceRef, epoch: int, current: int) -> Fenced:
    return Fenced(
        f"Epoch {epoch} of {ref} is not the current one ({current}); nothing was written.",
        remedy="Stop this process: another owner drives the service now.",
        service=str(ref),
        epoch=epoch,
        current_epoch=current,
    )


def ensure_organization(session: Session, org: str, at: datetime) -> None:
    upsert(session, OrganizationRow, {"name": org, "created_at": at}, ("name",))


def upsert(
    session: Session,
    table: type[Rows],
    values: dict[str, Any],
    key: Sequence[str],
    *,
    overwrite: Sequence[str] = (),
) -> None:
    """Insert a row; where `key` exists already, set only the columns of `overwrite`."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(values)
    if overwrite:
        changed = {name: statement.excluded[name] for name in overwrite}
        statement = statement.on_conflict_do_update(index_elements=key, set_=changed)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    session.execute(statement)


def insert_new(session: Session, table: type[Rows], values: dict[str, Any], key: Sequence[str]) -> bool:
    """Insert a row; False when `key` exists already, and nothing changed. Past the session's own objects, which cost more
    than the row."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(cast("Table", table.__table__)).on_conflict_do_nothing(index_elements=key)
    kept = session.connection().execute(statement, values, execution_options={"preserve_rowcount": True})
    return kept.rowcount == 1
