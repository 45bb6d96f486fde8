"""Request tokens that were used: each nonce once, with what it proved and for which release."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "request_tokens",
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("release_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("proof", sa.JSON(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_request_tokens_service"
        ),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_request_tokens_release_id"),
        sa.PrimaryKeyConstraint("org", "nonce", name="pk_request_tokens"),
    )
    op.create_index("ix_request_tokens_release_id", "request_tokens", ["release_id"])
