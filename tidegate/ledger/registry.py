"""Model versions and the aliases of services."""

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tidegate.domain import InvalidInput, ModelVersion, NotFound, Refused, ServiceRef
from tidegate.ledger.engine import to_json
from tidegate.ledger.part import Part, ensure_organization, insert_new, lock_fenced, upsert
from tidegate.ledger.tables import AliasMoveRow, AliasRow, VersionRow

LATEST = "latest"


class RegistryPart(Part):
    """Implements the port `Registry`."""

    def register_version(self, version: ModelVersion, *, actor: str = "") -> ModelVersion:
        """Store it. Same org, name, version and digest: returns the stored one.
        Raises: Refused when that name and version exist with another digest (versions are immutable)."""
        if version.version == LATEST:
            raise InvalidInput(
                f"'{LATEST}' is not a version: it means the newest one.",
                remedy="Name a version.",
                field="version",
            )
        values = version.model_dump() | {"provenance": to_json(version.provenance)}
        with self._database.write() as session:
            ensure_organization(session, version.org, self._clock())
            if insert_new(session, VersionRow, values, ("org", "name", "version")):
                self._witness(
                    session,
                    "version.registered",
                    actor=actor,
                    org=version.org,
                    subject=version.label,
                    evidence={"digest": version.digest, "size_bytes": version.size_bytes},
                )
            stored = _version(_stored(session, version))
        if stored.digest != version.digest:
            raise Refused(
                f"{version.org} already has {version.label} with digest {stored.digest[:12]}, not {version.digest[:12]}.",
                remedy="Versions are immutable: register the new file under a new version.",
                org=version.org,
                version=version.label,
            )
        return stored

    def get_version(self, org: str, name: str, version: str) -> ModelVersion:
        """`version` may be `latest` (newest registered). Raises: NotFound."""
        wanted = select(VersionRow).where(VersionRow.org == org, VersionRow.name == name)
        if version == LATEST:
            wanted = wanted.order_by(VersionRow.number.desc()).limit(1)
        else:
            wanted = wanted.where(VersionRow.version == version)
        with self._database.read() as session:
            row = session.scalars(wanted).one_or_none()
        if row is None:
            raise _unknown_version(org, f"{name}:{version}")
        return _version(row)

    def version_by_digest(self, org: str, digest: str) -> ModelVersion | None:
        """The newest one registered of that digest: the same file may have several names."""
        wanted = (
            select(VersionRow)
            .where(VersionRow.org == org, VersionRow.digest == digest)
            .order_by(VersionRow.number.desc())
            .limit(1)
        )
        with self._database.read() as session:
            row = session.scalars(wanted).one_or_none()
        return _version(row) if row else None

    def list_versions(self, org: str | None = None) -> list[ModelVersion]:
        """Newest registered first."""
        wanted = select(VersionRow).order_by(VersionRow.number.desc())
        if org is not None:
            wanted = wanted.where(VersionRow.org == org)
        with self._database.read() as session:
            return [_version(row) for row in session.scalars(wanted)]

    def get_alias(self, ref: ServiceRef, alias: str) -> ModelVersion | None:
        """The version behind `champion`, `candidate` or `previous` of a service."""
        with self._database.read() as session:
            row = _behind(session, ref, alias)
        return _version(row) if row else None

    def set_alias(
        self,
        ref: ServiceRef,
        alias: str,
        version: ModelVersion | None,
        *,
        actor: str,
        reason: str,
        epoch: int,
    ) -> None:
        """Move (or, with None, remove) an alias and append it to its history; where it already is there, nothing
        happens, so that a crashed owner may repeat itself.
        Raises: Fenced for an epoch that is not the current one, NotFound for a version that is not registered."""
        at = self._clock()
        with self._database.write() as session:
            service = lock_fenced(session, ref, epoch, at)
            old = _behind(session, ref, alias)
            new = _registered(session, ref, version) if version else None
            if (old and old.number) == (new and new.number):
                return
            _point(session, ref, alias, new)
            session.add(
                AliasMoveRow(
                    org=ref.org,
                    service=ref.service,
                    alias=alias,
                    old=_label(old),
                    old_digest=old.digest if old else None,
                    new=_label(new),
                    new_digest=new.digest if new else None,
                    actor=actor,
                    reason=reason,
                    epoch=epoch,
                    at=at,
                )
            )
            self._witness(
                session,
                "alias.moved" if new else "alias.removed",
                at=at,
                actor=actor,
                ref=ref,
                release_id=service.holder,
                subject=alias,
                reason=reason,
                evidence={
                    "old": _label(old),
                    "old_digest": old.digest if old else None,
                    "new": _label(new),
                    "new_digest": new.digest if new else None,
                    "epoch": epoch,
                },
            )

    def alias_history(self, ref: ServiceRef) -> list[dict[str, Any]]:
        """Every move, oldest first: alias, old, old_digest, new, new_digest, actor, reason, epoch, at."""
        wanted = (
            select(AliasMoveRow)
            .where(AliasMoveRow.org == ref.org, AliasMoveRow.service == ref.service)
            .order_by(AliasMoveRow.number)
        )
        with self._database.read() as session:
            return [_move(row) for row in session.scalars(wanted)]


def _stored(session: Session, version: ModelVersion) -> VersionRow:
    wanted = select(VersionRow).where(
        VersionRow.org == version.org, VersionRow.name == version.name, VersionRow.version == version.version
    )
    return session.scalars(wanted).one()


def _behind(session: Session, ref: ServiceRef, alias: str) -> VersionRow | None:
    wanted = (
        select(VersionRow)
        .join(AliasRow, AliasRow.version_number == VersionRow.number)
        .where(AliasRow.org == ref.org, AliasRow.service == ref.service, AliasRow.alias == alias)
    )
    return session.scalars(wanted).one_or_none()


def _registered(session: Session, ref: ServiceRef, version: ModelVersion) -> VersionRow:
    wanted = select(VersionRow).where(
        VersionRow.org == ref.org,
        VersionRow.name == version.name,
        VersionRow.version == version.version,
        VersionRow.digest == version.digest,
    )
    row = session.scalars(wanted).one_or_none()
    if row is None or version.org != ref.org:
        raise _unknown_version(ref.org, f"{version.label} of {version.org} with digest {version.digest[:12]}")
    return row


def _point(session: Session, ref: ServiceRef, alias: str, version: VersionRow | None) -> None:
    if version is None:
        own = (AliasRow.org == ref.org, AliasRow.service == ref.service, AliasRow.alias == alias)
        session.execute(delete(AliasRow).where(*own))
        return
    values = {"org": ref.org, "service": ref.service, "alias": alias, "version_number": version.number}
    upsert(session, AliasRow, values, ("org", "service", "alias"), overwrite=("version_number",))


def _unknown_version(org: str, label: str) -> NotFound:
    return NotFound(
        f"{org} has no model version {label}.",
        remedy="Register it first, or list the versions that exist.",
        org=org,
        version=label,
    )


def _version(row: VersionRow) -> ModelVersion:
    return ModelVersion(
        org=row.org,
        name=row.name,
        version=row.version,
        digest=row.digest,
        size_bytes=row.size_bytes,
        path=row.path,
        provenance=row.provenance,
        tensor_digest=row.tensor_digest,
        registered_at=row.registered_at,
    )


def _label(row: VersionRow | None) -> str | None:
    return f"{row.name}:{row.version}" if row else None


def _move(row: AliasMoveRow) -> dict[str, Any]:
    return {
        "alias": row.alias,
        "old": row.old,
        "old_digest": row.old_digest,
        "new": row.new,
        "new_digest": row.new_digest,
        "actor": row.actor,
        "reason": row.reason,
        "epoch": row.epoch,
        "at": row.at,
    }
