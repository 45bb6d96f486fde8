"""One worker from placement to its end: a container that is pulled, started, watched, restarted, drained."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from tidegate.platforms.runpod.emulator.billing import SERVERLESS
from tidegate.platforms.runpod.emulator.catalog import Claim
from tidegate.platforms.runpod.emulator.container import Container
from tidegate.platforms.runpod.emulator.emulator import Emulator
from tidegate.platforms.runpod.emulator.images import container_env
from tidegate.platforms.runpod.emulator.logs import SYSTEM, LogBook
from tidegate.platforms.runpod.emulator.ports import LOOPBACK
from tidegate.platforms.runpod.emulator.state import Endpoint, EndpointType, Json, WorkerStatus

DEFAULT_PORT, DEFAULT_HEALTH_PATH = "80", "/ping"


@dataclass
class Worker:
    """What is known of one worker. `config` is the endpoint's at its start: later releases make it stale."""

    id: str
    endpoint_id: str
    type: EndpointType
    version: int
    config: Json
    token: str
    log: LogBook
    created_at: float
    idle_since: float
    port: int = 0
    health_port: int = 0
    claim: Claim | None = None
    container: Container | None = None
    started_at: float | None = None
    is_throttled: bool = False
    is_ready: bool = False
    is_unhealthy: bool = False
    is_draining: bool = False
    drain_since: float = 0.0
    pinged_at: float = 0.0
    in_flight: int = 0
    crashes: int = 0
    chunks: int = 0
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_reachable(self) -> bool:
        """The balancer only knows ports that the endpoint lists as `<PORT>/http`."""
        port = self.config["env"].get("PORT", DEFAULT_PORT)
        return self.type is EndpointType.QUEUE or f"{port}/http" in self.config["ports"]

    def status(self, is_busy: bool) -> WorkerStatus:
        if self.is_throttled:
            return WorkerStatus.THROTTLED
        if self.is_unhealthy:
            return WorkerStatus.UNHEALTHY
        if not self.is_ready:
            return WorkerStatus.INITIALIZING
        return WorkerStatus.RUNNING if is_busy or not self.is_reachable else WorkerStatus.IDLE


class WorkerLife:
    """Runs one worker; `changed` is called whenever it becomes ready or stops being so."""

    def __init__(self, emulator: Emulator, endpoint: Endpoint, worker: Worker, changed: Callable[[], None]):
        self._emulator = emulator
        self._endpoint = endpoint
        self._worker = worker
        self._changed = changed
        self._usage_id: str | None = None
        self._is_pulled = False

    async def run(self) -> None:
        worker = self._worker
        try:
            await self._place()
            while not worker.leaving.is_set():
                if await self._pull() and await self._run_container() == 0:
                    return
                if not worker.leaving.is_set():
                    await self._rest()
        finally:
            self._end()

    async def _place(self) -> None:
        """Wait for a machine: no stock means throttled, for as long as it takes."""
        worker, emulator = self._worker, self._emulator
        while not worker.leaving.is_set():
            claim = None if self._fault("throttled") else self._find_place()
            if claim is not None:
                worker.claim = emulator.catalog.claims[worker.id] = claim
                worker.is_throttled = False
                worker.log.write(SYSTEM, f"worker placed in {claim.data_center}")
                return
            worker.is_throttled = True
            await self._pause(emulator.timings.tick_s)

    def _find_place(self) -> Claim | None:
        config, catalog, faults = self._worker.config, self._emulator.catalog, self._emulator.faults
        places = config["dataCenterIds"] or self._volume_places()
        if "gpu" not in config:
            return catalog.place_cpu(places, faults)
        gpus = catalog.pool_members(config["gpu"]["pools"], config["gpu"].get("excludedTypes", []))
        return catalog.place(gpus, config["gpu"]["count"], places, faults)

    def _volume_places(self) -> list[str]:
        """A network volume pins its data centre."""
        volumes = self._emulator.resources["volume"]
        return [
            volumes[one].body["dataCenter"] for one in self._worker.config["networkVolumes"] if one in volumes
        ]

    async def _pull(self) -> bool:
        if self._is_pulled:
            return True
        worker, image = self._worker, self._worker.config["image"]
        worker.log.write(SYSTEM, f"pulling image {image}")
        delay_s = self._fault("image_pull_s")
        await self._pause(self._emulator.timings.image_pull_s if delay_s is None else delay_s)
        if self._fault("image_pull_fails") or self._emulator.images.command(image) is None:
            worker.is_unhealthy = True
            worker.log.write(SYSTEM, f"error pulling image: manifest for {image} not found: manifest unknown")
            return False
        self._is_pulled = True
        worker.log.write(SYSTEM, f"image {image} is ready")
        await self._pause(self._fault("init_delay_s") or 0.0)
        return True

    async def _run_container(self) -> int | None:
        """One run of the container; 0 when the worker is over, else it will be restarted."""
        worker = self._worker
        container = await self._start_container()
        if container is None:
            return None
        exited = asyncio.ensure_future(container.wait())
        watched = asyncio.ensure_future(self._watch())
        left = asyncio.ensure_future(worker.leaving.wait())
        try:
            await asyncio.wait([exited, watched, left], return_when=asyncio.FIRST_COMPLETED)
            if watched.done() and not exited.done():
                worker.log.write(SYSTEM, str(watched.result()))
                container.kill()
            elif left.done() and not exited.done():
                self._emulator.jobs.close_polls(worker.endpoint_id, worker.id)
                await container.stop(self._emulator.timings.stop_grace_s)
            code = await exited
        finally:
            watched.cancel()
            left.cancel()
            container.kill()
        self._emulator.documents.delete("process", worker.id)
        # A worker that ends itself after work asks for a fresh one; one that never became ready has failed.
        is_over = worker.leaving.is_set() or (code == 0 and worker.is_ready)
        worker.is_ready = False
        self._changed()
        worker.log.write(SYSTEM, f"container exited with code {code}")
        if is_over:
            return 0
        worker.is_unhealthy = True
        worker.crashes += 1
        return code or 1

    async def _start_container(self) -> Container | None:
        worker, emulator = self._worker, self._emulator
        worker.log.write(SYSTEM, "start container")
        folder = emulator.home / "workers" / worker.id
        home = folder / "home"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = emulator.images.command(worker.config["image"], worker.config["args"])
        crash_code = self._fault("crash_at_start")
        if crash_code is not None:
            command = ["/bin/sh", "-c", f"exit {int(crash_code)}"]
        env = emulator.images.environment(home, self._environment())
        # Before the start: an emulator that dies in between must not leave a process that nobody knows.
        emulator.documents.save("process", worker.id, {"id": worker.id})
        try:
            container = await Container.start(worker.id, command or ["/bin/false"], env, folder, worker.log)
        except (OSError, ValueError) as error:
            worker.is_unhealthy = True
            worker.log.write(SYSTEM, f"error starting container: {error}")
            return None
        worker.container, worker.started_at = container, emulator.clock.now()
        if self._usage_id is None:
            self._usage_id = self._open_usage()
        return container

    def _environment(self) -> dict[str, str]:
        """The user's variables, then those that the platform injects; its values win."""
        worker, emulator = self._worker, self._emulator
        claim = worker.claim
        assert claim is not None
        gpu = quote(claim.gpu_id or "cpu")
        base = f"{emulator.data_url}/v2/{worker.endpoint_id}"
        volumes = worker.config["networkVolumes"]
        injected = {
            "RUNPOD_POD_ID": worker.id,
            "RUNPOD_POD_HOSTNAME": f"{worker.id}-emulated",
            "RUNPOD_ENDPOINT_ID": worker.endpoint_id,
            "RUNPOD_AI_API_KEY": worker.token,
            "RUNPOD_DC_ID": claim.data_center,
            "RUNPOD_GPU_COUNT": str(claim.count),
            "RUNPOD_GPU_TYPE_ID": claim.gpu_id or "",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
            **({"RUNPOD_VOLUME_ID": volumes[0]} if volumes else {}),
        }
        if worker.type is EndpointType.LOAD_BALANCER:
            worker.port, worker.health_port = emulator.ports.take(), emulator.ports.take()
            injected |= {"PORT": str(worker.port), "PORT_HEALTH": str(worker.health_port)}
        else:
            injected |= {
                "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu={gpu}",
                "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu={gpu}",
                "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu={gpu}",
                "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID?gpu={gpu}",
                "RUNPOD_PING_INTERVAL": str(int(emulator.timings.ping_interval_s * 1000)),
            }
        return emulator.on_volumes({**container_env(worker.config), **injected}, volumes)

    async def _watch(self) -> str:
        """Health of the container; returns when it must be killed, with the reason."""
        worker, timings = self._worker, self._emulator.timings
        limit_s = _seconds(worker.config["env"].get("RUNPOD_INIT_TIMEOUT"), timings.init_timeout_s)
        deadline = self._emulator.clock.now() + limit_s
        while True:
            if worker.type is EndpointType.LOAD_BALANCER:
                await self._check_health()
            if not worker.is_ready and self._emulator.clock.now() >= deadline:
                return f"worker was not ready within {limit_s:g} s and is marked unhealthy"
            await asyncio.sleep(
                timings.health_interval_s if worker.is_ready else timings.starting_health_interval_s
            )

    async def _check_health(self) -> None:
        worker, timings = self._worker, self._emulator.timings
        path = worker.config["env"].get("HEALTH_CHECK_PATH", DEFAULT_HEALTH_PATH)
        status: int | None = None
        try:
            async with self._emulator.session.get(
                f"http://{LOOPBACK}:{worker.health_port}{path}",
                timeout=aiohttp.ClientTimeout(total=timings.health_timeout_s),
                allow_redirects=False,
            ) as reply:
                status = reply.status
        except (aiohttp.ClientError, TimeoutError, ValueError):
            # Nobody listens yet, or the engine hangs: the first is starting up, the second is ill.
            status = None if not worker.is_ready else 503
        if self._fault("unhealthy"):
            status = 503
        before = worker.is_ready
        worker.is_ready = status == 200
        worker.is_unhealthy = status not in (200, 204, None)
        if before != worker.is_ready:
            if worker.is_ready:
                worker.idle_since = self._emulator.clock.now()
                worker.log.write(SYSTEM, "worker is ready")
            self._changed()

    async def _rest(self) -> None:
        """Restart after a growing pause, as a container runtime does."""
        timings = self._emulator.timings
        pause_s = timings.restart_backoff_s * 2 ** min(max(0, self._worker.crashes - 1), 10)
        await self._pause(min(pause_s, timings.restart_backoff_cap_s))

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._worker.leaving.wait(), timeout=seconds)

    def _open_usage(self) -> str:
        """Billed from the container's start; the pull is free."""
        endpoint, claim, config = self._endpoint, self._worker.claim, self._worker.config
        assert claim is not None
        usd_per_h = self._emulator.catalog.serverless_usd_per_h(config, claim.gpu_id)
        unit = "gpu" if claim.gpu_id else "cpu"
        return self._emulator.meter.open(
            endpoint.organization, SERVERLESS, endpoint.id, unit, usd_per_h / 3600
        )

    def _fault(self, knob: str) -> Any:
        worker = self._worker
        pools = worker.config.get("gpu", {}).get("pools", [])
        return self._emulator.faults.read(
            knob, worker.id, worker.endpoint_id, worker.config["name"], *pools, self._endpoint.organization
        )

    def _end(self) -> None:
        worker = self._worker
        if worker.container is not None:
            worker.container.kill()
        if self._usage_id is not None:
            self._emulator.meter.close(self._usage_id)
        self._emulator.catalog.claims.pop(worker.id, None)
        self._emulator.documents.delete("process", worker.id)
        worker.is_ready = False
        worker.log.close()
        shutil.rmtree(self._emulator.home / "workers" / worker.id, ignore_errors=True)
        self._changed()


def _seconds(text: str | None, default: float) -> float:
    try:
        return float(text) if text else default
    except ValueError:
        return default
