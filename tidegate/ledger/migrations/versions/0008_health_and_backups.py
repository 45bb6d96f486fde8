"""What health checks saw, and when backups were last made and verified."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "health_states",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("check_name", "health", "text", "remedy")),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in ("parts", "measures")),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=False)
            for name in ("since", "checked_at", "sampled_at")
        ),
        *(sa.Column(name, sa.Double[float](), nullable=False) for name in ("took_s", "interval_s")),
        sa.PrimaryKeyConstraint("check_name", name="pk_health_states"),
    )
    op.create_table(
        "health_samples",
        sa.Column("number", _NUMBER, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("check_name", "health", "text")),
        sa.Column("measures", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_change", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_health_samples"),
    )
    op.create_index("ix_health_samples_check_name", "health_samples", ["check_name", "at"])
    op.create_table(
        "backup_marks",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("step", "name")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size_bytes", _NUMBER, nullable=False),
        sa.Column("took_s", sa.Double[float](), nullable=False),
        sa.PrimaryKeyConstraint("step", name="pk_backup_marks"),
    )
