"""Tells a job's end to the URL that its caller named: one try and two more, without effect on the job."""

import asyncio
import logging
from http import HTTPStatus

import aiohttp

from tidegate.platforms.runpod.emulator.emulator import Emulator
from tidegate.platforms.runpod.emulator.state import Job, Json

TRIES = 3
TIMEOUT_S = 10.0
USER_AGENT = "Go-http-client/2.0"

log = logging.getLogger(__name__)


class Webhooks:
    """Deliveries under way."""

    def __init__(self, emulator: Emulator):
        self._emulator = emulator
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, job: Job, body: Json) -> None:
        if job.webhook and not self._emulator.faults.read("webhook_lost", job.endpoint_id):
            told = {**body, "input": job.input, "webhook": job.webhook}
            task = asyncio.create_task(self._deliver(job.webhook, told))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, url: str, body: Json) -> None:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(self._emulator.timings.webhook_gap_s)
            try:
                async with self._emulator.session.post(
                    url,
                    json=body,
                    headers={"User-Agent": USER_AGENT},
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                ) as reply:
                    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
                        return
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                # The URL may hold a secret: the log names the job only.
                log.info("webhook of job %s was not delivered: %s", body["id"], type(error).__name__)
