"""`alertmanager.yml`: whom an alert reaches, with what it is grouped, and what it silences. Pure.

Every alert carries `org`. One organization's alerts go to its own receivers and to nobody else's; those of the
installation itself, and of an organization that is not known, go to the operators.
"""

from collections.abc import Iterable
from typing import Any

from tidegate.observability.monitoring_settings import MonitoringSettings

INSTALLATION = "_installation"
"""Label `org` of alerts about Tidegate itself. No organization can be named so: names begin with a letter."""
PAGE, TICKET = "page", "ticket"
OPERATORS = "operators"
WATCHDOG = "watchdog"
ALERT_PATH = "/v1/alerts/tell"
"""Here the console makes notices of Alertmanager's webhook. `/v1/alerts` would roll the services back, too."""

MAX_ALERTS = 200
"""Of one message; what the console takes at once."""

_SAME_SERVICE = ["org", "service"]
INHIBITIONS: tuple[tuple[str, str, list[str]], ...] = (
    # cause, what follows from it, labels that must be the same
    (
        "NoSetReady|ServiceUnreachable",
        "AvailabilityBurn|FirstTokenBurn|CopiesMissing|StreamsCut|BadAnswers|KvCacheFull",
        _SAME_SERVICE,
    ),
    ("NoSetReady", "ServiceUnreachable", _SAME_SERVICE),
    ("EngineMemoryLoop", "GpuMemoryPressure", ["org", "service", "set"]),
    ("RollbackStuck", "CandidateWorse|ReleaseStuck|ReleaseWaits", _SAME_SERVICE),
    ("GatewaySilent", "GatewayBehind", ["gateway"]),
    ("ReconcileStale", "DriftPersists|OrphanResources", []),
    ("WorkersGone", "QueueOld", ["pool"]),
    ("WorkersGone", "PipelineStale|EvalStale", []),
    ("BudgetExhausted", "BudgetForecast", ["org"]),
    ("NotificationsFailing", "NotificationsLate", ["org"]),
    ("ExporterDown", "BackupMissing|BackupUnverified|CollectorStale|HealthChecksStale", []),
)


def alertmanager_config(settings: MonitoringSettings, organizations: Iterable[str]) -> dict[str, Any]:
    """Routes and receivers of all organizations. `organizations` are names."""
    names = sorted(organizations)
    receivers = [*_receivers(settings, OPERATORS, settings.on_call.operators)]
    for name in names:
        receivers += _receivers(settings, name, settings.on_call.organizations.get(name, ()))
    return {
        **_mail(settings),
        "templates": ["templates/*.tmpl"],
        "route": _root([_org_route(name, name) for name in names]),
        "receivers": [*receivers, _watchdog(settings)],
        "inhibit_rules": _inhibit_rules(),
    }


def receiver_of(owner: str, severity: str) -> str:
    """Names hold a slash, which no organization's name does."""
    return f"{owner}/{severity}"


def _root(organizations: list[dict[str, Any]]) -> dict[str, Any]:
    watchdog = {
        "matchers": ['alertname="Watchdog"'],
        "receiver": WATCHDOG,
        "group_wait": "0s",
        "group_interval": "30s",
        "repeat_interval": "1m",
    }
    return {
        "receiver": receiver_of(OPERATORS, TICKET),
        # One notice for one service and one kind of trouble, however many sets have it.
        "group_by": ["org", "service", "alertname"],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": "12h",
        "routes": [watchdog, *organizations, _page_route(OPERATORS)],
    }


def _org_route(org: str, owner: str) -> dict[str, Any]:
    return {
        "matchers": [f'org="{org}"'],
        "receiver": receiver_of(owner, TICKET),
        "routes": [_page_route(owner)],
    }


def _page_route(owner: str) -> dict[str, Any]:
    return {
        "matchers": [f'severity="{PAGE}"'],
        "receiver": receiver_of(owner, PAGE),
        "group_wait": "1s",
        "group_interval": "15s",
        "repeat_interval": "1h",
    }


def _receivers(settings: MonitoringSettings, owner: str, mailboxes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Tickets go to the console, which knows the organization's channels; pages also by mail, past the console."""
    webhook = {
        "url": f"{settings.console.rstrip('/')}{ALERT_PATH}",
        "send_resolved": True,
        # More than the console takes at once would be refused as a whole, and told to nobody.
        "max_alerts": MAX_ALERTS,
        "http_config": {
            "follow_redirects": False,
            "authorization": {"type": "Bearer", "credentials_file": settings.alert_token_file},
        },
    }
    ticket = {"name": receiver_of(owner, TICKET), "webhook_configs": [webhook]}
    page: dict[str, Any] = {"name": receiver_of(owner, PAGE), "webhook_configs": [webhook]}
    if settings.mail is not None and mailboxes:
        page["email_configs"] = [_email(mailbox) for mailbox in mailboxes]
    return [ticket, page]


def _email(mailbox: str) -> dict[str, Any]:
    return {
        "to": mailbox,
        "send_resolved": True,
        "headers": {"Subject": '{{ template "tidegate.subject" . }}'},
        "text": '{{ template "tidegate.text" . }}',
        # Without this Alertmanager adds its own HTML, with links to itself.
        "html": "",
    }


def _watchdog(settings: MonitoringSettings) -> dict[str, Any]:
    if settings.dead_man_url is None:
        return {"name": WATCHDOG}
    return {"name": WATCHDOG, "webhook_configs": [{"url": settings.dead_man_url, "send_resolved": False}]}


def _mail(settings: MonitoringSettings) -> dict[str, Any]:
    mail = settings.mail
    if mail is None:
        return {}
    told: dict[str, Any] = {
        "smtp_smarthost": mail.smarthost,
        "smtp_from": mail.sender,
        "smtp_require_tls": mail.require_tls,
    }
    if mail.username:
        told["smtp_auth_username"] = mail.username
    if mail.password_file:
        told["smtp_auth_password_file"] = mail.password_file
    return {"global": told}


def _inhibit_rules() -> list[dict[str, Any]]:
    same_alert: dict[str, Any] = {
        "source_matchers": [f'severity="{PAGE}"'],
        "target_matchers": [f'severity="{TICKET}"'],
        "equal": ["org", "service", "alertname"],
    }
    causes = [
        {
            "source_matchers": [f'alertname=~"{cause}"'],
            "target_matchers": [f'alertname=~"{effect}"'],
            "equal": equal,
        }
        for cause, effect, equal in INHIBITIONS
    ]
    return [same_alert, *causes]
