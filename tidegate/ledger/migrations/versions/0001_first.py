"""The first schema: services and their locks, versions, releases, sets, traffic, figures."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _tenants()
    _versions()
    _releases()
    _traffic()
    _figures()


def _tenants() -> None:
    op.create_table(
        "organizations",
        _text("name"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("name", name="pk_organizations"),
    )
    op.create_table(
        "services",
        _text("org"),
        _text("service"),
        _number("epoch"),
        _text("epoch_of", nullable=True),
        _text("holder", nullable=True),
        _time("created_at"),
        sa.ForeignKeyConstraint(["org"], ["organizations.name"], name="fk_services_org"),
        sa.PrimaryKeyConstraint("org", "service", name="pk_services"),
    )


def _versions() -> None:
    op.create_table(
        "model_versions",
        _number("number"),
        _text("org"),
        _text("name"),
        _text("version"),
        _text("digest"),
        _number("size_bytes"),
        _text("path"),
        _json("provenance"),
        _time("registered_at"),
        sa.ForeignKeyConstraint(["org"], ["organizations.name"], name="fk_model_versions_org"),
        sa.PrimaryKeyConstraint("number", name="pk_model_versions"),
        sa.UniqueConstraint("org", "name", "version", name="uq_model_versions_org"),
    )
    op.create_index("ix_model_versions_digest", "model_versions", ["digest"])
    op.create_table(
        "aliases",
        _text("org"),
        _text("service"),
        _text("alias"),
        _number("version_number"),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_aliases_service"
        ),
        sa.ForeignKeyConstraint(
            ["version_number"], ["model_versions.number"], name="fk_aliases_version_number"
        ),
        sa.PrimaryKeyConstraint("org", "service", "alias", name="pk_aliases"),
    )
    op.create_table(
        "alias_history",
        _number("number"),
        _text("org"),
        _text("service"),
        _text("alias"),
        _text("old", nullable=True),
        _text("old_digest", nullable=True),
        _text("new", nullable=True),
        _text("new_digest", nullable=True),
        _text("actor"),
        _text("reason"),
        _number("epoch"),
        _time("at"),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_alias_history_service"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_alias_history"),
    )
    op.create_index("ix_alias_history_org", "alias_history", ["org", "service"])
    op.create_table(
        "quarantine",
        _text("org"),
        _text("digest"),
        _text("reason"),
        _text("release_id"),
        _time("at"),
        sa.ForeignKeyConstraint(["org"], ["organizations.name"], name="fk_quarantine_org"),
        sa.PrimaryKeyConstraint("org", "digest", name="pk_quarantine"),
    )


def _releases() -> None:
    op.create_table(
        "releases",
        _text("id"),
        _text("org"),
        _text("service"),
        _text("key"),
        _text("active_key", nullable=True),
        _json("request"),
        _text("digest"),
        _text("state"),
        _number("epoch"),
        _json("plan", nullable=True),
        _text("reason"),
        _time("created_at"),
        _time("updated_at"),
        _text("owner"),
        _time("owner_seen_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_releases_service"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
        sa.UniqueConstraint("active_key", name="uq_releases_active_key"),
    )
    op.create_index("ix_releases_org", "releases", ["org", "service"])
    op.create_table(
        "journal",
        _text("release_id"),
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=False
        ),
        _number("epoch"),
        _text("kind"),
        _text("name"),
        _json("data"),
        _time("at"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_journal_release_id"),
        sa.PrimaryKeyConstraint("release_id", "seq", name="pk_journal"),
    )
    op.create_table(
        "evidence",
        _number("number"),
        _text("release_id", nullable=True),
        _text("digest"),
        _text("policy_digest"),
        _text("gate"),
        _text("check_id"),
        _text("verdict"),
        _text("summary"),
        _text("remedy"),
        _json("data"),
        _time("taken_at", nullable=True),
        _time("stored_at"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_evidence_release_id"),
        sa.PrimaryKeyConstraint("number", name="pk_evidence"),
    )
    op.create_index("ix_evidence_digest", "evidence", ["digest"])
    op.create_index("ix_evidence_release_id", "evidence", ["release_id"])
    op.create_table(
        "sets",
        _number("number"),
        _text("name"),
        _text("org"),
        _text("service"),
        _text("platform"),
        _json("spec"),
        _text("state"),
        _number("epoch"),
        _time("created_at"),
        _time("updated_at"),
        _time("deleted_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_sets_service"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_sets"),
        sa.UniqueConstraint("name", name="uq_sets_name"),
    )
    op.create_index("ix_sets_org", "sets", ["org", "service"])


def _traffic() -> None:
    op.create_table(
        "counters", _text("name"), _number("value"), sa.PrimaryKeyConstraint("name", name="pk_counters")
    )
    op.create_table(
        "routes",
        _text("org"),
        _text("service"),
        _number("generation"),
        _number("epoch"),
        _json("upstreams"),
        _json("weights"),
        _text("newest", nullable=True),
        _time("updated_at"),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_routes_service"
        ),
        sa.PrimaryKeyConstraint("org", "service", name="pk_routes"),
    )
    op.create_table(
        "gateways",
        _text("gateway"),
        _number("observed_generation"),
        _time("seen_at"),
        _json("healthy_sets"),
        _json("active_requests"),
        _text("error"),
        sa.PrimaryKeyConstraint("gateway", name="pk_gateways"),
    )
    op.create_table(
        "traffic_samples",
        _text("set_name"),
        _text("gateway"),
        _time("at"),
        _number("requests"),
        _number("failed"),
        _number("attempts_failed"),
        _real("latency_ms_sum"),
        _number("latency_count"),
        sa.PrimaryKeyConstraint("set_name", "gateway", "at", name="pk_traffic_samples"),
    )
    op.create_index("ix_traffic_samples_at", "traffic_samples", ["at"])


def _figures() -> None:
    op.create_table(
        "baselines",
        _number("number"),
        _text("org"),
        _text("service"),
        _text("kind"),
        _text("digest"),
        _json("data"),
        _time("at"),
        sa.ForeignKeyConstraint(
            ["org", "service"], ["services.org", "services.service"], name="fk_baselines_service"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_baselines"),
    )
    op.create_index("ix_baselines_org", "baselines", ["org", "service", "kind"])
    op.create_table(
        "results",
        _text("kind"),
        _text("key"),
        _json("data"),
        _time("at"),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_results"),
    )


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    # SQLite gives out row numbers only to a column that is called INTEGER.
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _real(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), nullable=nullable)
