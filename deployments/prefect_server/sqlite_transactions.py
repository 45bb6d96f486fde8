"""Lets transactions of a Prefect server on SQLite wait for each other instead of failing.

Prefect begins most of them as readers. One that reads first and then writes, while another committed in between,
cannot become a writer: SQLite refuses it at once ("database is locked"), whatever the busy timeout. The API answers
503, and its clients back off for seconds: on 2026-11-26 a worker needed up to 14 s to start a run, and lost its
channel to the server about once a minute. A transaction that begins as a writer waits for its turn, milliseconds.
Prefect does the same for single transactions, one after the other (its pull request 22967).
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def _begin_as_writer(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncGenerator[AsyncSessionTransaction, None]:
    async with _begin(self, session, with_for_update=True) as transaction:
        yield transaction


def begin_transactions_as_writers() -> None:
    """From now on in this process. Safe to repeat."""
    AioSqliteConfiguration.begin_transaction = _begin_as_writer
