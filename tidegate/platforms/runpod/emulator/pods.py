"""Pods: one process group each, with the vendor's states and actions.

A pod whose command ends by itself becomes EXITED after success and ERROR after failure.
"""

import asyncio
import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate.platforms.runpod.emulator.billing import DISK_USD_PER_GB_MONTH, POD, SECONDS_PER_MONTH
from tidegate.platforms.runpod.emulator.catalog import Claim
from tidegate.platforms.runpod.emulator.container import Container
from tidegate.platforms.runpod.emulator.emulator import SSH_KEYS, Emulator
from tidegate.platforms.runpod.emulator.images import container_env
from tidegate.platforms.runpod.emulator.logs import SYSTEM, LogBook
from tidegate.platforms.runpod.emulator.ports import LOOPBACK
from tidegate.platforms.runpod.emulator.state import Json, Pod, PodStatus

HOST_LOST_CODE = 137
ACTIONS = {
    PodStatus.PROVISIONING: ("stop", "terminate"),
    PodStatus.STARTING: ("stop", "terminate"),
    PodStatus.RUNNING: ("stop", "restart", "terminate"),
    PodStatus.EXITED: ("start", "terminate"),
    PodStatus.ERROR: ("start", "terminate"),
    PodStatus.TERMINATED: (),
}


@dataclass
class _Run:
    """One stay of a pod on a machine."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ports: dict[int, int] = field(default_factory=dict[int, int])
    usage_ids: list[str] = field(default_factory=list[str])
    task: "asyncio.Task[None] | None" = None


class PodKeeper:
    """Starts, stops and ends the processes of pods."""

    def __init__(self, emulator: Emulator):
        self._emulator = emulator
        self._runs: dict[str, _Run] = {}
        self._logs: dict[str, LogBook] = {}

    def resume(self) -> None:
        """After a restart of the emulator: pods that should run run again."""
        for pod in list(self._emulator.pods.values()):
            if pod.wants_to_run and pod.status is not PodStatus.TERMINATED:
                self.start(pod)

    def log(self, pod_id: str) -> LogBook:
        if pod_id not in self._logs:
            self._logs[pod_id] = self._emulator.log_book(pod_id)
        return self._logs[pod_id]

    def start(self, pod: Pod) -> None:
        pod.wants_to_run = True
        self._set_status(pod, PodStatus.PROVISIONING)
        run = _Run()
        self._runs[pod.id] = run
        run.task = asyncio.create_task(self._live(pod, run), name=f"pod-{pod.id}")

    async def stop(self, pod: Pod, status: PodStatus = PodStatus.EXITED) -> None:
        """End the process and release the machine; the disk stays."""
        pod.wants_to_run = False
        await self._end(pod)
        self._set_status(pod, status)

    async def restart(self, pod: Pod) -> None:
        await self._end(pod)
        self.start(pod)

    async def terminate(self, pod: Pod) -> None:
        await self.stop(pod, PodStatus.TERMINATED)
        self._emulator.pods.pop(pod.id, None)
        self._emulator.documents.delete("pod", pod.id)
        shutil.rmtree(self._folder(pod), ignore_errors=True)

    async def close(self) -> None:
        """The emulator ends; its pods run again with the next one."""
        await asyncio.gather(*(self._end(pod) for pod in list(self._emulator.pods.values())))

    def port(self, pod_id: str, private: int) -> int | None:
        """Where a pod's port is reached here."""
        run = self._runs.get(pod_id)
        return run.ports.get(private) if run else None

    def runtime_ports(self, pod: Pod) -> list[Json]:
        run = self._runs.get(pod.id)
        return [
            {
                "private": int(text.partition("/")[0]),
                "public": run.ports.get(int(text.partition("/")[0])) if run else None,
                "type": text.partition("/")[2],
                "ip": LOOPBACK,
            }
            for text in pod.config["ports"]
        ]

    def find_place(self, config: Json) -> Claim | None:
        emulator = self._emulator
        places = config["dataCenterIds"] or [
            emulator.resources["volume"][mount["volumeId"]].body["dataCenter"]
            for mount in config["mounts"].get("network", [])
        ]
        if "gpu" not in config:
            return emulator.catalog.place_cpu(places, emulator.faults)
        gpu = emulator.catalog.gpu(config["gpu"]["id"])
        gpus = [gpu] if gpu else []
        return emulator.catalog.place(gpus, config["gpu"]["count"], places, emulator.faults, config["cloud"])

    async def _end(self, pod: Pod) -> None:
        run = self._runs.pop(pod.id, None)
        if run is not None and run.task is not None:
            run.stopping.set()
            await asyncio.wait([run.task])

    async def _live(self, pod: Pod, run: _Run) -> None:
        try:
            if await self._pull(pod, run):
                await self._run(pod, run)
        finally:
            for usage_id in run.usage_ids:
                self._emulator.meter.close(usage_id)
            self._emulator.catalog.claims.pop(pod.id, None)
            self._emulator.documents.delete("process", pod.id)

    async def _pull(self, pod: Pod, run: _Run) -> bool:
        emulator, log, image = self._emulator, self.log(pod.id), pod.config["image"]
        claim = self.find_place({**pod.config, "dataCenterIds": [pod.data_center] if pod.data_center else []})
        if claim is None:
            log.write(SYSTEM, "there are not enough free machines on the host to start this pod")
            self._fail(pod)
            return False
        emulator.catalog.claims[pod.id] = claim
        pod.data_center = claim.data_center
        self._set_status(pod, PodStatus.STARTING)
        log.write(SYSTEM, f"pulling image {image}")
        delay_s = self._fault(pod, "image_pull_s")
        wait_s = emulator.timings.image_pull_s if delay_s is None else float(delay_s)
        wait_s += float(self._fault(pod, "init_delay_s") or 0.0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.stopping.wait(), timeout=wait_s)
        if run.stopping.is_set():
            return False
        fails = self._fault(pod, "image_pull_fails")
        if fails or emulator.images.command(image, pod.config["args"]) is None:
            log.write(SYSTEM, f"error pulling image: manifest for {image} not found: manifest unknown")
            self._fail(pod)
            return False
        return True

    async def _run(self, pod: Pod, run: _Run) -> None:
        emulator, log = self._emulator, self.log(pod.id)
        log.write(SYSTEM, "start container")
        folder = self._folder(pod)
        (folder / "home").mkdir(mode=0o700, parents=True, exist_ok=True)
        command = emulator.images.command(pod.config["image"], pod.config["args"]) or []
        crash_code = self._fault(pod, "crash_at_start")
        if crash_code is not None:
            command = ["/bin/sh", "-c", f"exit {int(crash_code)}"]
        env = emulator.images.environment(folder / "home", self._environment(pod, run))
        # Before the start: an emulator that dies in between must not leave a process that nobody knows.
        emulator.documents.save("process", pod.id, {"id": pod.id})
        try:
            container = await Container.start(pod.id, command, env, folder, log)
        except (OSError, ValueError) as error:
            log.write(SYSTEM, f"error starting container: {error}")
            self._fail(pod)
            return
        pod.started_at = emulator.clock.now()
        run.usage_ids = self._open_usages(pod)
        self._set_status(pod, PodStatus.RUNNING)
        exited = asyncio.ensure_future(container.wait())
        stopping = asyncio.ensure_future(run.stopping.wait())
        told: int | None = None
        try:
            while not exited.done() and not stopping.done() and told is None:
                await asyncio.wait(
                    [exited, stopping], timeout=emulator.timings.tick_s, return_when=asyncio.FIRST_COMPLETED
                )
                told = self._told_to_end(pod)
            if told is not None:
                container.kill()
            if run.stopping.is_set():
                await container.stop(emulator.timings.stop_grace_s)
            code = await exited if told is None else told
        finally:
            stopping.cancel()
            container.kill()
        log.write(SYSTEM, f"container exited with code {code}")
        if not run.stopping.is_set():
            pod.wants_to_run = False
            self._set_status(pod, PodStatus.EXITED if code == 0 else PodStatus.ERROR)

    def _told_to_end(self, pod: Pod) -> int | None:
        """The code with which a fault ends the pod; with its machine it loses the way back."""
        if self._fault(pod, "host_lost"):
            pod.is_host_lost = True
            return HOST_LOST_CODE
        code = self._fault(pod, "pod_exits")
        return None if code is None else int(code)

    def _fault(self, pod: Pod, knob: str) -> Any:
        return self._emulator.faults.read(knob, pod.id, pod.config["name"], pod.organization)

    def _environment(self, pod: Pod, run: _Run) -> dict[str, str]:
        """The user's variables with ports as they are here, then what the platform injects."""
        emulator, config = self._emulator, pod.config
        run.ports = {int(text.partition("/")[0]): emulator.ports.take() for text in config["ports"]}
        here = {str(private): str(public) for private, public in run.ports.items()}
        env = container_env(config)
        for name in ("PORT", "PORT_HEALTH"):
            if env.get(name) in here:
                env[name] = here[env[name]]
        network = config["mounts"].get("network", [])
        injected = {
            "RUNPOD_POD_ID": pod.id,
            "RUNPOD_POD_HOSTNAME": f"{pod.id}-emulated",
            "RUNPOD_DC_ID": pod.data_center or "",
            "RUNPOD_GPU_COUNT": str(config["gpu"]["count"]) if "gpu" in config else "0",
            **{f"RUNPOD_TCP_PORT_{private}": public for private, public in here.items()},
            **({"RUNPOD_VOLUME_ID": network[0]["volumeId"]} if network else {}),
        }
        keys = emulator.resources[SSH_KEYS].get(pod.organization)
        if config["startSsh"] and keys is not None:
            injected.setdefault("PUBLIC_KEY", "\n".join(keys.body["keys"]))
        everything = {**injected, **env, **{name: injected[name] for name in ("RUNPOD_POD_ID",)}}
        for mount in network:
            everything = emulator.on_volumes(everything, [mount["volumeId"]], mount["path"])
        return everything

    def _open_usages(self, pod: Pod) -> list[str]:
        meter, unit = self._emulator.meter, "gpu" if "gpu" in pod.config else "cpu"
        disk = pod.config["disk"] * DISK_USD_PER_GB_MONTH / SECONDS_PER_MONTH
        return [
            meter.open(pod.organization, POD, pod.id, unit, pod.price_per_hour / 3600),
            meter.open(pod.organization, POD, pod.id, "disk", disk),
        ]

    def _fail(self, pod: Pod) -> None:
        pod.wants_to_run = False
        self._set_status(pod, PodStatus.ERROR)

    def _set_status(self, pod: Pod, status: PodStatus) -> None:
        pod.status = status
        if pod.id in self._emulator.pods:
            self._emulator.save_pod(pod)

    def _folder(self, pod: Pod) -> Path:
        return self._emulator.home / "workers" / pod.id
