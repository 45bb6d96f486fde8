"""Mends a deadlock of aiosqlite that stops a Prefect server on SQLite for a minute at a time.

A cursor whose statement was interrupted (an error, a cancelled request) is dropped unclosed, and the event loop
frees it. SQLite resets its statement then, for which it needs the mutex of the cursor's connection. When that
connection is in use again, and waits for the write lock in its thread, the event loop waits with it; but only the
event loop can go on with the transaction that holds the lock. Both wait until the busy timeout, which Prefect sets
to 60 s. Seen on 2026-11-26 with Prefect 3.8.8, aiosqlite 0.21 and SQLAlchemy 2.0.58: the loop in `sqlite3_reset`
under `cursor_dealloc`, two connections in the busy handler.

So a dropped cursor is closed in its connection's thread, where nothing waits for anything else.
"""

from collections.abc import Callable
from typing import Any

import aiosqlite.core
from aiosqlite.cursor import Cursor


class _Nobody:
    """Stands where aiosqlite expects a future and its loop: nobody waits for this result."""

    def get_loop(self) -> "_Nobody":
        return self

    def call_soon_threadsafe(self, callback: Callable[..., object], *arguments: object) -> None:
        return


class ThreadBoundCursor(Cursor):
    """A cursor that is never freed open by another thread than its connection's."""

    _is_closed = False

    async def close(self) -> None:
        self._is_closed = True
        await super().close()

    def __del__(self) -> None:
        connection: Any = self._conn
        if self._is_closed or not connection._running or connection._connection is None:
            return
        connection._tx.put_nowait((_Nobody(), self._cursor.close))


def close_dropped_cursors_in_their_thread() -> None:
    """Let every connection that is made from now on hand out such cursors. Safe to repeat."""
    aiosqlite.core.Cursor = ThreadBoundCursor  # type: ignore[misc]
