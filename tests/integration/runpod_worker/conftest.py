"""A Prefect server with a credential, RunPod's emulator, and workers of the type `runpod`: all real processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import psutil
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelling

from deployments.runpod_worker.capacity import AWAITING
from tests.free_port import HOST, free_port
from tests.integration.platforms.watching import until
from tests.integration.runpod_worker.flows_image import assemble
from tidegate.domain import Secret
from tidegate.platforms.runpod import RunPodClient
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment
from tidegate.platforms.runpod.replies import Pod, PodStatus
from tidegate.platforms.runpod.wire import CreatePod, PodGpu
from tidegate.stack.bootstrap import read_pools
from tidegate.stack.embedded import QUIET_PREFECT
from tidegate.stack.prefect_api import PrefectApi

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ORG = "swaggystacks"
POOL = "gpu-runpod"
AUTH = "tidegate:the-server's-own-password"
IMAGE = "registry.example/tidegate-flows:1"
GPU = "NVIDIA RTX A4000"
START_S = 90.0
RUN_S = 120.0
# Each look asks a server: many more would slow down what they wait for.
LOOK_S = 0.1
Answer = TypeVar("Answer")


def eventually(what: Callable[[], object]) -> None:
    until(what, RUN_S, LOOK_S)


class Worker:
    """`prefect worker start`, as a script in the background starts it: with SIGINT ignored."""

    def __init__(self, name: str, home: Path, environment: dict[str, str]):
        self.name, self._log = name, home / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh"),
                    *(sys.executable, "-m", "prefect", "worker", "start", "--type", "runpod", "--pool", POOL),
                    *("--name", name, "--no-create-pool-if-not-found", "--install-policy", "never"),
                ],
                env=environment,
                cwd=home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: "started!" in self.log() or self.has_ended(), START_S, LOOK_S)
        assert not self.has_ended(), self.log()

    def log(self) -> str:
        return self._log.read_text()

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self, number: signal.Signals) -> int:
        """Its exit code."""
        if not self.has_ended():
            self._process.send_signal(number)
        return self._process.wait(START_S)


class Cloud:
    """What the tests of the worker type look at and act through."""

    def __init__(self, home: Path, image: Path, url: str, runpod: MockRunPodEnvironment):
        self.home, self.image, self.url, self.runpod = home, image, url, runpod
        self.client = RunPodClient(runpod.api_url, runpod.data_url, runpod.key(ORG))
        self.pool_id = self.ask(self._make_pool())
        # A connection is not kept: a busy server closes one that waits, just when the next request is sent.
        self._api = httpx.Client(
            base_url=url,
            auth=httpx.BasicAuth(*AUTH.split(":", 1)),
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=60,
        )
        self._worker: Worker | None = None
        self._started = 0

    def ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run(question)

    def prefect(self) -> PrefectClient:
        return PrefectClient(self.url, auth_string=AUTH)

    def pods(self) -> list[Pod]:
        return self.client.control.list_pods()

    def make_pod(self, name: str) -> Pod:
        """One that no worker has asked for."""
        wanted = CreatePod(
            name=name, image="tidegate-flows", ports=(), gpu=PodGpu(id=GPU), env={"PREFECT_API_URL": "x"}
        )
        return self.client.control.create_pod(wanted)

    def start_run(
        self, flow: str, parameters: dict[str, Any], state: State | None = None, **variables: Any
    ) -> FlowRun:
        """A flow of `pod_flows.py`. Workers take only what is scheduled: not what is in another state from the start."""
        name = flow.replace("_", "-")
        return self.start(name, f"pod_flows.py:{flow}", str(HERE), parameters, variables, state)

    def start(
        self,
        flow: str,
        entrypoint: str,
        path: str | None,
        parameters: dict[str, Any],
        variables: dict[str, Any],
        state: State | None = None,
    ) -> FlowRun:
        async def create() -> FlowRun:
            async with self.prefect() as client:
                flow_id = await client.create_flow_from_name(flow)
                deployment = await client.create_deployment(
                    flow_id,
                    name=flow,
                    work_pool_name=POOL,
                    path=path,
                    entrypoint=entrypoint,
                    parameter_openapi_schema={"type": "object", "properties": {}},
                )
                return await client.create_flow_run_from_deployment(
                    deployment,
                    parameters=parameters,
                    state=state,
                    job_variables={"image": IMAGE, "gpu_types": [GPU], **variables},
                )

        return self.ask(create())

    def run(self, run_id: UUID) -> FlowRun:
        return FlowRun.model_validate(self._api.get(f"/flow_runs/{run_id}").raise_for_status().json())

    def state(self, run_id: UUID) -> State:
        state = self.run(run_id).state
        assert state is not None
        return state

    def until_over(self, run_id: UUID) -> State:
        """How it ended."""
        eventually(lambda: self.state(run_id).is_final())
        return self.state(run_id)

    def until_waiting(self, run_id: UUID) -> State:
        """Until it waits for a GPU."""
        eventually(lambda: self.state(run_id).name == AWAITING)
        return self.state(run_id)

    def until_no_pods(self) -> None:
        eventually(lambda: not self.pods())

    def until_pod(self, status: PodStatus) -> Pod:
        """The only pod, once it is so."""
        eventually(lambda: [pod.status for pod in self.pods()] == [status])
        (pod,) = self.pods()
        return pod

    def cancel(self, run_id: UUID) -> None:
        async def tell() -> None:
            async with self.prefect() as client:
                await client.set_flow_run_state(run_id, Cancelling())

        self.ask(tell())

    def log(self, run_id: UUID) -> str:
        wanted = {"logs": {"flow_run_id": {"any_": [str(run_id)]}}, "sort": "TIMESTAMP_ASC"}
        lines = self._api.post("/logs/filter", json=wanted).raise_for_status().json()
        return "\n".join(line["message"] for line in lines)

    def worker(self) -> "Worker":
        """One that runs: the last test's where it still does."""
        if self._worker is None or self._worker.has_ended():
            self._started += 1
            self._worker = Worker(f"worker-{self._started}", self.home, self.environment())
        return self._worker

    def sweep(self) -> None:
        """As a worker does once a minute."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.runpod_worker.sweeper", POOL],
            env=self.environment() | {"PYTHONPATH": str(ROOT)},
            cwd=self.home,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def close(self) -> None:
        if self._worker is not None:
            self._worker.end(signal.SIGKILL)
        self.client.close()
        self._api.close()

    def access(self) -> dict[str, str]:
        """Where a worker finds RunPod, and the key that it needs there."""
        return {
            "TIDEGATE_RUNPOD_API_URL": self.runpod.api_url,
            "TIDEGATE_RUNPOD_DATA_URL": self.runpod.data_url,
            "TIDEGATE_SECRET_RUNPOD_CREDENTIAL_SWAGGYSTACKS": self.runpod.key(ORG).reveal(),
        }

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TIDEGATE_HOME": str(self.home / "tidegate"),
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_API_AUTH_STRING": AUTH,
            **self.access(),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            **QUIET_PREFECT,
        }

    async def _make_pool(self) -> UUID:
        (pool,) = [one for one in read_pools(ROOT / "deployments" / "pools") if one["name"] == POOL]
        fixed = pool["base_job_template"]["job_configuration"]
        fixed["prefect_auth_secret"] = "prefect-auth"
        with PrefectApi(self.url, Secret(AUTH)) as api:
            api.upsert_work_pool(pool)
        async with self.prefect() as client:
            return (await client.read_work_pool(POOL)).id


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    home = tmp_path_factory.mktemp("cloud")
    secrets = home / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "prefect-auth").write_text(AUTH)
    image = home / "image"
    image.mkdir()
    assemble(image)
    with (
        _prefect_server(home) as url,
        MockRunPodEnvironment(
            images={"tidegate-flows": f"{sys.executable} -m deployments.pod"},
            worker_env={
                "TIDEGATE_EMULATED_SECRETS_DIR": str(secrets),
                "PATH": os.environ["PATH"],
                # The code of the image, before that of this environment.
                "PYTHONPATH": str(image),
            },
        ) as runpod,
    ):
        made = Cloud(home, image, url, runpod)
        yield made
        made.close()


@contextmanager
def _prefect_server(home: Path) -> Iterator[str]:
    port = free_port()
    folder = home / "server"
    folder.mkdir()
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "deployments.prefect_server",
                "start",
                "--host",
                HOST,
                "--port",
                str(port),
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "PREFECT_HOME": str(folder),
                "PREFECT_SERVER_API_AUTH_STRING": AUTH,
                **QUIET_PREFECT,
            },
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://{HOST}:{port}/api"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/health", auth=httpx.BasicAuth(*AUTH.split(":", 1)), timeout=2).is_success
        except httpx.HTTPError:
            return False

    try:
        until(lambda: is_up() or process.poll() is not None, START_S, LOOK_S)
        assert process.poll() is None, (home / "server.log").read_text()
        yield url
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
