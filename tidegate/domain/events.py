"""What people may want to be told: events. A row of the outbox each, written with the change that caused it. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MAX_TITLE, MAX_TEXT = 200, 4000


class EventKind(StrEnum):
    APPROVAL_WANTED = "approval_wanted"
    PROMOTED = "promoted"
    REFUSED = "refused"
    """A release ended before it served anybody, and no gate said why: stopped by hand, a deadline, no capacity."""
    GATE_FAILED = "gate_failed"
    ROLLED_BACK = "rolled_back"
    HOLD = "hold"
    REGRESSION = "regression"
    BUDGET = "budget"
    DRIFT = "drift"
    BACKUP_FAILED = "backup_failed"
    ALERT = "alert"
    TEST = "test"


class Severity(StrEnum):
    """Decides who is told and when: only `critical` passes quiet hours and full buckets."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Event(BaseModel):
    """Something that happened once. `key` is its identity: recorded again, it is the same row."""

    model_config = ConfigDict(frozen=True)

    key: str = Field(min_length=1)
    kind: EventKind
    severity: Severity
    org: str | None = Field(default=None, description="None: it concerns the installation as a whole.")
    service: str | None = None
    topic: str = Field(description="What it is about: messages of one topic are one thread.")
    group: str = Field(
        default="", description="What came with it: told in one message where it arrives together."
    )
    trouble: str = Field(
        default="",
        description="The same trouble again within a channel's window is not told again. Empty: always told.",
    )
    is_resolved: bool = Field(default=False, description="The trouble is over.")
    title: str
    text: str = ""
    remedy: str = ""
    release_id: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    at: datetime
    number: int = Field(default=0, description="Its row in the outbox; 0 before it has one.")

    @property
    def subject(self) -> str:
        """`org/service`, the organization, or the installation."""
        if self.org is None:
            return "installation"
        return f"{self.org}/{self.service}" if self.service else self.org

    @property
    def is_urgent(self) -> bool:
        """Somebody is to be woken. The end of a trouble wakes nobody."""
        return self.severity is Severity.CRITICAL and not self.is_resolved
