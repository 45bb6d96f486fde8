"""The deadlock that stops Prefect's server on SQLite, made on purpose with its driver; and that ours does not have it."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import aiosqlite
import pytest
from aiosqlite.cursor import Cursor

from deployments.prefect_server.sqlite_cursors import close_dropped_cursors_in_their_thread

BUSY_TIMEOUT_S = {"as shipped": 3.0, "mended": 60.0}
"""The deadlock lasts so long; without it the other connection is let in as soon as this machine gets to it."""


@pytest.fixture(params=["as shipped", "mended"])
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """aiosqlite with its own cursors, and with ours."""
    monkeypatch.setattr(aiosqlite.core, "Cursor", Cursor)
    if request.param == "mended":
        close_dropped_cursors_in_their_thread()
    return request.param


async def open_database(path: Path, driver: str) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, timeout=BUSY_TIMEOUT_S[driver], isolation_level=None)
    await (await connection.execute("PRAGMA journal_mode = WAL")).close()
    return connection


async def drop_a_cursor_of_a_waiting_connection(path: Path, driver: str) -> str:
    """One connection holds the write lock, the other waits for it; a forgotten cursor of the other is dropped.

    Returns what became of the waiting one.
    """
    holder, waiting = await open_database(path, driver), await open_database(path, driver)
    try:
        forgotten = [await waiting.execute("SELECT 1 UNION SELECT 2")]
        await (await holder.execute("BEGIN IMMEDIATE")).close()
        begins = threading.Event()
        await waiting.set_trace_callback(lambda statement: begins.set())
        wait = asyncio.create_task(waiting.execute("BEGIN IMMEDIATE"))
        assert await asyncio.to_thread(begins.wait, 60)
        forgotten.clear()
        # Only this loop can end the transaction that the other connection waits for.
        await holder.rollback()
        try:
            await (await wait).close()
        except sqlite3.OperationalError as error:
            return str(error)
        return "begun"
    finally:
        await waiting.close()
        await holder.close()


def test_dropping_a_cursor_never_stops_the_loop(driver: str, tmp_path: Path) -> None:
    outcome = asyncio.run(drop_a_cursor_of_a_waiting_connection(tmp_path / "prefect.db", driver))
    # The first case proves that this test makes the deadlock. If it fails, the driver was mended: remove our repair.
    assert outcome == ("begun" if driver == "mended" else "database is locked")


def test_a_dropped_cursor_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiosqlite.core, "Cursor", Cursor)
    close_dropped_cursors_in_their_thread()

    async def drop() -> None:
        connection = await open_database(tmp_path / "prefect.db", "mended")
        cursor = await connection.execute("SELECT 1 UNION SELECT 2")
        raw = cursor._cursor
        del cursor
        # Done in order by the connection's thread, so after this the cursor has been closed.
        await connection.commit()
        with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
            await connection._execute(raw.fetchone)
        await connection.close()

    asyncio.run(drop())
