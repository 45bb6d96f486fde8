"""Tables of the outbox: events, what each channel makes of them, and messages on their way. No address is in any."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tidegate.ledger.columns import Rows


class EventRow(Rows):
    """Written in the transaction of the change that it tells of. `routed_at`: every channel has its row of it."""

    __tablename__ = "notification_events"
    __table_args__ = (
        UniqueConstraint("key"),
        Index("ix_notification_events_routed_at", "routed_at"),
        Index(None, "org", "at"),
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    kind: Mapped[str]
    severity: Mapped[str]
    org: Mapped[str | None]
    service: Mapped[str | None]
    topic: Mapped[str]
    group: Mapped[str] = mapped_column("group_key")
    trouble: Mapped[str]
    is_resolved: Mapped[bool]
    title: Mapped[str]
    text: Mapped[str]
    remedy: Mapped[str]
    release_id: Mapped[str | None]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    routed_at: Mapped[datetime | None]


class DeliveryRow(Rows):
    """One message to one channel. Its id follows from its events, so that two planners make the same row."""

    __tablename__ = "notification_deliveries"
    __table_args__ = (
        Index("ix_notification_deliveries_state", "state", "not_before"),
        Index(None, "org", "channel", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    org: Mapped[str]
    channel: Mapped[str]
    channel_kind: Mapped[str]
    state: Mapped[str]
    severity: Mapped[str]
    urgency: Mapped[int]
    title: Mapped[str]
    events: Mapped[int]
    event_at: Mapped[datetime]
    created_at: Mapped[datetime]
    not_before: Mapped[datetime]
    attempts: Mapped[int]
    claim: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    sending_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str]
    receipt: Mapped[str]


class PartRow(Rows):
    """What one channel makes of one event: once, whatever crashes. `state`: waiting, taken, dropped."""

    __tablename__ = "notification_parts"
    __table_args__ = (
        Index("ix_notification_parts_state", "state"),
        Index(None, "org", "channel"),
        Index(None, "delivery_id"),
    )

    event_number: Mapped[int] = mapped_column(
        ForeignKey("notification_events.number"), primary_key=True, autoincrement=False
    )
    org: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    why: Mapped[str]
    delivery_id: Mapped[str | None] = mapped_column(ForeignKey("notification_deliveries.id"))
