"""Alembic's entry point: runs the steps on the connection, and inside the transaction, that it is given."""

from alembic import context
from sqlalchemy import Connection

from tidegate.ledger.tables import Rows

connection: Connection = context.config.attributes["connection"]
# SQLite can roll back DDL, but Alembic does not believe it unless told: a killed migration must leave nothing.
context.configure(
    connection=connection, target_metadata=Rows.metadata, transactional_ddl=True, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
