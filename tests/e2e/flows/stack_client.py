"""The running embedded stack, as its callers see it: Prefect's API, the ledger, the command line."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tidegate import steps, wiring
from tidegate.access import PREFECT_AUTH
from tidegate.domain import Release, ServiceRef
from tidegate.engines.llama_server import find_binary
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.stack.launching import running_stack
from tidegate.stack.prefect_api import PrefectApi

MODELS = SOURCE_ROOT / "deployments" / "demo" / "models"
SUPPORT = ServiceRef("swaggystacks", "support-chat")
RESEARCH = ServiceRef("scientiacapital", "research-desk")
CLOUD = ServiceRef("swaggystacks", "cloud-chat")
RUN_TIMEOUT_S = 600.0
PATIENT: dict[str, Any] = {
    "validation": {
        "latency": {"min_tokens_per_second": 0.1, "optimal_tokens_per_second": 0.2, "max_slowdown": 1000.0}
    },
    "performance": {
        "metrics": {"ttft_p50": {"max_slowdown": 10, "floor_ms": 5000}, "itl_p50": None, "ttft_p95": None},
        "limits": {"max_ttft_p95_ms": 60_000, "min_tokens_per_second": 0.1},
        "budget": {"max_seconds": 600},
    },
    "shift": {"step_deadline_s": 600},
    "live": {"metrics": {"stalls": None, "ttft_p50": None, "itl_p50": None}},
    "deadlines": {"provision_s": 300, "warm_s": 300, "rollback_wait_s": 300},
}
"""Over the demo's policies: flows are looked at here, not speed, and other tests keep this machine busy."""


def emulated_runpod() -> MockRunPodEnvironment:
    """Its workers run this installation's engine."""
    worker_env = {"TIDEGATE_ENGINE_BIN_DIR": str(find_binary("llama-server").parent)}
    return MockRunPodEnvironment(worker_env=worker_env, timings={"image_pull_s": 0.05})


def with_a_service_on_runpod(folder: Path) -> Path:
    """The demo's organizations with patient policies, of which SwaggyStacks has one service more, `cloud-chat`."""
    for name in ("pools", "demo"):
        (folder / name).symlink_to(SOURCE_ROOT / "deployments" / name)
    (folder / "policies").mkdir()
    for file in (SOURCE_ROOT / "deployments" / "policies").glob("*.yaml"):
        policy = merged(yaml.safe_load(file.read_text(encoding="utf-8")), PATIENT)
        (folder / "policies" / file.name).write_text(yaml.safe_dump(policy), encoding="utf-8")
    (folder / "organizations").mkdir()
    for file in (SOURCE_ROOT / "deployments" / "organizations").glob("*.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        if content["name"] == CLOUD.org:
            content["credentials"]["runpod"] = "env:RUNPOD_KEY"
            content["services"][CLOUD.service] = content["services"][SUPPORT.service] | {
                "platform": "runpod",
                "runpod": {
                    "image": "registry.example/tidegate-worker:1.0.0",
                    "model_url": "file://{path}",
                    "max_workers": 1,
                    "max_price_per_hour_usd": 1.0,
                },
            }
        (folder / "organizations" / file.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def merged(policy: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The policy with these values in the place of its own."""
    deep = {
        name: merged(policy.get(name) or {}, value)
        for name, value in changes.items()
        if isinstance(value, dict)
    }
    return policy | changes | deep


@dataclass(frozen=True)
class Run:
    """A flow run as the Prefect UI names it."""

    id: str
    state_name: str
    message: str


class Stack:
    """One home; `up` and `down` are the user's commands. One of its services runs on an emulated RunPod."""

    def __init__(self, home: Path, runpod: MockRunPodEnvironment):
        self.home = home
        self.runpod = runpod
        deployments = home.with_name("deployments")
        deployments.mkdir()
        self.deployments = with_a_service_on_runpod(deployments)

    def tidegate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidegate.cli", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        foreign = ("PREFECT_", "TIDEGATE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return kept | {
            "TIDEGATE_HOME": str(self.home),
            "TIDEGATE_DEPLOYMENTS_DIR": str(self.deployments),
            "TIDEGATE_RUNPOD_API_URL": self.runpod.api_url,
            "TIDEGATE_RUNPOD_DATA_URL": self.runpod.data_url,
            "RUNPOD_KEY": self.runpod.key(CLOUD.org).reveal(),
            "PYTHONPATH": str(SOURCE_ROOT),
            "COLUMNS": "200",
        }

    def connect(self) -> None:
        """Open the ledger and the API of the stack that is up."""
        record = running_stack(self.home)
        assert record is not None
        self.settings = Settings(
            home=self.home,
            ledger_url=f"sqlite:///{self.home / 'ledger.sqlite3'}",
            deployments_dir=self.deployments,
            runtime_dir=self.home / "run",
            runpod_api_url=self.runpod.api_url,
            runpod_data_url=self.runpod.data_url,
        )
        self.ports = wiring.load(self.settings)
        auth = self.ports.secrets.get(PREFECT_AUTH)
        assert auth is not None
        self.api_url = f"{record.urls['prefect']}/api"
        self.api = PrefectApi(self.api_url, auth)
        user, _, word = auth.reveal().partition(":")
        # A connection is not kept: a busy server closes one that waits, just when the next request is sent.
        self.raw = httpx.Client(
            base_url=self.api_url,
            auth=(user, word),
            timeout=30,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self.auth = auth.reveal()

    def close(self) -> None:
        if hasattr(self, "raw"):
            self.raw.close()
            self.api.__exit__(None, None, None)

    def register(self, ref: ServiceRef, model: str, version: str, file: Path | None = None) -> None:
        path = file or MODELS / f"{model}-{version}.gguf"
        steps.register_model(self.ports, ref.org, model, version, path)

    def request(self, ref: ServiceRef, model: str, version: str) -> dict[str, Any]:
        return {"request": {"org": ref.org, "service": ref.service, "model": model, "version": version}}

    def run(self, deployment: str, parameters: dict[str, Any], key: str | None = None) -> Run:
        """Start a deployment and wait for the end of its run."""
        run = self.api.create_flow_run(deployment, parameters, idempotency_key=key)
        self.api.wait(run.id, RUN_TIMEOUT_S, poll_s=0.2)
        return self.look_up(run.id)

    def look_up(self, run_id: str) -> Run:
        found = self.raw.get(f"/flow_runs/{run_id}").json()
        return Run(run_id, found["state_name"], found["state"]["message"] or "")

    def newest(self, ref: ServiceRef) -> Release:
        return self.ports.ledger.list_releases(ref=ref, limit=1)[0]

    @contextmanager
    def without(self, deployment: str) -> Generator[None]:
        """While this lasts no schedule and no event starts the deployment, and none of its runs is under way."""
        found = self.raw.get(f"/deployments/name/{deployment}").json()["id"]
        busy = {
            "deployments": {"id": {"any_": [found]}},
            "flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}},
        }
        self.raw.post(f"/deployments/{found}/pause_deployment").raise_for_status()
        try:
            wait_until(lambda: self.raw.post("/flow_runs/filter", json=busy).json() == [], "it is at rest")
            yield
        finally:
            self.raw.post(f"/deployments/{found}/resume_deployment").raise_for_status()

    def artifacts(self, run_id: str) -> set[str]:
        """Keys of the artifacts that a flow run left."""
        found = self.raw.post("/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run_id]}}})
        return {item["key"] for item in found.json()}

    def live(self, ref: ServiceRef) -> str | None:
        """The version with all the traffic."""
        route = self.ports.ledger.get_route(ref)
        for upstream in route.upstreams if route else ():
            if route and route.weights[upstream.set_name] == 100:
                version = self.ports.ledger.version_by_digest(ref.org, upstream.digest)
                return version.version if version else None
        return None


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 300.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
