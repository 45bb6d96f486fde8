"""API keys of the gateway's clients: made, rotated and revoked here, followed by every gateway. Digests only."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tidegate.domain import LOCAL_KEY_NAME, ApiKey, ApiKeyState, NotFound, Refused
from tidegate.ledger.part import Part, ensure_organization
from tidegate.ledger.tables import ApiKeyRow, OrganizationRow


class ApiKeysPart(Part):
    """Keys of one name are generations of one client; writers of one organization take turns."""

    def create_api_key(
        self, org: str, name: str, digest: str, *, created_by: str, lifetime: timedelta | None = None
    ) -> ApiKey:
        """Store a new key. Raises: Refused when a key of that name is live, or the same key is stored already."""
        at = self._clock()
        with self._database.write() as session:
            _lock(session, org, at)
            if _live(session, org, name, at):
                raise Refused(
                    f"{org} has a live key '{name}'.",
                    remedy=f"Choose another name, or replace it with: tidegate keys rotate {org} {name}.",
                    field="name",
                )
            made = _told(_add(session, org, name, digest, created_by, at, lifetime))
            self._tell_key(session, "key.issued", made, created_by, at)
            return made

    def rotate_api_key(
        self,
        org: str,
        name: str,
        digest: str,
        *,
        overlap: timedelta,
        created_by: str,
        lifetime: timedelta | None = None,
    ) -> ApiKey:
        """Store the next key of a client; its former ones end after `overlap`, or earlier if they would anyway.

        Without `lifetime` the new key lives as long as the former was made to. Raises: NotFound, Refused.
        """
        at = self._clock()
        with self._database.write() as session:
            _lock(session, org, at)
            former = _live(session, org, name, at)
            if not former:
                raise NotFound(
                    f"{org} has no live key '{name}'.",
                    remedy=f"Make a key with: tidegate keys create {org} --name {_name_to_take(name)}.",
                    field="name",
                )
            newest = former[-1]
            if lifetime is None and newest.expires_at is not None:
                lifetime = newest.expires_at - newest.created_at
            end = at + overlap
            for row in former:
                row.expires_at = end if row.expires_at is None else min(row.expires_at, end)
            made = _told(_add(session, org, name, digest, created_by, at, lifetime))
            former_ids = [_told(row).id for row in former]
            self._tell_key(
                session, "key.rotated", made, created_by, at, former=former_ids, former_until=end.isoformat()
            )
            return made

    def revoke_api_keys(self, org: str, key: str, *, actor: str = "") -> list[ApiKey]:
        """End the live keys of this name, or the one of this id, at once. Raises: NotFound when there is none."""
        at = self._clock()
        with self._database.write() as session:
            _lock(session, org, at)
            ended = [row for row in _live(session, org, None, at) if key in (row.name, _told(row).id)]
            if not ended:
                raise NotFound(
                    f"{org} has no live key '{key}'.",
                    remedy=f"See: tidegate keys list {org}.",
                    field="key",
                )
            for row in ended:
                row.revoked_at = at
            told = [_told(row) for row in ended]
            for one in told:
                self._tell_key(session, "key.revoked", one, actor, at)
            return told

    def register_api_key(self, org: str, name: str, digest: str, *, created_by: str) -> None:
        """Make the key of a secret store known, once. A revoked or expired one stays so; a changed one replaces
        the former at once, as changing the secret always did. Raises: Refused when another owner has it."""
        at = self._clock()
        with self._database.write() as session:
            _lock(session, org, at)
            known = session.scalars(select(ApiKeyRow).where(ApiKeyRow.digest == digest)).one_or_none()
            if known is not None and (known.org, known.name) == (org, name):
                return
            for row in _live(session, org, name, at):
                row.revoked_at = at
            made = _told(_add(session, org, name, digest, created_by, at, None))
            self._tell_key(session, "key.registered", made, created_by, at)

    def _tell_key(
        self, session: Session, action: str, key: ApiKey, actor: str, at: datetime, **said: Any
    ) -> None:
        """The id begins the digest: it names the key, and opens nothing."""
        ends = key.expires_at.isoformat() if key.expires_at else None
        evidence = {"key": key.id, "expires_at": ends, **said}
        self._witness(session, action, actor=actor, org=key.org, subject=key.name, evidence=evidence, at=at)

    def api_keys(self, org: str | None = None) -> list[ApiKey]:
        """All that ever were, by organization and name, the newest of a name first."""
        wanted = select(ApiKeyRow).order_by(ApiKeyRow.org, ApiKeyRow.name, ApiKeyRow.number.desc())
        if org is not None:
            wanted = wanted.where(ApiKeyRow.org == org)
        with self._database.read() as session:
            return [_told(row) for row in session.scalars(wanted)]

    def live_api_keys(self) -> list[ApiKey]:
        """What gateways accept now."""
        at = self._clock()
        with self._database.read() as session:
            return [_told(row) for row in _live(session, None, None, at)]


def _lock(session: Session, org: str, at: datetime) -> None:
    ensure_organization(session, org, at)
    session.scalars(select(OrganizationRow).where(OrganizationRow.name == org).with_for_update()).one()


def _name_to_take(name: str) -> str:
    """The installation's own key, once revoked, stays so; a client gets a key of its own instead."""
    return "web-app" if name == LOCAL_KEY_NAME else name


def _live(session: Session, org: str | None, name: str | None, at: datetime) -> Sequence[ApiKeyRow]:
    """Oldest first."""
    wanted = select(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None)).order_by(ApiKeyRow.number)
    if org is not None:
        wanted = wanted.where(ApiKeyRow.org == org)
    if name is not None:
        wanted = wanted.where(ApiKeyRow.name == name)
    return [row for row in session.scalars(wanted) if _told(row).state(at) is ApiKeyState.LIVE]


def _add(
    session: Session,
    org: str,
    name: str,
    digest: str,
    created_by: str,
    at: datetime,
    lifetime: timedelta | None,
) -> ApiKeyRow:
    known = session.scalars(select(ApiKeyRow).where(ApiKeyRow.digest == digest)).one_or_none()
    if known is not None:
        raise Refused(
            f"The key of {org}/{name} is known already, as {known.org}/{known.name}.",
            remedy="Every client needs a key of its own: make a new one.",
            field="key",
        )
    row = ApiKeyRow(
        org=org,
        name=name,
        digest=digest,
        created_at=at,
        created_by=created_by,
        expires_at=None if lifetime is None else at + lifetime,
    )
    session.add(row)
    session.flush()
    return row


def _told(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        org=row.org,
        name=row.name,
        digest=row.digest,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
