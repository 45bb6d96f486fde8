"""Request tokens that were used. A nonce is spent once, for one release, together with what it was spent on."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tidegate.domain import Action, InvalidInput, Refused, RequestProof, ServiceRef
from tidegate.ledger.part import Part, lock_service
from tidegate.ledger.tables import ReleaseRow, RequestTokenRow


class ProofsPart(Part):
    """What is remembered of request tokens."""

    def spend(self, proof: RequestProof, release_id: str) -> None:
        """Use a token for this release; using it again for the same release changes nothing.

        Raises: Refused when it was used for another one, InvalidInput for a release of another service.
        """
        at = self._clock()
        with self._database.write() as session:
            lock_service(session, proof.ref, at)
            spend(session, proof, release_id, at)

    def proofs(self, release_id: str, action: Action | None = None) -> list[RequestProof]:
        """What was proven for a release, oldest first."""
        wanted = select(RequestTokenRow).where(RequestTokenRow.release_id == release_id)
        if action is not None:
            wanted = wanted.where(RequestTokenRow.action == action.value)
        with self._database.read() as session:
            rows = session.scalars(wanted.order_by(RequestTokenRow.used_at, RequestTokenRow.nonce))
            return [RequestProof.model_validate(row.proof) for row in rows]


def spend(session: Session, proof: RequestProof, release_id: str, at: datetime) -> None:
    """Within the transaction that does what the token was spent on: both happen, or neither."""
    session.flush()
    release = session.get(ReleaseRow, release_id)
    if release is None or (release.org, release.service) != proof.ref:
        raise InvalidInput(
            f"A request token of {proof.ref} cannot be used for release {release_id}.",
            remedy="Issue one for the service of the release.",
            field="token",
        )
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "org": proof.org,
        "nonce": proof.nonce,
        "service": proof.service,
        "release_id": release_id,
        "action": proof.action.value,
        "proof": proof.model_dump(mode="json"),
        "used_at": at,
    }
    added = (
        insert(RequestTokenRow).values(values).on_conflict_do_nothing().returning(RequestTokenRow.release_id)
    )
    if session.scalars(added).one_or_none() is not None:
        return
    known = session.get(RequestTokenRow, (proof.org, proof.nonce))
    if known is None or known.release_id != release_id or known.proof != values["proof"]:
        raise replayed(proof.ref, known.release_id if known else "")


def spent_on(session: Session, proof: RequestProof) -> str | None:
    """The release for which this token was used."""
    known = session.get(RequestTokenRow, (proof.org, proof.nonce))
    return known.release_id if known else None


def replayed(ref: ServiceRef, release_id: str) -> Refused:
    return Refused(
        f"The request token for {ref} was used before, for release {release_id}.",
        remedy=f"See: tidegate releases show {release_id}. For another request, issue another token.",
        problem="replay",
        release_id=release_id,
    )
