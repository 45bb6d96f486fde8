"""Which change of the ledger is an event, and which one. Pure: the ledger calls these inside its transactions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tidegate.domain.events import MAX_TEXT, MAX_TITLE, Event, EventKind, Severity
from tidegate.domain.evidence import Gate
from tidegate.domain.release import Release, ReleaseState
from tidegate.domain.standing import Finding, Hold

BUDGET_CHECK = "auth.budget"
SILENT_REPAIRS = frozenset({"readdress"})
"""Differences that are routine: a set got another address, and its service was told."""
FINDINGS = {
    "backup.": (EventKind.BACKUP_FAILED, Severity.CRITICAL),
    "budget.": (EventKind.BUDGET, Severity.WARNING),
    "spend.": (EventKind.BUDGET, Severity.WARNING),
    "quality.regression": (EventKind.REGRESSION, Severity.CRITICAL),
}
OWN_FINDINGS = "notification."
"""What is wrong with notifications is not told by notifications."""


def event_of_entry(
    release: Release, seq: int, name: str, data: Mapping[str, Any], failed: Sequence[str], at: datetime
) -> Event | None:
    """The event of a release that entered a state; None for states that concern nobody else.

    `failed` are checks of this release whose latest verdict is a fail.
    """
    found = _told(release, ReleaseState(name), data, failed)
    if found is None:
        return None
    kind, severity, title, remedy = found
    return Event(
        key=f"release/{release.id}/{seq}",
        kind=kind,
        severity=severity,
        org=release.request.org,
        service=release.request.service,
        topic=f"release/{release.id}",
        title=title[:MAX_TITLE],
        text=str(data.get("reason", ""))[:MAX_TEXT],
        remedy=remedy,
        release_id=release.id,
        data={"state": name, "digest": release.digest, "failed_checks": list(failed), **_version(release)},
        at=at,
    )


def _version(release: Release) -> dict[str, str]:
    return {"model": release.request.model, "version": release.request.version}


def _told(
    release: Release, state: ReleaseState, data: Mapping[str, Any], failed: Sequence[str]
) -> tuple[EventKind, Severity, str, str] | None:
    ref, what = release.ref, f"{release.request.model}:{release.request.version}"
    see = f"See: tidegate releases show {release.id}."
    match state:
        case ReleaseState.AWAIT_APPROVAL:
            remedy = f"tidegate approve {release.id} --reason ..., or tidegate rollback {ref} --reason ..."
            return (
                EventKind.APPROVAL_WANTED,
                Severity.WARNING,
                f"{ref}: {what} waits for your approval",
                remedy,
            )
        case ReleaseState.HOLD:
            is_way_back = data.get("from") == ReleaseState.ROLLING_BACK.value
            severity = Severity.CRITICAL if is_way_back else Severity.WARNING
            why = "cannot go back by itself" if is_way_back else "is held: a person must decide"
            return EventKind.HOLD, severity, f"{ref}: {what} {why}", see
        case ReleaseState.DONE:
            return _done(release, what)
        case ReleaseState.ROLLING_BACK:
            return _going_back(release, data, what, see)
        case ReleaseState.ROLLED_BACK:
            return EventKind.ROLLED_BACK, Severity.CRITICAL, f"{ref}: {what} was rolled back", see
        case ReleaseState.REJECTED:
            return _rejected(release, data, failed, what, see)
        case _:
            return None


def _done(release: Release, what: str) -> tuple[EventKind, Severity, str, str] | None:
    """A release without a plan found that its digest serves already: nothing happened."""
    ref = release.ref
    if release.plan is None:
        return None
    if release.plan.kind == "rollback":
        return EventKind.ROLLED_BACK, Severity.CRITICAL, f"{ref} was rolled back to {what}", ""
    return EventKind.PROMOTED, Severity.INFO, f"{ref}: {what} serves all traffic", ""


def _going_back(
    release: Release, data: Mapping[str, Any], what: str, see: str
) -> tuple[EventKind, Severity, str, str] | None:
    """Why it goes back, as soon as that is known. That it is back is an event of its own."""
    match data.get("trigger"):
        case "evidence":
            title = f"{release.ref}: {what} failed a gate and goes back"
            return EventKind.GATE_FAILED, Severity.WARNING, title, see
        case "budget":
            title = f"{release.ref}: {what} has used up its budget and goes back"
            return EventKind.BUDGET, Severity.WARNING, title, see
        case _:
            return None


def _rejected(
    release: Release, data: Mapping[str, Any], failed: Sequence[str], what: str, see: str
) -> tuple[EventKind, Severity, str, str]:
    gate = data.get("gate")
    if gate is None:
        return EventKind.REFUSED, Severity.INFO, f"{release.ref}: {what} was not released", see
    if gate == Gate.AUTHORIZATION.value and BUDGET_CHECK in failed:
        remedy = "Raise `budget` or `monthly_budget_usd`, or retire sets that are no longer needed."
        return EventKind.BUDGET, Severity.WARNING, f"{release.ref}: no budget for {what}", remedy
    return EventKind.GATE_FAILED, Severity.WARNING, f"{release.ref}: {what} failed the gate {gate}", see


def event_of_hold(hold: Hold) -> Event | None:
    """A person closed a service to machines. One that a release set is told as that release's end."""
    if hold.release_id is not None:
        return None
    ref = f"{hold.org}/{hold.service}"
    return Event(
        key=f"hold/{hold.number}",
        kind=EventKind.HOLD,
        severity=Severity.INFO,
        org=hold.org,
        service=hold.service,
        topic=f"hold/{hold.number}",
        title=f"{ref} is held by {hold.actor}"[:MAX_TITLE],
        text=hold.reason[:MAX_TEXT],
        remedy=f"When it may go on: tidegate hold lift {ref} --reason ...",
        at=hold.at,
    )


def event_of_finding(finding: Finding) -> Event | None:
    """A finding that just began to stand."""
    if finding.kind.startswith(OWN_FINDINGS) or finding.data.get("repair") in SILENT_REPAIRS:
        return None
    kind, severity = next(
        (what for start, what in FINDINGS.items() if finding.kind.startswith(start)),
        (EventKind.DRIFT, Severity.WARNING),
    )
    about = f"{finding.org}/{finding.service}: " if finding.org and finding.service else ""
    return Event(
        key=f"finding/{finding.kind}/{finding.subject}/{finding.first_seen.isoformat()}",
        kind=kind,
        severity=severity,
        org=finding.org,
        service=finding.service,
        topic=f"finding/{finding.kind}/{finding.subject}",
        trouble=f"finding/{finding.kind}/{finding.subject}",
        title=f"{about}{finding.kind.replace('.', ' ')}"[:MAX_TITLE],
        text=finding.summary[:MAX_TEXT],
        remedy=finding.remedy[:MAX_TEXT],
        data={"finding": finding.kind, "subject": finding.subject},
        at=finding.first_seen,
    )
