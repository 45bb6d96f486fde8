"""Alerts of a monitor as events of the outbox: who is told of them is decided as for everything else that happens.

An alert that goes on firing is sent by the monitor again and again; it is one event when it begins, and one when it ends.
"""

import re

from tidegate.domain.events import MAX_TEXT, MAX_TITLE, Event, EventKind, Severity
from tidegate.domain.names import NAME_PATTERN
from tidegate.steps.alerts import SERVICE_LABEL, Alert, AlertGroup
from tidegate.steps.ports import Ports

SEVERITIES = {
    "critical": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "error": Severity.WARNING,
    "warning": Severity.WARNING,
    "ticket": Severity.WARNING,
    "info": Severity.INFO,
}
NOBODY = "none"
"""Severity of alerts that always fire, so that their absence is noticed elsewhere."""
SHOWN_LABELS = 20


def record_alerts(ports: Ports, group: AlertGroup) -> list[Event]:
    """Write the events of a group, all or none; those that are known already stay as they are."""
    events = [
        event_of_alert(ports, alert, group.group_key)
        for alert in group.alerts
        if alert.labels.get("severity") != NOBODY
    ]
    ports.ledger.record_events(events)
    return events


def event_of_alert(ports: Ports, alert: Alert, group_key: str) -> Event:
    """One that names no organization of ours concerns the installation: nobody else's labels choose who is told."""
    org, service = _owner(alert)
    known = org is not None and org in ports.organizations
    over = alert.status == "resolved"
    summary = alert.annotations.get("summary", "")
    return Event(
        key=f"{alert.token}/{alert.status}",
        kind=EventKind.ALERT,
        severity=SEVERITIES.get(alert.labels.get("severity", "").lower(), Severity.WARNING),
        org=org if known else None,
        service=service if known else None,
        topic=f"alert/{alert.fingerprint}",
        group=f"{group_key}/{alert.status}" if group_key else "",
        trouble=f"alert/{alert.fingerprint}",
        is_resolved=over,
        title=f"{alert.name}: {summary}".rstrip(": ")[:MAX_TITLE],
        text=_text(alert),
        remedy=_remedy(alert),
        data={
            "labels": dict(sorted(alert.labels.items())[:SHOWN_LABELS]),
            "fingerprint": alert.fingerprint,
            "starts_at": alert.starts_at.isoformat(),
        },
        at=ports.clock(),
    )


def _owner(alert: Alert) -> tuple[str | None, str | None]:
    named = alert.labels.get(SERVICE_LABEL, "")
    org, slash, service = named.partition("/")
    if not slash:
        org, service = alert.labels.get("org", ""), alert.labels.get("service", "")
    org_name = org if re.match(NAME_PATTERN, org) else None
    return org_name, service if org_name and re.match(NAME_PATTERN, service) else None


def _text(alert: Alert) -> str:
    """What is wrong, and by which release: the monitor's rule looks that up when the alert fires."""
    told = (alert.annotations.get(name, "").strip() for name in ("description", "release"))
    return "\n".join(filter(None, told))[:MAX_TEXT]


def _remedy(alert: Alert) -> str:
    runbook = alert.annotations.get("runbook_url") or alert.annotations.get("runbook") or ""
    return f"Runbook: {runbook}"[:MAX_TEXT] if runbook else ""
