"""Tables of health checks and backups. Bounded: states are one row each, samples are removed by age and number."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from tidegate.ledger.columns import Rows


class HealthStateRow(Rows):
    """What a check saw last. `since` is when it became what it is."""

    __tablename__ = "health_states"

    check_name: Mapped[str] = mapped_column(primary_key=True)
    health: Mapped[str]
    text: Mapped[str]
    remedy: Mapped[str]
    parts: Mapped[list[Any]]
    measures: Mapped[dict[str, Any]]
    since: Mapped[datetime]
    checked_at: Mapped[datetime]
    sampled_at: Mapped[datetime]
    took_s: Mapped[float]
    interval_s: Mapped[float]


class HealthSampleRow(Rows):
    """A change of a check, or one of the coarse samples between changes."""

    __tablename__ = "health_samples"
    __table_args__ = (Index(None, "check_name", "at"),)

    number: Mapped[int] = mapped_column(primary_key=True)
    check_name: Mapped[str]
    health: Mapped[str]
    text: Mapped[str]
    measures: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    is_change: Mapped[bool]


class BackupMarkRow(Rows):
    """The last success of each step of backups: `made`, `verified`."""

    __tablename__ = "backup_marks"

    step: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    at: Mapped[datetime]
    size_bytes: Mapped[int]
    took_s: Mapped[float]
