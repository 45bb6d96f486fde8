"""The outbox: events, what each channel makes of them, and messages on their way."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _events()
    _deliveries()
    _parts()


def _events() -> None:
    op.create_table(
        "notification_events",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("is_resolved", sa.Boolean(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("release_id", sa.Text(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("routed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_notification_events"),
        sa.UniqueConstraint("key", name="uq_notification_events_key"),
    )
    op.create_index("ix_notification_events_routed_at", "notification_events", ["routed_at"])
    op.create_index("ix_notification_events_org", "notification_events", ["org", "at"])


def _deliveries() -> None:
    op.create_table(
        "notification_deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("channel_kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("urgency", _NUMBER, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("events", _NUMBER, nullable=False),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", _NUMBER, nullable=False),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sending_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notification_deliveries"),
    )
    op.create_index("ix_notification_deliveries_state", "notification_deliveries", ["state", "not_before"])
    op.create_index(
        "ix_notification_deliveries_org", "notification_deliveries", ["org", "channel", "created_at"]
    )


def _parts() -> None:
    op.create_table(
        "notification_parts",
        sa.Column("event_number", _NUMBER, nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_number"], ["notification_events.number"], name="fk_notification_parts_event_number"
        ),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["notification_deliveries.id"], name="fk_notification_parts_delivery_id"
        ),
        sa.PrimaryKeyConstraint("event_number", "org", "channel", name="pk_notification_parts"),
    )
    op.create_index("ix_notification_parts_state", "notification_parts", ["state"])
    op.create_index("ix_notification_parts_org", "notification_parts", ["org", "channel"])
    op.create_index("ix_notification_parts_delivery_id", "notification_parts", ["delivery_id"])
