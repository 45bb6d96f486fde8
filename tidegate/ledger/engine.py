"""Connections, transactions and the schema of the ledger's database: a SQLite file, or PostgreSQL by URL."""

import json
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pydantic_core import PydanticSerializationError, to_jsonable_python
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from tidegate.domain import InvalidInput, NeedsOperator
from tidegate.ledger.chain import append_witnessed
from tidegate.ledger.failures import Place, translate
from tidegate.ledger.migrations import HEAD
from tidegate.ledger.postgres import postgres_engine

BUSY_TIMEOUT_S = 10
MIGRATIONS_DIR = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x71DE6A7E
"""Key of PostgreSQL's advisory lock while the schema changes."""
WRITES = "tidegate_writes"
_STEPS_BETWEEN_LOOKS = 10_000
"""Of SQLite's machine: about a millisecond between two looks at the clock."""


class Database:
    """Short transactions, with every driver error translated."""

    def __init__(self, engine: Engine, place: Place):
        self._engine = engine
        self._place = place
        self._reads = sessionmaker(engine, expire_on_commit=False)
        self._writes = sessionmaker(engine.execution_options(**{WRITES: True}), expire_on_commit=False)

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect and bring the schema up to date."""
        parsed = _parse(url)
        place = _place(parsed)
        with _translated(place):
            engine = (
                _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else postgres_engine(parsed, _dump)
            )
            try:
                _migrate(engine, place)
            except BaseException:
                engine.dispose()
                raise
        return cls(engine, place)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def read(self, timeout_s: float | None = None) -> Generator[Session]:
        """A transaction that only reads; on SQLite it sees one moment. With `timeout_s` a statement that takes longer
        is stopped, and the error is Transient."""
        with _translated(self._place), self._reads.begin() as session, _limited(session, timeout_s):
            yield session

    @contextmanager
    def write(self) -> Generator[Session]:
        """A transaction that writes: committed at the end, rolled back on any error. What the audit log has to say of
        it is written last."""
        with _translated(self._place), self._writes.begin() as session:
            yield session
            append_witnessed(session)


def to_json(data: Any) -> Any:
    """Plain JSON values for whatever a check measured: what comes back from the ledger equals this.

    Not-a-number and infinity become None, because PostgreSQL has no JSON for them.
    Raises: InvalidInput for values that have no JSON form.
    """
    try:
        return to_jsonable_python(data, inf_nan_mode="null", fallback=_scalar)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidInput(
            f"The data has no JSON form: {error}.",
            remedy="Pass numbers, texts, lists and mappings.",
            field="data",
        ) from error


@contextmanager
def _limited(session: Session, timeout_s: float | None) -> Generator[None]:
    """PostgreSQL limits each statement; SQLite, which has no such limit, everything until the end."""
    if timeout_s is None:
        yield
    elif session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SET LOCAL statement_timeout = {max(1, int(timeout_s * 1000))}"))
        yield
    else:
        driver = session.connection().connection.driver_connection
        assert isinstance(driver, sqlite3.Connection), "the dialect says so"
        deadline = time.monotonic() + timeout_s
        driver.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
        try:
            yield
        finally:
            driver.set_progress_handler(None, 0)


def _scalar(value: Any) -> Any:
    """NumPy's numbers, which pydantic does not know."""
    if not hasattr(value, "tolist"):
        raise ValueError(f"{type(value).__name__} is not a JSON value")
    return to_jsonable_python(value.tolist(), inf_nan_mode="null")


@contextmanager
def _translated(place: Place) -> Generator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise translate(error, place) from (None if place.exposes(error) else error)


def _parse(url: str) -> URL:
    remedy = (
        "Use sqlite:////absolute/path/ledger.sqlite3 or postgresql+psycopg://user:password@host/database."
    )
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The cause may quote the URL with its password.
        raise InvalidInput("The ledger's URL cannot be read.", remedy=remedy, field="ledger_url") from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise InvalidInput(
            f"No ledger can be kept in '{parsed.drivername}'.", remedy=remedy, field="ledger_url"
        )
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InvalidInput("A ledger in memory forgets everything.", remedy=remedy, field="ledger_url")
    return parsed


def _place(url: URL) -> Place:
    if url.get_backend_name() == "sqlite":
        return Place(str(url.database))
    port = f":{url.port}" if url.port else ""
    hidden = [url.password, *(url.normalized_query.get("password", ()))]
    return Place(
        f"postgresql://{url.host or 'local'}{port}/{url.database or ''}",
        tuple(str(one) for one in hidden if one),
    )


def _sqlite(url: URL) -> Engine:
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NeedsOperator(
            f"The ledger's folder {folder} cannot be made: {error.strerror}.",
            remedy="Make the folder, or choose another one with TIDEGATE_HOME or TIDEGATE_LEDGER_URL.",
            code="TG-3100",
        ) from error
    timeout = {} if "timeout" in url.query else {"timeout": BUSY_TIMEOUT_S}
    engine = create_engine(url, connect_args=timeout, hide_parameters=True, json_serializer=_dump)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """The journal is the controller's only memory, so that each commit reaches the disk (synchronous=FULL)."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while not _tried_wal(connection, is_last=time.monotonic() > deadline):
        time.sleep(0.01)


def _tried_wal(connection: sqlite3.Connection, *, is_last: bool) -> bool:
    """Readers beside one writer, where the file system can do it. Only a new file is switched, and SQLite's own
    timeout does not cover the switch: of several first openers all but one are told at once that it is busy."""
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if is_last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock at once: one that reads first and upgrades later fails without waiting."""
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _migrate(engine: Engine, place: Place) -> None:
    """Bring the schema to HEAD in one transaction; whoever comes second waits for it and finds it done."""
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        if _revision(connection) != HEAD:
            _upgrade(connection, place)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection, place: Place) -> None:
    # Alembic takes as long to import as all the rest, and is needed once in the life of a ledger.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    present = _revision(connection)
    if present is not None and present not in known:
        raise NeedsOperator(
            f"The ledger at {place.text} has schema {present}, which this Tidegate does not know.",
            remedy="Install the version of Tidegate that wrote it, or a newer one.",
            code="TG-3102",
        )
    command.upgrade(config, "head")
