"""Errors that are counted, and the audit log, which the database itself refuses to change."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
REFUSAL = "entries of the audit log are never changed or removed"
ORDER = "entries of the audit log are appended one after the other"


def upgrade() -> None:
    _errors()
    _audit()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def _errors() -> None:
    op.create_table(
        "errors",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("fingerprint", "org", "service")),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("code", "kind", "place", "raised_in", "message", "remedy", "release_id")
        ),
        sa.Column("count", _NUMBER, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "org", "service", name="pk_errors"),
    )
    op.create_index("ix_errors_last_seen", "errors", ["last_seen"])
    op.create_table(
        "forgotten_errors",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("org", sa.Text(), nullable=False),
        sa.Column("count", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("code", "org", name="pk_forgotten_errors"),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("at", "actor", "interface", "action")),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("org", "service", "release_id")),
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("subject", "reason", "evidence", "former", "hash")
        ),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_index("ix_audit_org", "audit", ["org", "service"])
    op.create_index("ix_audit_release_id", "audit", ["release_id"])


def _guard_sqlite() -> None:
    """`INSERT OR REPLACE` removes a row without any trigger on removal: the one on insertion refuses it."""
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{what.lower()} BEFORE {what} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    op.execute(
        "CREATE TRIGGER audit_keeps_order BEFORE INSERT ON audit "
        "WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM audit) "
        f"BEGIN SELECT RAISE(ABORT, '{ORDER}'); END"
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    op.execute(
        "CREATE FUNCTION audit_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.number IS DISTINCT FROM (SELECT coalesce(max(number), 0) + 1 FROM audit) THEN "
        f"RAISE EXCEPTION '{ORDER}'; END IF; RETURN NEW; END $$"
    )
    for what in ("UPDATE", "DELETE", "TRUNCATE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{what.lower()} BEFORE {what} ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
        )
    op.execute(
        "CREATE TRIGGER audit_keeps_order BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_order()"
    )
