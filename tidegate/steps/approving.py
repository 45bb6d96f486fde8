"""Questions to people: what is asked, what a yes would approve, what changed since the last one; and the yes itself.

A yes binds to the plan, the evidence and the question of its moment. Whoever read them elsewhere gives their digest,
and is refused when any of them is another one by now.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from tidegate.domain import (
    Evidence,
    Fenced,
    JournalEntry,
    Permission,
    Policy,
    Refused,
    Release,
    ReleaseState,
    Secret,
    SetStatus,
)
from tidegate.domain.told import differing, told_digest
from tidegate.release import Observation, fold_view
from tidegate.release.approvals import question_of, void_because
from tidegate.release.observer import evidence_digest
from tidegate.steps.planned import planned_policy
from tidegate.steps.ports import Ports
from tidegate.steps.proof import approval_wish, identify

WAITING_FOR_A_PERSON = frozenset({ReleaseState.HOLD, ReleaseState.AWAIT_APPROVAL})
NOTE = "approve"


@dataclass(frozen=True)
class Question:
    """What a release waits for, and everything that a yes would be bound to."""

    release_id: str
    service: str
    model: str
    requested_by: str
    asks: str
    """`start`, `increase`, `commit`, or `hold` where something could not be judged."""
    why: str
    then: str
    """What happens after a yes."""
    without_answer: str
    digest: str
    """Of plan, evidence and question together: what `--of` takes."""
    plan: Mapping[str, Any]
    plan_digest: str
    evidence: tuple[Evidence, ...]
    evidence_digest: str
    changed: tuple[str, ...]
    """What is other than at the last yes of this release."""
    void: str
    """Why a yes that was given does not count."""
    approvers: tuple[str, ...]
    four_eyes: bool

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {"evidence": [row.model_dump(mode="json") for row in self.evidence]}


def question(ports: Ports, release_id: str) -> Question:
    """What the release asks now. Raises: Refused for one that waits for nobody."""
    release = ports.ledger.get_release(release_id)
    if release.state not in WAITING_FOR_A_PERSON or release.plan is None:
        raise Refused(
            f"Release {release.id} is {release.state.value}; it waits for nobody.",
            remedy=f"See: tidegate releases show {release.id}.",
        )
    entries, rows = ports.ledger.entries(release_id), ports.ledger.evidence(release_id)
    policy, view = planned_policy(ports, release), fold_view(release, entries)
    seen = _seen(ports.clock(), rows)
    asks = question_of(view) if release.state is ReleaseState.AWAIT_APPROVAL else "hold"
    step = int(view.data.get("step", -1))
    return Question(
        release_id=release.id,
        service=str(release.ref),
        model=f"{release.request.model}:{release.request.version}",
        requested_by=release.request.requested_by,
        asks=asks,
        why=release.reason,
        then=_then(release, asks, step, str(view.data.get("from", ""))),
        without_answer=_without_answer(policy, asks, view.entered_at),
        digest=told_digest(_bound(release, entries, rows)),
        plan=release.plan.model_dump(mode="json"),
        plan_digest=release.plan.digest,
        evidence=tuple(rows),
        evidence_digest=seen.evidence_digest,
        changed=_changed(entries, rows),
        void=void_because(view, seen, policy),
        approvers=policy.approval.approvers,
        four_eyes=policy.approval.four_eyes,
    )


def approve_release(
    ports: Ports, release_id: str, actor: str, reason: str, token: Secret | None = None, *, of: str = ""
) -> Release:
    """Let a waiting release go on with its next step. Void once the release leaves the state it was given in.

    What a policy wants approved is approved by somebody with the role for it, and on its list if it has one; with four
    eyes never by whoever asked for the release. `of` is the digest of what was looked at.

    Raises: Refused.
    """
    release = ports.ledger.get_release(release_id)
    if release.state not in WAITING_FOR_A_PERSON:
        return release
    entries, rows = ports.ledger.entries(release_id), ports.ledger.evidence(release_id)
    bound = _bound(release, entries, rows)
    _refuse_other(release, bound, of)
    asker = identify(ports, approval_wish(ports, release), actor, token, release)
    _require_approver(ports, release, asker.identity)
    if asker.proof is not None:
        ports.ledger.spend(asker.proof, release_id)
    given = {
        "actor": asker.identity,
        "is_signed": asker.proof is not None,
        "reason": reason,
        "plan_digest": release.plan.digest if release.plan else "",
        "evidence_digest": evidence_digest(rows),
        "rows": {f"{row.gate.value}: {row.check}": [row.verdict.value, _mark(row)] for row in rows},
    }
    _write_down(ports, release, bound, given)
    return ports.ledger.get_release(release_id)


def _write_down(ports: Ports, release: Release, bound: Mapping[str, str], given: Mapping[str, Any]) -> None:
    """Whoever looks after what waits takes it over now and then: a person has nothing to do with whose turn it is.

    Raises: Refused when another question is asked by now, Fenced when owners change all the time."""
    for is_last in (False, False, True):
        try:
            ports.ledger.append(release.id, release.epoch, "note", NOTE, dict(given))
        except Fenced:
            if is_last:
                raise
            release = ports.ledger.get_release(release.id)
            entries, rows = ports.ledger.entries(release.id), ports.ledger.evidence(release.id)
            _refuse_other(release, _bound(release, entries, rows), told_digest(bound))
        else:
            return


def _bound(release: Release, entries: list[JournalEntry], rows: list[Evidence]) -> dict[str, str]:
    """What a yes is bound to, by name."""
    asked = max((entry.seq for entry in entries if entry.kind == "entered"), default=0)
    return {
        "evidence": evidence_digest(rows),
        "plan": release.plan.digest if release.plan else "",
        "question": f"{release.id}#{asked}",
    }


def _refuse_other(release: Release, bound: dict[str, str], of: str) -> None:
    differs = differing(of, bound) if of else ()
    if differs:
        raise Refused(
            f"What was looked at is not what release {release.id} asks now: another {', another '.join(differs)}.",
            remedy=f"Look at it again: tidegate approve {release.id}.",
            problem="changed",
            differs=", ".join(differs),
        )


def _require_approver(ports: Ports, release: Release, identity: str) -> None:
    """By the policy that the release was planned with, as the machine asks it, and by the service's present one."""
    planned, present = planned_policy(ports, release).approval, ports.service(release.ref).policy.approval
    four_eyes = planned.four_eyes or present.four_eyes
    if release.state is ReleaseState.AWAIT_APPROVAL or four_eyes:
        ports.organization(release.request.org).require(identity, Permission.APPROVE)
    if four_eyes and identity == release.request.requested_by:
        raise Refused(
            f"'{identity}' asked for release {release.id}, and the policy wants a second pair of eyes.",
            remedy="Ask somebody else who may approve.",
            problem="four_eyes",
        )
    for approvers in (planned.approvers, present.approvers):
        if release.state is ReleaseState.AWAIT_APPROVAL and approvers and identity not in approvers:
            raise Refused(
                f"'{identity}' is not among those who approve releases of {release.ref}.",
                remedy=f"Ask one of: {', '.join(approvers)}.",
                service=str(release.ref),
            )


def _seen(now: datetime, rows: list[Evidence]) -> Observation:
    """As much of the world as an answer is judged by."""
    return Observation(
        now=now,
        lock_epoch=0,
        green=SetStatus.absent(""),
        blue=None,
        route=None,
        route_confirmed=False,
        champion_digest=None,
        evidence_digest=evidence_digest(rows),
    )


def _then(release: Release, asks: str, step: int, origin: str) -> str:
    assert release.plan is not None
    ladder, request = release.plan.ladder, release.request
    if asks == "start":
        return "the file is validated, and its set is started"
    if asks == "commit":
        return f"the alias champion moves to {request.model}:{request.version}; what is no longer needed is retired"
    if step + 1 < len(ladder):
        return f"{ladder[step + 1]} % of live traffic go to the new set"
    return f"it goes on from {origin or 'where it stands'}"


def _without_answer(policy: Policy, asks: str, since: datetime) -> str:
    wait_s = policy.deadlines.hold_s if asks == "hold" else policy.approval.wait_s
    end = since + timedelta(seconds=wait_s)
    return f"{'it is rejected' if asks == 'start' else 'it goes back'} at {end:%Y-%m-%d %H:%M:%S} UTC"


def _changed(entries: list[JournalEntry], rows: list[Evidence]) -> tuple[str, ...]:
    """Rows that came, or are other, since somebody last said yes. Empty before the first yes."""
    given = [entry for entry in entries if entry.kind == "note" and entry.name == NOTE]
    if not given or "rows" not in given[-1].data:
        return ()
    before: Mapping[str, list[str]] = given[-1].data["rows"]
    found: list[str] = []
    for row in rows:
        name = f"{row.gate.value}: {row.check}"
        verdict, mark = before.get(name, ["", ""])
        if not verdict:
            found.append(f"{name} is new: {row.verdict.value}, {row.summary}")
        elif mark != _mark(row):
            was = (
                f"was {verdict}, is {row.verdict.value}"
                if verdict != row.verdict.value
                else row.verdict.value
            )
            found.append(f"{name} changed ({was}): {row.summary}")
    return tuple(found)


def _mark(row: Evidence) -> str:
    text = row.model_dump_json(include={"verdict", "summary", "data"})
    return hashlib.sha256(text.encode()).hexdigest()[:16]
