"""Releases, their journal and evidence, and the lock on a service. Decides nothing; refuses stale writers."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.orm import Session

from tidegate.domain import (
    TERMINAL,
    Evidence,
    Gate,
    InvalidInput,
    JournalEntry,
    Plan,
    Refused,
    Release,
    ReleaseRequest,
    ReleaseState,
    RequestProof,
    ServiceRef,
)
from tidegate.domain.release import ROLLBACK, EntryKind
from tidegate.domain.standing import held
from tidegate.ledger.counting import count_entry, count_evidence
from tidegate.ledger.deeds import latest_evidence, of_entry, of_request
from tidegate.ledger.engine import to_json
from tidegate.ledger.part import (
    Part,
    fenced,
    lock_owned,
    lock_release,
    lock_service,
    standing_holds,
    unknown_release,
)
from tidegate.ledger.proofs import replayed, spend, spent_on
from tidegate.ledger.tables import EntryRow, EvidenceRow, ReleaseRow, ServiceRow
from tidegate.ledger.telling import is_told, tell

OVER = tuple(state.value for state in TERMINAL)


class JournalPart(Part):
    """Implements the port `Journal`, except for its sets."""

    def request_release(
        self, request: ReleaseRequest, digest: str, *, key: str, proof: RequestProof | None = None
    ) -> Release:
        """Create it in REQUESTED (first journal row included), or return the one that already has `key` and
        is not over. One transaction, in which the request's `proof` is spent; two callers at once get the same
        release. Raises: Refused for a proof that was spent on another release, or on one that is over; and for a
        new one that nobody asked for by hand, while the service is held."""
        at = self._clock()
        with self._database.write() as session:
            lock_service(session, request.ref, at)
            row = session.scalars(select(ReleaseRow).where(ReleaseRow.active_key == key)).one_or_none()
            if proof is not None and (used_for := spent_on(session, proof)):
                if row is None or row.id != used_for:
                    raise replayed(request.ref, used_for)
                return _release(row)
            if row is None:
                _refuse_held(session, request)
                row = _new_release(request, digest, key=key, release_id=self._new_id(), at=at)
                session.add(row)
                _add_entry(session, row, 0, "entered", ReleaseState.REQUESTED, {"key": key}, at)
                self._witness(session, **of_request(request, row.id, digest, key, proof), at=at)
            if proof is not None:
                spend(session, proof, row.id, at)
        return _release(row)

    def find_active(self, key: str) -> Release | None:
        """The release that has this idempotency key and is not over."""
        with self._database.read() as session:
            row = session.scalars(select(ReleaseRow).where(ReleaseRow.active_key == key)).one_or_none()
        return _release(row) if row else None

    def releases_since(self, org: str, at: datetime) -> list[Release]:
        """Every release of an organization that was requested since then, oldest first."""
        wanted = (
            select(ReleaseRow)
            .where(ReleaseRow.org == org, ReleaseRow.created_at >= at)
            .order_by(ReleaseRow.created_at, ReleaseRow.id)
        )
        with self._database.read() as session:
            return [_release(row) for row in session.scalars(wanted)]

    def get_release(self, release_id: str) -> Release:
        """Raises: NotFound."""
        with self._database.read() as session:
            return _release(_get(session, release_id))

    def list_releases(
        self, *, ref: ServiceRef | None = None, only_active: bool = False, limit: int = 50
    ) -> list[Release]:
        """Newest first."""
        wanted = select(ReleaseRow).order_by(ReleaseRow.created_at.desc(), ReleaseRow.id.desc()).limit(limit)
        if ref is not None:
            wanted = wanted.where(ReleaseRow.org == ref.org, ReleaseRow.service == ref.service)
        if only_active:
            wanted = wanted.where(ReleaseRow.state.not_in(OVER))
        with self._database.read() as session:
            return [_release(row) for row in session.scalars(wanted)]

    def active_release(self, ref: ServiceRef) -> Release | None:
        """The release that holds the service, else a rollback that waits for it, else the one that has waited longest;
        None when all are over."""
        wanted = (
            select(ReleaseRow)
            .join(ServiceRow, (ServiceRow.org == ReleaseRow.org) & (ServiceRow.service == ReleaseRow.service))
            .where(
                ReleaseRow.org == ref.org, ReleaseRow.service == ref.service, ReleaseRow.state.not_in(OVER)
            )
            .order_by(
                (func.coalesce(ServiceRow.holder, "") != ReleaseRow.id),
                ~_is_rollback(),
                ReleaseRow.created_at,
                ReleaseRow.id,
            )
            .limit(1)
        )
        with self._database.read() as session:
            row = session.scalars(wanted).one_or_none()
        return _release(row) if row else None

    def acquire_lock(self, ref: ServiceRef, release_id: str) -> int | None:
        """Take the service for this release and return a new, higher epoch; the same release asking again gets a
        new epoch too (its former owner is fenced off). None while another release that is not over holds it; and for
        one that is no rollback while a rollback waits: the way back goes first."""
        with self._database.write() as session:
            row, service = lock_release(session, release_id)
            if (row.org, row.service) != ref:
                raise InvalidInput(
                    f"Release {release_id} is of {row.org}/{row.service}, not of {ref}.",
                    remedy="Lock the service of the release.",
                    field="ref",
                )
            if service.holder not in (None, release_id) and _get(session, service.holder).state not in OVER:
                return None
            if service.holder != release_id and _gives_way(session, row):
                return None
            service.epoch += 1
            service.epoch_of = service.holder = release_id
            row.epoch = service.epoch
            return service.epoch

    def release_lock(self, ref: ServiceRef, release_id: str, epoch: int) -> None:
        """No error when it is not held; the epoch counter never falls."""
        with self._database.write() as session:
            service = lock_service(session, ref, self._clock())
            if (service.holder, service.epoch) == (release_id, epoch):
                service.holder = None

    def current_epoch(self, ref: ServiceRef) -> int:
        """0 when the service was never locked."""
        with self._database.read() as session:
            service = session.get(ServiceRow, (ref.org, ref.service))
        return service.epoch if service else 0

    def append(
        self,
        release_id: str,
        epoch: int,
        kind: EntryKind,
        name: str,
        data: dict[str, Any] | None = None,
        *,
        plan: Plan | None = None,
    ) -> JournalEntry:
        """Append one row. `entered` also sets the release's state (to `name`), reason (`data["reason"]`) and, when
        given, its plan, in the same transaction. `abort` needs no valid epoch. Epoch 0 means "nobody owns it yet"
        and may only note, or enter `rejected`, while this release does not hold the lock.
        Raises: Fenced when `epoch` is not the service's current one or belongs to another release, Refused when
        a release that is over would enter another state."""
        at = self._clock()
        content: dict[str, Any] = to_json(data or {})
        with self._database.write() as session:
            row, service = lock_release(session, release_id)
            _check_owner(service, row, epoch, kind, name)
            was = row.state
            if kind == "entered":
                _enter(row, name, str(content.get("reason", "")), plan)
            row.updated_at = at
            said = of_entry(session, row, epoch, kind, name, content)
            count_entry(session, row, was, kind, name, content)
            added = _add_entry(session, row, epoch, kind, name, content, at)
            if is_told(added):
                tell(session, _release(row), added)
            if said:
                self._witness(session, **said, at=at)
            return added

    def entries(self, release_id: str) -> list[JournalEntry]:
        """In the order of appending."""
        wanted = select(EntryRow).where(EntryRow.release_id == release_id).order_by(EntryRow.seq)
        with self._database.read() as session:
            return [_entry(row) for row in session.scalars(wanted)]

    def add_evidence(
        self,
        release_id: str | None,
        rows: Sequence[Evidence],
        *,
        digest: str,
        policy_digest: str,
        epoch: int | None = None,
    ) -> None:
        """Store rows; a row of the same release, gate and check replaces the former in later reads.

        Raises: Fenced when `epoch` is given and is not the one that owns the release: what an owner measured that
        was replaced meanwhile must not stand in the place of the new owner's rows."""
        at = self._clock()
        with self._database.write() as session:
            if release_id is not None:
                release, service = lock_release(session, release_id)
                if epoch is not None:
                    _check_owner(service, release, epoch, "observed", "evidence")
            count_evidence(session, rows)
            for row in rows:
                session.add(
                    EvidenceRow(
                        release_id=release_id,
                        epoch=epoch,
                        digest=digest,
                        policy_digest=policy_digest,
                        gate=row.gate.value,
                        check_id=row.check,
                        verdict=row.verdict.value,
                        summary=row.summary,
                        remedy=row.remedy,
                        data=to_json(row.data),
                        taken_at=row.taken_at,
                        stored_at=at,
                    )
                )

    def evidence(self, release_id: str, gate: Gate | None = None) -> list[Evidence]:
        """Latest row of each (gate, check), in the order of storing."""
        with self._database.read() as session:
            return latest_evidence(session, release_id, gate)

    def heartbeat(self, release_id: str, owner: str, epoch: int = 0) -> None:
        """Say who drives the release, and that it lives.

        Raises: NotFound; Fenced for an `epoch` that another owner replaced: one that was pushed aside and still runs
        would let everybody believe that the release has a living owner."""
        seen = (
            update(ReleaseRow)
            .where(ReleaseRow.id == release_id)
            .values(owner=owner, owner_seen_at=self._clock())
        )
        with self._database.write() as session:
            if epoch:
                lock_owned(session, release_id, epoch)
            changed = session.scalars(seen.returning(ReleaseRow.id)).one_or_none()
        if changed is None:
            raise unknown_release(release_id)


def _refuse_held(session: Session, request: ReleaseRequest) -> None:
    """Asked within the transaction that records the wish: a hold that is set meanwhile comes before or after it."""
    if request.is_automatic and (hold := session.scalars(standing_holds(request.ref)).first()):
        raise held(request.ref, hold.actor, hold.reason)


def _is_rollback() -> ColumnElement[bool]:
    return ReleaseRow.request["trigger"].as_string() == ROLLBACK


def _gives_way(session: Session, release: ReleaseRow) -> bool:
    """Whether a rollback of the same service waits for it, and this release is none."""
    if release.request["trigger"] == ROLLBACK:
        return False
    waiting = select(ReleaseRow.id).where(
        ReleaseRow.org == release.org,
        ReleaseRow.service == release.service,
        ReleaseRow.state.not_in(OVER),
        _is_rollback(),
    )
    return session.scalars(waiting.limit(1)).first() is not None


def _check_owner(service: ServiceRow, release: ReleaseRow, epoch: int, kind: EntryKind, name: str) -> None:
    """Raises Fenced unless this writer may append now (S6)."""
    if kind == "abort":
        return
    if epoch == 0:
        may = kind == "note" or (kind == "entered" and name == ReleaseState.REJECTED)
        # People may still say something about a release that is over, also when its owner died with the lock.
        is_epilogue = kind == "note" and release.state in OVER
        allowed = may and (service.holder != release.id or is_epilogue)
    else:
        allowed = epoch == service.epoch and service.epoch_of == release.id
    if not allowed:
        raise fenced(ServiceRef(release.org, release.service), epoch, service.epoch)


def _enter(release: ReleaseRow, name: str, reason: str, plan: Plan | None) -> None:
    try:
        state = ReleaseState(name)
    except ValueError as error:
        raise InvalidInput(
            f"'{name}' is not a state of a release.",
            remedy=f"Use one of: {', '.join(ReleaseState)}.",
            field="name",
        ) from error
    if release.state in OVER and release.state != state:
        raise Refused(
            f"Release {release.id} is over ({release.state}) and cannot enter {state}.",
            remedy="Request a new release.",
            release_id=release.id,
        )
    release.state = state.value
    release.reason = reason
    release.active_key = None if state in TERMINAL else release.key
    if plan is not None:
        release.plan = plan.model_dump(mode="json")


def _new_release(
    request: ReleaseRequest, digest: str, *, key: str, release_id: str, at: datetime
) -> ReleaseRow:
    return ReleaseRow(
        id=release_id,
        org=request.org,
        service=request.service,
        key=key,
        active_key=key,
        request=request.model_dump(mode="json"),
        digest=digest,
        state=ReleaseState.REQUESTED.value,
        epoch=0,
        plan=None,
        reason="",
        created_at=at,
        updated_at=at,
        owner="",
        owner_seen_at=None,
    )


def _add_entry(
    session: Session,
    release: ReleaseRow,
    epoch: int,
    kind: EntryKind,
    name: str,
    data: dict[str, Any],
    at: datetime,
) -> JournalEntry:
    """The service is locked, so that the next number is ours."""
    session.flush()
    last = select(func.coalesce(func.max(EntryRow.seq), 0)).where(EntryRow.release_id == release.id)
    values = {"release_id": release.id, "epoch": epoch, "kind": kind, "name": name, "data": data, "at": at}
    added = insert(EntryRow).values({**values, "seq": last.scalar_subquery() + 1}).returning(EntryRow.seq)
    return JournalEntry.model_validate(values | {"seq": session.scalars(added).one()})


def _get(session: Session, release_id: str | None) -> ReleaseRow:
    row = session.get(ReleaseRow, release_id)
    if row is None:
        raise unknown_release(release_id)
    return row


def _release(row: ReleaseRow) -> Release:
    return Release(
        id=row.id,
        request=ReleaseRequest.model_validate(row.request),
        digest=row.digest,
        state=ReleaseState(row.state),
        epoch=row.epoch,
        plan=Plan.model_validate(row.plan) if row.plan else None,
        reason=row.reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        owner=row.owner,
        owner_seen_at=row.owner_seen_at,
    )


def _entry(row: EntryRow) -> JournalEntry:
    fields = {name: getattr(row, name) for name in JournalEntry.model_fields}
    return JournalEntry.model_validate(fields)
