"""Two listening ports, one state: starts an emulator, keeps it running, ends it without a trace of processes."""

import asyncio
import json
import logging
import os
import signal
import socket
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
        self._sockets: list[socket.socket] = []
        self._ticking: asyncio.Task[None] | None = None
        self._told_to_end = asyncio.Event()

    async def start(self) -> None:
        """Bind both ports, end what a dead predecessor left, answer, and begin to tick.

        In this order: an emulator whose port is taken touches nothing, and the first answer tells the right URLs.
        """
        self._watch_signals()
        options = self._options
        options.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._emulator = emulator = await _assembled(options)
        self._fleet = Fleet(emulator)
        self._pods = PodKeeper(emulator)
        self._webhooks = Webhooks(emulator)
        emulator.jobs.on_finished = self._job_finished
        context = Context(emulator, self._fleet, self._pods)
        api, data = (self._bind(port) for port in (options.api_port, options.data_port))
        emulator.api_url, emulator.data_url = (
            f"http://{LOOPBACK}:{one.getsockname()[1]}" for one in (api, data)
        )
        emulator.told_data_url = options.told_data_url
        self._end_left_behind()
        self._pods.resume()
        await self._listen(data_plane.application(context), data)
        await self._listen(control_plane.application(context), api)
        self._ticking = asyncio.create_task(self._fleet.run(), name="fleet")
        self._announce()

    def _job_finished(self, job: Job) -> None:
        self._fleet.count_finished(job)
        self._webhooks.send(job, job_reply(job))

    def _bind(self, port: int) -> socket.socket:
        made = socket.socket()
        self._sockets.append(made)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((LOOPBACK, port or self._emulator.ports.take()))
        return made

    async def _listen(self, app: web.Application, bound: socket.socket) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        await runner.setup()
        self._runners.append(runner)
        await web.SockSite(runner, bound).start()

    def _watch_signals(self) -> None:
        """First of all: who is told that the emulator runs may end it at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_end.set)

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
        assert self._ticking is not None
        stopping = asyncio.ensure_future(self._told_to_end.wait())
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
        for one in self._sockets:
            one.close()
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
