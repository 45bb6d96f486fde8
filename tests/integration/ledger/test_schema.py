"""Migrations make exactly the tables that the code uses, and foreign schemas are left alone."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from tidegate.domain import NeedsOperator
from tidegate.ledger import Ledger
from tidegate.ledger.columns import Rows
from tidegate.ledger.engine import MIGRATIONS_DIR
from tidegate.ledger.migrations import HEAD


def test_a_migrated_database_has_exactly_the_tables_of_the_code(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Rows.metadata) == []
    engine.dispose()


def test_head_is_the_last_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_opening_again_changes_nothing(empty_url, revision_of):
    for _ in range(2):
        Ledger.open(empty_url).close()
    assert revision_of(empty_url) == HEAD


def test_a_schema_of_a_newer_tidegate_is_left_to_a_person(url):
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NeedsOperator, match="schema 9999") as caught:
        Ledger.open(url)
    assert caught.value.code == "TG-3102"
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})
    engine.dispose()
