"""Totals of metrics, runs of flows that were counted, and indexes for what the exporter asks."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "metric_totals",
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("part", _NUMBER, nullable=False, autoincrement=False),
        sa.Column("amount", sa.Double[float](), nullable=False),
        sa.PrimaryKeyConstraint("metric", "labels", "part", name="pk_metric_totals"),
    )
    op.create_table(
        "pipeline_runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double[float](), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipeline_runs"),
    )
    op.create_index("ix_pipeline_runs_ended_at", "pipeline_runs", ["ended_at"])
    # Of ten thousand releases a few hundred sets exist now, and a few releases are open.
    op.create_index("ix_sets_deleted_at", "sets", ["deleted_at"])
    _carry_over()


def _carry_over() -> None:
    """Releases that ended before there were totals: the counter goes on from what has happened."""
    releases = sa.table(
        "releases",
        *(sa.column(name, sa.Text()) for name in ("org", "service", "state")),
        sa.column("plan", sa.JSON()),
    )
    plan = releases.c.plan
    strategy = sa.case(
        (plan["kind"].as_string() == "rollback", "rollback"),
        else_=sa.func.coalesce(plan["strategy"].as_string(), "canary"),
    )
    slash = sa.literal("/")
    labels = releases.c.org + slash + releases.c.service + slash + strategy + slash + releases.c.state
    ended = releases.c.state.in_(("done", "rolled_back", "rejected", "evaluated"))
    counted = sa.select(
        sa.literal("tidegate_releases_total"), labels.label("joined"), sa.literal(-1), sa.func.count()
    ).where(ended)
    totals = sa.table(
        "metric_totals", *(sa.column(name, sa.Text()) for name in ("metric", "labels", "part", "amount"))
    )
    op.execute(
        totals.insert().from_select(
            ["metric", "labels", "part", "amount"], counted.group_by(sa.text("joined"))
        )
    )
