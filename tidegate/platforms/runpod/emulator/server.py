"""Two listening ports, one state: starts an emulator, keeps it running, ends it without a trace of processes."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tidegate.platforms.runpod.emulator import control_plane, data_plane
from tidegate.platforms.runpod.emulator.accounts import Accounts
from tidegate.platforms.runpod.emulator.billing import Meter
from tidegate.platforms.runpod.emulator.catalog import Catalog
from tidegate.platforms.runpod.emulator.clock import Clock
from tidegate.platforms.runpod.emulator.container import end_processes_of
from tidegate.platforms.runpod.emulator.context import Context
from tidegate.platforms.runpod.emulator.emulator import Emulator
from tidegate.platforms.runpod.emulator.faults import FaultBoard
from tidegate.platforms.runpod.emulator.fleet import Fleet
from tidegate.platforms.runpod.emulator.images import Images
from tidegate.platforms.runpod.emulator.job_plane import job_reply
from tidegate.platforms.runpod.emulator.jobs import JobBoard
from tidegate.platforms.runpod.emulator.persistence import Documents
from tidegate.platforms.runpod.emulator.pods import PodKeeper
from tidegate.platforms.runpod.emulator.ports import LOOPBACK
from tidegate.platforms.runpod.emulator.state import Job
from tidegate.platforms.runpod.emulator.timings import Timings
from tidegate.platforms.runpod.emulator.webhooks import Webhooks

DEFAULT_ORGANIZATIONS = ("swaggystacks", "scientiacapital")
DEFAULT_CREDIT_USD = 1000.0
ANNOUNCEMENT = "emulator.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How one emulator is started. Port 0 means any free one."""

    home: Path
    images: Images
    api_port: int = 0
    data_port: int = 0
    told_data_url: str = ""
    """Where callers are told to reach the data plane; empty: where it listens."""
    organizations: Sequence[str] = DEFAULT_ORGANIZATIONS
    credit_usd: float = DEFAULT_CREDIT_USD
    timings: Timings = field(default_factory=Timings)
    catalog: Catalog = field(default_factory=Catalog)

    @property
    def keys_dir(self) -> Path:
        return self.home / "keys"


class Server:
    """One running emulator."""

    def __init__(self, options: Options):
        self._options = options
        self._runners: list[web.AppRunner] = []
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind both ports, end what a dead predecessor left, and begin to tick."""
        options = self._options
        options.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._emulator = emulator = await _assembled(options)
        self._fleet = Fleet(emulator)
        self._pods = PodKeeper(emulator)
        self._webhooks = Webhooks(emulator)
        emulator.jobs.on_finished = self._job_finished
        context = Context(emulator, self._fleet, self._pods)
        emulator.api_url = await self._listen(control_plane.application(context), options.api_port)
        emulator.data_url = await self._listen(data_plane.application(context), options.data_port)
        emulator.told_data_url = options.told_data_url
        self._end_left_behind()
        self._pods.resume()
        self._ticking = asyncio.create_task(self._fleet.run(), name="fleet")
        self._announce()

    def _job_finished(self, job: Job) -> None:
        self._fleet.count_finished(job)
        self._webhooks.send(job, job_reply(job))

    async def _listen(self, app: web.Application, port: int) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, LOOPBACK, port or self._emulator.ports.take())
        await site.start()
        return f"http://{LOOPBACK}:{runner.addresses[0][1]}"

    def _end_left_behind(self) -> None:
        emulator = self._emulator
        for row in list(emulator.documents.load("process")):
            if end_processes_of(row["id"]):
                log.info("ended the processes of %s, left by an emulator before", row["id"])
            emulator.documents.delete("process", row["id"])
        emulator.meter.close_running()

    def _announce(self) -> None:
        path = self._options.home / ANNOUNCEMENT
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(self.facts()))
        partial.replace(path)

    def facts(self) -> dict[str, Any]:
        """URLs and names; never a key."""
        names = [*self._emulator.accounts.organizations]
        return {
            "pid": os.getpid(),
            "api_url": self._emulator.api_url,
            "data_url": self._emulator.data_url,
            "home": str(self._options.home),
            "keys": {name: str(self._options.keys_dir / f"{name}.key") for name in [*names, "operator"]},
        }

    async def run_until_signalled(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        assert self._ticking is not None
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([stopping, self._ticking], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._ticking.done() and not self._ticking.cancelled():
            self._ticking.result()

    async def close(self) -> None:
        """No new requests, then no processes, then no files open."""
        if self._ticking is not None:
            self._ticking.cancel()
        await self._fleet.close()
        await self._pods.close()
        await self._webhooks.close()
        for runner in self._runners:
            await runner.cleanup()
        await self._emulator.session.close()
        self._emulator.ports.close()
        self._emulator.meter.close_running()
        self._emulator.documents.close()
        (self._options.home / ANNOUNCEMENT).unlink(missing_ok=True)


async def _assembled(options: Options) -> Emulator:
    documents = Documents(options.home / "state.sqlite")
    clock = Clock()
    accounts = Accounts(documents, options.keys_dir)
    accounts.ensure_operator()
    for name in options.organizations:
        accounts.ensure(name, options.credit_usd)
    emulator = Emulator(
        home=options.home,
        timings=options.timings,
        clock=clock,
        documents=documents,
        accounts=accounts,
        catalog=options.catalog,
        images=options.images,
        meter=Meter(documents, clock),
        faults=FaultBoard(),
        jobs=JobBoard(documents, clock, options.timings),
        session=aiohttp.ClientSession(
            # llama-server announces keep-alive and closes after a streamed answer all the same: a request sent on such
            # a connection would be lost.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        ),
    )
    emulator.load()
    return emulator


async def serve(options: Options, announce: Callable[[dict[str, Any]], None]) -> None:
    """Run one emulator until SIGTERM or SIGINT; `announce` is told its URLs and key files once it answers."""
    server = Server(options)
    try:
        await server.start()
        announce(server.facts())
        await server.run_until_signalled()
    finally:
        await server.close()
