"""Sets on the emulator of RunPod: the real client, the real worker, the real engine, and faults on demand."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.platforms.watching import until
from tidegate.domain import EngineKeys, Resource, RunPodServiceConfig, Secret, ServiceRef, SetSpec, set_name
from tidegate.engines.llama_server import find_binary
from tidegate.platforms.runpod import Allowance, OrganizationSets, RunPodClient, RunPodPlatform, Tenant
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.remembering import Freshness
from tidegate.platforms.runpod.removal import Patience
from tidegate.platforms.runpod.transport import Retries

MODEL = Path(__file__).parents[4] / "deployments" / "demo" / "models" / "pipit-v2.gguf"
ORG, OTHER = "swaggystacks", "scientiacapital"
SERVICE = "support-chat"
# Tests look often; what is told must be no older than a blink.
ENGINE_KEYS = EngineKeys.parse(Secret("k1 " + "engine-root-of-tests-" + "x" * 32))
FRESH = Freshness(
    starting_s=0.1, ready_s=0.1, proof_s=0.05, queue_proof_s=0.5, log_s=0.2, log_after_s=0.0, log_quiet_s=0.1
)
QUICK = Retries(first_s=0.05, longest_s=0.2)
HURRY = Patience(drain_s=20.0, gone_s=5.0)


def engines_of(runpod: MockRunPodEnvironment) -> list[psutil.Process]:
    """Every llama-server below the emulator that serves a model; workers also ask it for its version."""
    found: list[psutil.Process] = []
    for process in psutil.Process(runpod.pid).children(recursive=True):
        try:
            if process.name() == "llama-server" and "--model" in process.cmdline():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


@dataclass
class Account:
    """One organization's platform, and the emulator behind it."""

    runpod: MockRunPodEnvironment
    kind: str = "load_balancer"
    clients: list[RunPodClient] = field(default_factory=list[RunPodClient])
    resources: list[Resource] = field(default_factory=list[Resource])
    skew_s: float = 0.0
    allowance: Allowance = field(default_factory=Allowance)

    def config(self, **changes: Any) -> RunPodServiceConfig:
        one = {} if self.kind == "pod" else {"max_workers": 1}
        return RunPodServiceConfig.model_validate(
            {
                "kind": self.kind,
                "image": "example.com/tidegate-worker@sha256:1",
                "model_url": "file://{path}",
                "init_timeout_s": 60,
                **one,
                **changes,
            }
        )

    def client(self, org: str = ORG) -> RunPodClient:
        made = self.connect(self.runpod.key(org))
        self.clients.append(made)
        return made

    def connect(self, key: Secret) -> RunPodClient:
        return RunPodClient(self.runpod.api_url, self.runpod.data_url, key, retries=QUICK)

    def platform(self, org: str = ORG, **changes: Any) -> RunPodPlatform:
        """Another process of ours would have its own one, with a memory of its own."""
        tenant = Tenant(
            org,
            f"runpod-key-{org}",
            {SERVICE: self.config(**changes)},
            self.allowance,
            funded_hours=Decimal(1),
            remember=self.resources.append,
            engine_keys=lambda is_made: ENGINE_KEYS,
        )
        pace = Pace(now=lambda: time.monotonic() + self.skew_s)
        sets = OrganizationSets(
            tenant,
            self.client(org),
            memory_of=lambda spec: spec.max_memory_bytes,
            freshness=FRESH,
            patience=HURRY,
            pace=pace,
        )
        return RunPodPlatform(
            {org: sets},
            self.connect,
            pace=pace,
            clock=lambda: datetime.now(UTC),
        )

    def endpoints(self) -> list[dict[str, Any]]:
        return self.runpod.control.state()["endpoints"]

    def pods(self) -> list[dict[str, Any]]:
        """Those that are paid for or could be started again."""
        return self.runpod.control.state()["pods"]

    def engines(self) -> list[psutil.Process]:
        return engines_of(self.runpod)

    def kill_engines(self) -> None:
        for process in self.engines():
            process.kill()


@pytest.fixture(scope="session")
def emulator() -> Iterator[MockRunPodEnvironment]:
    environment = {
        "TIDEGATE_ENGINE_BIN_DIR": str(find_binary("llama-server").parent),
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
    }
    quick = {"take_hold_s": 1.0, "stop_hold_s": 1.0, "restart_backoff_s": 0.05, "restart_backoff_cap_s": 0.1}
    with MockRunPodEnvironment(
        organizations=(ORG, OTHER), worker_env=environment, timings={**quick, "image_pull_s": 0.05}
    ) as running:
        yield running


@pytest.fixture
def runpod(emulator: MockRunPodEnvironment) -> Iterator[MockRunPodEnvironment]:
    """The emulator without faults; whatever a test leaves is removed."""
    yield emulator
    emulator.faults.clear()
    for org in (ORG, OTHER):
        with RunPodClient(emulator.api_url, emulator.data_url, emulator.key(org)) as client:
            for endpoint in client.control.list_endpoints():
                client.control.delete_endpoint(endpoint.id)
            for pod in client.control.list_pods():
                client.control.delete_pod(pod.id)
    # A worker is off the books as soon as it is told to end; the next test counts engines.
    until(lambda: not emulator.control.state()["workers"] and not engines_of(emulator))


@pytest.fixture
def account(runpod: MockRunPodEnvironment) -> Iterator[Account]:
    made = Account(runpod)
    yield made
    for client in made.clients:
        client.close()


@pytest.fixture
def make_spec() -> Callable[..., SetSpec]:
    def make(
        path: Path = MODEL, *, release: str = "r1", digest: str | None = None, org: str = ORG
    ) -> SetSpec:
        found = digest or hashlib.sha256(path.read_bytes()).hexdigest()
        ref = ServiceRef(org, SERVICE)
        return SetSpec(
            name=set_name(ref, found, release),
            org=org,
            service=SERVICE,
            release_id=release,
            digest=found,
            artifact_path=str(path),
            parallel=2,
        )

    return make
