"""What safe releases need: live batches, holds, sealed requests, findings; and fields of gateways, routes,
evidence, versions and quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _live_batches()
    _holds()
    _captured_requests()
    _findings()
    op.add_column("gateways", sa.Column("state", sa.Text(), nullable=True))
    op.add_column("gateways", sa.Column("boot", sa.Text(), nullable=True))
    op.add_column("gateways", sa.Column("observed", sa.JSON(), nullable=True))
    op.add_column("gateways", sa.Column("routed_sets", sa.JSON(), nullable=True))
    op.add_column("gateways", sa.Column("wanted", sa.Text(), nullable=True))
    op.add_column("routes", sa.Column("mirror", sa.JSON(), nullable=True))
    op.add_column("routes", sa.Column("sticky", sa.JSON(), nullable=True))
    op.add_column("routes", sa.Column("stand_in", sa.Text(), nullable=True))
    op.add_column("evidence", sa.Column("epoch", _NUMBER, nullable=True))
    op.add_column("model_versions", sa.Column("tensor_digest", sa.Text(), nullable=True))
    op.create_index("ix_model_versions_tensor_digest", "model_versions", ["tensor_digest"])
    for column in (
        sa.Column("tensor_digest", sa.Text(), nullable=True),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lift_reason", sa.Text(), nullable=True),
    ):
        op.add_column("quarantine", column)


def _live_batches() -> None:
    op.create_table(
        "live_batches",
        sa.Column("set_name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("slice", sa.Text(), nullable=False),
        sa.Column("is_probe", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint(
            "set_name", "started_at", "gateway", "slice", "is_probe", name="pk_live_batches"
        ),
    )
    op.create_index("ix_live_batches_ended_at", "live_batches", ["ended_at"])


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("release_id", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lift_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_holds_service"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_holds"),
    )
    op.create_index("ix_holds_org", "holds", ["org", "service"])


def _captured_requests() -> None:
    op.create_table(
        "captured_requests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_captured_requests_service"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_captured_requests"),
    )
    op.create_index("ix_captured_requests_org", "captured_requests", ["org", "service", "at"])
    op.create_index("ix_captured_requests_expires_at", "captured_requests", ["expires_at"])


def _findings() -> None:
    op.create_table(
        "findings",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_findings"),
    )
