"""Copies a PostgreSQL ledger with PostgreSQL's own tools, which must be installed where backups are made."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from tidegate.backup.copying import Facts, facts_of, place_of, told
from tidegate.domain import NeedsOperator, Refused, Transient

TOOL_TIMEOUT_S = 3600.0
CONNECT_TIMEOUT_S = 10
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"


class PostgresDatabase:
    """The database of the ledger. The password reaches the tools by their environment, never by a command line."""

    kind = "postgresql"

    def __init__(self, url: URL):
        self._url = url
        self._place = place_of(url)

    def size_bytes(self) -> int:
        with self._connected() as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())

    def dump(self, target: Path) -> Facts:
        tool = _tool("pg_dump")
        with self._connected(isolation_level="REPEATABLE READ") as connection:
            # What is counted and what is copied is one moment: the snapshot is ours until both are done.
            snapshot = str(connection.execute(text("SELECT pg_export_snapshot()")).scalar_one())
            facts = _facts(connection)
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            options = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
            self._run([tool, *options, f"--file={target}"], self._url)
        return facts

    @contextmanager
    def trial(self, dump: Path, scratch: Path) -> Generator[tuple[str, Facts]]:
        """In a database of its own beside the ledger's: the role of the ledger must be allowed to make one."""
        tool = _tool("pg_restore")
        name = f"tidegate_trial_{secrets.token_hex(6)}"
        with self._connected(isolation_level="AUTOCOMMIT") as connection:
            allowed = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            if not connection.execute(text(allowed)).scalar_one():
                raise NeedsOperator(
                    "The role of the ledger may not make a database to restore into.",
                    remedy=f'As a superuser: ALTER ROLE "{self._url.username}" CREATEDB.',
                )
            connection.execute(text(f'CREATE DATABASE "{name}"'))
        url = self._url.set(database=name)
        try:
            self._run(
                [tool, "--exit-on-error", "--no-owner", "--no-privileges", "--dbname", name, str(dump)], url
            )
            with PostgresDatabase(url)._connected() as restored:
                facts = _facts(restored)
            yield url.render_as_string(hide_password=False), facts
        finally:
            with self._connected(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def restore(self, dump: Path) -> str:
        tool = _tool("pg_restore")
        with self._connected() as connection:
            tables = list(connection.execute(text(TABLES)).scalars())
        if tables:
            raise Refused(
                f"{self._place.text} has {len(tables)} tables; nothing was restored.",
                remedy="Make an empty database, name it in TIDEGATE_LEDGER_URL, and restore into that.",
            )
        database = str(self._url.database)
        options = ("--exit-on-error", "--no-owner", "--no-privileges", "--single-transaction")
        self._run([tool, *options, "--dbname", database, str(dump)], self._url)
        return f"restored to {self._place.text}"

    @contextmanager
    def _connected(self, **options: str) -> Generator[Connection]:
        engine = self._engine()
        try:
            with told(self._place), engine.connect().execution_options(**options) as connection:
                yield connection
        finally:
            engine.dispose()

    def _engine(self) -> Engine:
        try:
            return create_engine(
                self._url,
                poolclass=NullPool,
                hide_parameters=True,
                connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
            )
        except ModuleNotFoundError as error:
            raise NeedsOperator(
                "PostgreSQL needs a driver that is not installed.", remedy="Install tidegate[postgres]."
            ) from error

    def _run(self, command: list[str], url: URL) -> None:
        """Raises: Transient with the last line that the tool wrote, without the password."""
        name = Path(command[0]).name
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **_environment(url)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TOOL_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise Transient(
                f"{name} did not end within {TOOL_TIMEOUT_S:g} s.", remedy="See what the database does."
            ) from error
        if done.returncode != 0:
            words = [line for line in done.stderr.strip().splitlines() if line]
            said = self._place.scrub(words[0] if words else f"exit code {done.returncode}")
            raise Transient(
                f"{name} failed: {said}.",
                remedy="Its version must be that of the server or newer; check room and permissions, too.",
            )


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NeedsOperator(
            f"{name} is not installed here, and a PostgreSQL ledger is copied with it.",
            remedy="Install the client tools of the server's version or newer (Debian: postgresql-client).",
        )
    return found


def _environment(url: URL) -> Mapping[str, str]:
    given = {
        "PGHOST": url.host,
        "PGPORT": str(url.port) if url.port else None,
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password) if url.password else None,
        "PGDATABASE": url.database,
        **{f"PG{name.upper()}": str(value) for name, value in url.query.items() if name.startswith("ssl")},
    }
    return {name: value for name, value in given.items() if value is not None}


def _facts(connection: Connection) -> Facts:
    names = list(connection.execute(text(TABLES)).scalars())
    rows = [
        (name, int(connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one())) for name in names
    ]
    revision = None
    if "alembic_version" in names:
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    end = None
    if "audit" in names:
        found = connection.execute(
            text("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
        ).one_or_none()
        end = (int(found[0]), str(found[1])) if found else None
    return facts_of(revision, rows, end)
