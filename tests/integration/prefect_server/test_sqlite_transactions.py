"""Two transactions of a Prefect server on SQLite that both read and then write: the second waits, and none fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.settings import SOURCE_ROOT

# In a process of its own: Prefect reads its settings when it is imported, and it changes Prefect for good.
SCRIPT = """
import asyncio, sys
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from deployments.prefect_server.sqlite_transactions import begin_transactions_as_writers

if sys.argv[2] == "mended":
    begin_transactions_as_writers()

async def main():
    database = AioSqliteConfiguration(f"sqlite+aiosqlite:///{sys.argv[1]}")
    engine = await database.engine()
    async with await database.session(engine) as session, database.begin_transaction(session):
        await session.execute(sa.text("CREATE TABLE counter (n INTEGER)"))
        await session.execute(sa.text("INSERT INTO counter VALUES (0)"))
    have_read = asyncio.Barrier(2)

    async def increment():
        async with await database.session(engine) as session, database.begin_transaction(session):
            n = (await session.execute(sa.text("SELECT n FROM counter"))).scalar_one()
            try:
                await asyncio.wait_for(have_read.wait(), float(sys.argv[3]))
            except (TimeoutError, asyncio.BrokenBarrierError):
                pass  # the other one is not let in before this one is done, which is what is wanted
            await session.execute(sa.text("UPDATE counter SET n = :n"), {"n": n + 1})

    ends = await asyncio.gather(increment(), increment(), return_exceptions=True)
    async with await database.session(engine) as session:
        n = (await session.execute(sa.text("SELECT n FROM counter"))).scalar_one()
    print(n, sum("database is locked" in str(end) for end in ends if end is not None))
    await engine.dispose()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("driver", "patience_s", "outcome"),
    # As shipped both come, however late; mended the other one cannot, and need not be waited for long.
    [("as shipped", 60.0, "1 1"), ("mended", 0.5, "2 0")],
)
def test_a_reader_that_becomes_a_writer_waits_instead_of_failing(
    driver: str, patience_s: float, outcome: str, tmp_path: Path
) -> None:
    """The first case proves that this makes the fault. If it fails, Prefect was mended: remove our repair."""
    home = {"PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(SOURCE_ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "prefect.db"), driver, str(patience_s)],
        env=os.environ | home, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == outcome, done.stdout + done.stderr
