"""One sweep by a worker that looks ten minutes later.

A process of its own: Prefect keeps connections of a worker until its process ends.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from deployments.runpod_worker.worker import RunPodWorker


async def sweep(pool: str) -> None:
    async with RunPodWorker(pool, name="sweeper", create_pool_if_not_found=False) as worker:
        await worker.sweep(datetime.now(UTC) + timedelta(minutes=10))


if __name__ == "__main__":
    asyncio.run(sweep(sys.argv[1]))
