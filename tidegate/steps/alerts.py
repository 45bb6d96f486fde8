"""Alerts of a monitor (Alertmanager's webhook, version 4) as wishes to roll back. Says what each alert came to.

An alert acts on the one service that its labels name, and on no other; a resolved one does nothing. The same alert
again is the same wish. One that began before the present version went live is about a version that is gone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain import InvalidInput, ServiceRef, TidegateError
from tidegate.steps.ports import Ports
from tidegate.steps.proof import Asker
from tidegate.steps.rollback_manager import Begun, RollbackManager

ALERTS = "service:alerts"
SERVICE_LABEL = "tidegate_service"
DIGEST_LABEL = "tidegate_digest"
MAX_ALERTS = 200


class Alert(BaseModel):
    """One alert. Fields that we do not need are ignored: monitors differ in them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="`tidegate_service`: ORGANIZATION/SERVICE, or `org` and `service`. `tidegate_digest` narrows it to "
        "one version.",
    )
    annotations: dict[str, str] = Field(default_factory=dict, description="`summary` becomes the reason.")
    starts_at: datetime = Field(alias="startsAt", description="With its time zone.")
    fingerprint: str = Field(min_length=1, max_length=256)

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "alert")

    @property
    def reason(self) -> str:
        text = self.annotations.get("summary") or self.annotations.get("description") or ""
        return f"alert {self.name}: {text}"[:500].rstrip(": ")

    @property
    def token(self) -> str:
        """One episode of one alert: a monitor repeats it for as long as it lasts."""
        return f"alert/{self.fingerprint}/{self.starts_at.isoformat()}"

    def service(self) -> ServiceRef:
        """Raises: InvalidInput when its labels name none."""
        named = self.labels.get(SERVICE_LABEL)
        if named is None and self.labels.get("org") and self.labels.get("service"):
            named = f"{self.labels['org']}/{self.labels['service']}"
        if named is None:
            raise InvalidInput(
                f"Alert {self.name} names no service.",
                remedy=f"Give its rule the label {SERVICE_LABEL}: ORGANIZATION/SERVICE.",
                field=f"labels.{SERVICE_LABEL}",
            )
        return ServiceRef.parse(named)


class AlertGroup(BaseModel):
    """What a monitor sends at once."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal["4"]
    group_key: str = Field(default="", alias="groupKey", max_length=2000)
    alerts: tuple[Alert, ...] = Field(min_length=1, max_length=MAX_ALERTS)


@dataclass(frozen=True)
class AlertAnswer:
    """What one alert came to. `begun` is still to be carried out."""

    fingerprint: str
    service: str
    action: Literal["rolled_back", "ignored", "refused"]
    release: str | None
    reason: str
    remedy: str = ""
    begun: Begun | None = None


def receive(ports: Ports, group: AlertGroup) -> list[AlertAnswer]:
    """Record the wish of each alert that fires. Several about one service are one rollback."""
    return list(_answers(ports, group.alerts))


def _answers(ports: Ports, alerts: Sequence[Alert]) -> Iterator[AlertAnswer]:
    for alert in alerts:
        service = ""
        try:
            ref = alert.service()
            service = str(ref)
            yield _answer(ports, ref, alert)
        except TidegateError as error:
            ports.note_error(error, "alert")
            # One alert that is wrong does not keep the others from being heard.
            yield AlertAnswer(alert.fingerprint, service, "refused", None, error.message, error.remedy)


def _answer(ports: Ports, ref: ServiceRef, alert: Alert) -> AlertAnswer:
    def ignored(why: str) -> AlertAnswer:
        return AlertAnswer(alert.fingerprint, str(ref), "ignored", None, why)

    ports.service(ref)
    if alert.status == "resolved":
        return ignored("it is resolved")
    if alert.starts_at.tzinfo is None:
        raise InvalidInput(
            "startsAt has no time zone.", remedy="For example 2026-11-26T14:00:00Z.", field="startsAt"
        )
    manager = RollbackManager(ports)
    if not manager.is_known(ref, alert.token) and _is_about_the_past(ports, ref, alert):
        return ignored("what serves now went live after this alert began")
    begun = manager.begin(
        ref,
        actor=ALERTS,
        reason=alert.reason,
        trigger="alert",
        leaving=alert.labels.get(DIGEST_LABEL),
        token=alert.token,
        asker=Asker(ALERTS),
    )
    if begun.release is None or begun.target.way == "none":
        release = begun.release.id if begun.release else None
        return AlertAnswer(alert.fingerprint, str(ref), "ignored", release, begun.target.why)
    return AlertAnswer(
        alert.fingerprint, str(ref), "rolled_back", begun.release.id, begun.target.why, begun=begun
    )


def _is_about_the_past(ports: Ports, ref: ServiceRef, alert: Alert) -> bool:
    """Nothing is under way, and the champion changed since. A release under way may be what it complains about."""
    if ports.ledger.active_release(ref) is not None:
        return False
    moves = [move["at"] for move in ports.ledger.alias_history(ref) if move["alias"] == "champion"]
    return bool(moves) and moves[-1] > alert.starts_at
