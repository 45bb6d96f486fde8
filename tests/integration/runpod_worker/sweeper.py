"""One sweep by a worker that looks ten minutes later; prints the ids of the pods that it deleted.

A process of its own: Prefect keeps connections of a worker until its process ends.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from deployments.runpod_worker.worker import RunPodWorker


async def sweep(pool: str) -> list[str]:
    async with RunPodWorker(pool, name="sweeper", create_pool_if_not_found=False) as worker:
        return await worker.sweep(datetime.now(UTC) + timedelta(minutes=10))


if __name__ == "__main__":
    print(*asyncio.run(sweep(sys.argv[1])), sep="\n")
