"""What the audit log says of a release: the wish for it, the words of people to it, and how it ended."""

from collections.abc import Mapping
from typing import Any, TypedDict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tidegate.domain import (
    Action,
    Evidence,
    Gate,
    Plan,
    ReleaseRequest,
    ReleaseState,
    RequestProof,
    ServiceRef,
    Verdict,
)
from tidegate.domain.evidence import evidence_digest
from tidegate.domain.release import ROLLBACK, EntryKind
from tidegate.ledger.tables import EvidenceRow, ReleaseRow, RequestTokenRow

APPROVED, OVERRIDDEN = "approve", "override quarantine"
"""Names of the notes in the journal that are words of people."""
TOLD_STATES = frozenset(
    {
        ReleaseState.AWAIT_APPROVAL,
        ReleaseState.HOLD,
        ReleaseState.DONE,
        ReleaseState.ROLLED_BACK,
        ReleaseState.REJECTED,
        ReleaseState.EVALUATED,
    }
)


class Said(TypedDict):
    """Arguments of `Part._witness`."""

    action: str
    actor: str
    ref: ServiceRef
    release_id: str
    reason: str
    evidence: Mapping[str, Any]
    proof: RequestProof | None


def of_request(
    request: ReleaseRequest, release_id: str, digest: str, key: str, proof: RequestProof | None
) -> Said:
    is_back = request.trigger == ROLLBACK
    return Said(
        action="rollback.requested" if is_back else "release.requested",
        actor=request.requested_by,
        ref=request.ref,
        release_id=release_id,
        reason=request.reason,
        evidence={
            "digest": digest,
            "version": f"{request.model}:{request.version}",
            "trigger": request.trigger,
            "key": key,
            "plan_told": request.plan_digest,
            "override": request.override_quarantine,
        },
        proof=proof,
    )


def of_entry(
    session: Session, release: ReleaseRow, epoch: int, kind: EntryKind, name: str, data: Mapping[str, Any]
) -> Said | None:
    """None for what is no decision: intents, observations, and the states on the way."""
    found = _what(kind, name, data)
    if found is None:
        return None
    action, own = found
    rows = latest_evidence(session, release.id)
    return Said(
        action=action,
        # What the machine did was done by the process that drives the release.
        actor=str(data.get("actor") or release.owner or "controller"),
        ref=ServiceRef(release.org, release.service),
        release_id=release.id,
        reason=str(data.get("reason", "")),
        evidence={
            "digest": release.digest,
            "epoch": epoch,
            "plan": Plan.model_validate(release.plan).digest if release.plan else "",
            "evidence": evidence_digest(rows) if rows else "",
            "evidence_rows": len(rows),
            **own,
        },
        proof=_proof_of_yes(session, release.id) if data.get("is_signed") else None,
    )


def latest_evidence(session: Session, release_id: str, gate: Gate | None = None) -> list[Evidence]:
    """Latest row of each (gate, check), in the order of storing."""
    latest = (
        select(func.max(EvidenceRow.number))
        .where(EvidenceRow.release_id == release_id)
        .group_by(EvidenceRow.gate, EvidenceRow.check_id)
    )
    wanted = select(EvidenceRow).where(EvidenceRow.number.in_(latest)).order_by(EvidenceRow.number)
    if gate is not None:
        wanted = wanted.where(EvidenceRow.gate == gate.value)
    return [_evidence(row) for row in session.scalars(wanted)]


def _what(kind: EntryKind, name: str, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The action, and what of the entry is evidence."""
    if kind == "abort":
        return "release.stopped", {"trigger": data.get("trigger")}
    if kind == "note" and name == APPROVED:
        return "release.approved", {}
    if kind == "note" and name == OVERRIDDEN:
        return "quarantine.overridden", {"until": data.get("until"), "quarantine": data.get("quarantine")}
    if kind == "entered" and name in TOLD_STATES:
        return f"release.{name}", {}
    return None


def _proof_of_yes(session: Session, release_id: str) -> RequestProof | None:
    """The token that came with the newest approval: it was spent a moment ago."""
    wanted = (
        select(RequestTokenRow)
        .where(RequestTokenRow.release_id == release_id, RequestTokenRow.action == Action.APPROVE.value)
        .order_by(RequestTokenRow.used_at.desc(), RequestTokenRow.nonce)
        .limit(1)
    )
    row = session.scalars(wanted).one_or_none()
    return RequestProof.model_validate(row.proof) if row else None


def _evidence(row: EvidenceRow) -> Evidence:
    return Evidence(
        gate=Gate(row.gate),
        check=row.check_id,
        verdict=Verdict(row.verdict),
        summary=row.summary,
        remedy=row.remedy,
        data=row.data,
        taken_at=row.taken_at,
    )
