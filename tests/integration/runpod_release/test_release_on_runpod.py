"""Whole releases on the emulator of RunPod: real client, real workers and engines, real Envoy, real ledger.

The way of a release is the same as on the local platform; what differs is one block in the organization's file,
two URLs and a key.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tidegate import steps, wiring
from tidegate.benchmark.traffic import TrafficClient
from tidegate.cli.services import costs
from tidegate.domain import Gate, Release, ReleaseRequest, ReleaseState, Secret, ServiceRef, Verdict
from tidegate.engines.llama_server import find_binary
from tidegate.platforms.runpod import RunPodPlatform
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.stack.port_choice import choose_ports
from tidegate.steps import Ports
from tidegate.steps.reporting import release_markdown

SUPPORT = ServiceRef("swaggystacks", "support-chat")
ON_PODS = ServiceRef("swaggystacks", "pod-chat")
KEY_VARIABLE = "TIDEGATE_SECRET_RUNPOD_KEY"
MODELS = SOURCE_ROOT / "deployments" / "demo" / "models"
PROMPTS = ["What is the capital of France?", "What is 2 plus 3?"]

# How fast sets are beside each other is no matter of these tests: on a busy machine live traffic does not decide it in time.
ON_A_BUSY_MACHINE = {
    "shift": {"step_deadline_s": 300},
    "live": {"metrics": {"ttft_p50": None, "itl_p50": None}},
    "deadlines": {"provision_s": 300, "warm_s": 120},
}


@pytest.fixture(scope="module")
def runpod() -> Iterator[MockRunPodEnvironment]:
    worker_env = {"TIDEGATE_ENGINE_BIN_DIR": str(find_binary("llama-server").parent)}
    with MockRunPodEnvironment(worker_env=worker_env, timings={"image_pull_s": 0.05}) as running:
        yield running


def organizations_on_runpod(folder: Path) -> Path:
    """The demo's organizations, of which SwaggyStacks' service runs its sets on RunPod."""
    for name in ("policies", "demo"):
        (folder / name).symlink_to(SOURCE_ROOT / "deployments" / name)
    (folder / "organizations").mkdir()
    for file in (SOURCE_ROOT / "deployments" / "organizations").glob("*.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        if content["name"] == SUPPORT.org:
            content["credentials"]["runpod"] = "runpod-key"
            content["services"][SUPPORT.service] |= {
                "platform": "runpod",
                "policy": ON_A_BUSY_MACHINE,
                "runpod": {
                    "image": "registry.example/tidegate-worker:1.0.0",
                    "model_url": "file://{path}",
                    "max_workers": 1,
                    "max_price_per_hour_usd": 1.0,
                },
            }
            content["services"][ON_PODS.service] = on_pods(content["services"][SUPPORT.service])
        (folder / "organizations" / file.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def on_pods(service: dict[str, Any]) -> dict[str, Any]:
    """The same service on pods, which keeps no set of an earlier version."""
    runpod = {
        "kind": "pod",
        **{name: service["runpod"][name] for name in ("image", "model_url", "max_price_per_hour_usd")},
    }
    shift = ON_A_BUSY_MACHINE["shift"] | {"ladder": [50, 100], "bake_s": 0.5, "keep_previous": 0}
    policy = ON_A_BUSY_MACHINE | {"shift": shift, "budget": {"max_sets": 8}}
    return service | {"runpod": runpod, "policy": policy}


class Installation:
    """One home with a gateway, against the emulator."""

    def __init__(self, home: Path, runpod: MockRunPodEnvironment):
        home.mkdir(parents=True)
        (home / "deployments").mkdir()
        self.runpod = runpod
        self.settings = Settings(
            home=home,
            ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
            deployments_dir=organizations_on_runpod(home / "deployments"),
            runtime_dir=home / "run",
            runpod_api_url=runpod.api_url,
            runpod_data_url=runpod.data_url,
        )
        port = choose_ports(home, {"gateway": 18080}, "127.0.0.1")["gateway"]
        self.url = f"http://127.0.0.1:{port}"
        self.stop = threading.Event()
        self.thread = threading.Thread(
            target=lambda: wiring.run_gateway_agent(self.settings, self.stop, port=port)
        )
        self.thread.start()
        self.ports = self.load()
        for version, file in (("v1", "pipit-v1"), ("v2", "pipit-v2"), ("v3", "pipit-v3-regressed")):
            steps.register_model(self.ports, SUPPORT.org, "pipit", version, MODELS / f"{file}.gguf")

    def load(self) -> Ports:
        ports = wiring.load(self.settings)
        ports.gateway_url = lambda: self.url
        wiring.provision_secrets(ports)
        return ports

    def release(self, version: str, ref: ServiceRef = SUPPORT) -> Release:
        request = ReleaseRequest(
            org=ref.org, service=ref.service, model="pipit", version=version, requested_by="ada"
        )
        wish = steps.request_release(self.ports, request)
        steps.resume(self.ports, wish.id)
        return self.ports.ledger.get_release(wish.id)

    def endpoints(self) -> set[str]:
        """Names of what an account would be billed for."""
        return {endpoint["name"] for endpoint in self.runpod.control.state()["endpoints"]}

    def pods(self) -> set[str]:
        return {pod["name"] for pod in self.runpod.control.state()["pods"]}

    def sets_of(self, *releases: Release) -> set[str]:
        return {release.plan.green_set for release in releases if release.plan}

    def end(self) -> None:
        self.stop.set()
        self.thread.join(90)
        platform = self.ports.platforms["runpod"]
        assert isinstance(platform, RunPodPlatform)
        for status in platform.list_owned():
            platform.delete(status.name)
        platform.close()


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, runpod: MockRunPodEnvironment
) -> Iterator[Installation]:
    os.environ[KEY_VARIABLE] = runpod.key(SUPPORT.org).reveal()
    made = Installation(tmp_path_factory.mktemp("rp") / "home", runpod)
    yield made
    made.end()
    del os.environ[KEY_VARIABLE]


def test_releases_on_runpod_cost_clients_nothing_and_leave_only_what_is_owned(
    installation: Installation,
) -> None:
    """One story, because each part starts where the former ended: live, promoted, refused, and a lost create."""
    first = installation.release("v1")
    assert first.state is ReleaseState.DONE, first.reason
    assert installation.endpoints() == installation.sets_of(first)

    key = installation.ports.secrets.get(f"org-{SUPPORT.org}-api-key")
    assert key is not None
    client = TrafficClient(f"{installation.url}/{SUPPORT}/v1", key, PROMPTS, rate_per_s=15)
    client.start()
    try:
        # The reply of the create is lost after it took effect: found by its name, not made twice.
        installation.runpod.faults.set("create_reply_lost", count=1)
        second = installation.release("v2")
        assert second.state is ReleaseState.DONE, second.reason
        assert installation.endpoints() == installation.sets_of(first, second)

        refused = installation.release("v3")
        assert refused.state is ReleaseState.ROLLED_BACK, refused.reason
        rows = installation.ports.ledger.evidence(refused.id, Gate.QUALITY)
        assert "quality.topics" in {row.check for row in rows if row.verdict is Verdict.FAIL}
        assert installation.endpoints() == installation.sets_of(first, second)
    finally:
        over = client.stop()
    assert (over.failed, over.truncated) == (0, 0), over.failures
    assert over.ok > 100


def test_a_release_on_pods_replaces_the_one_before_and_nobody_else_gets_in(
    installation: Installation,
) -> None:
    first = installation.release("v1", ON_PODS)
    assert first.state is ReleaseState.DONE, first.reason
    assert installation.pods() == installation.sets_of(first)

    key = installation.ports.secrets.get(f"org-{ON_PODS.org}-api-key")
    assert key is not None
    client = TrafficClient(f"{installation.url}/{ON_PODS}/v1", key, PROMPTS, rate_per_s=15)
    client.start()
    try:
        second = installation.release("v2", ON_PODS)
    finally:
        over = client.stop()

    assert second.state is ReleaseState.DONE, second.reason
    assert (over.failed, over.truncated) == (0, 0), over.failures
    assert over.ok > 30
    assert installation.pods() == installation.sets_of(second), "the old one is gone"
    route = installation.ports.ledger.get_route(ON_PODS)
    assert route is not None
    [upstream] = route.upstreams
    assert upstream.credential is not None
    engine_key = wiring.platform_credential(installation.ports, ON_PODS.org, upstream.credential)
    assert engine_key is not None
    # The address is public: without the gateway's key there is no way in, and with it there is.
    url = f"http://{upstream.host}:{upstream.port}{upstream.path_prefix}/v1/models"
    assert httpx.get(url, timeout=60).status_code == 401
    assert httpx.get(url, headers={"Authorization": f"Bearer {key.reveal()}"}, timeout=60).status_code == 401
    assert (
        httpx.get(url, headers={"Authorization": f"Bearer {engine_key.reveal()}"}, timeout=60).status_code
        == 200
    )
    # What it costs is told: the old pod's share too, and nothing for those on their own machines.
    [cost] = costs(installation.ports)
    assert (cost["org"], cost["monthly_budget_usd"]) == (ON_PODS.org, 200)
    assert cost["usd_per_hour"] > 0.1
    assert cost["month"]["billed_usd"] + cost["month"]["not_billed_yet_usd"] > 0
    assert "| cost |" in release_markdown(installation.ports, first.id)
    assert "| cost |" in release_markdown(installation.ports, second.id)
    # Another organization's gateway credential is not given out for it.
    assert wiring.platform_credential(installation.ports, "scientiacapital", upstream.credential) is None


def test_without_capacity_a_release_is_parked_and_costs_nothing(installation: Installation) -> None:
    before = installation.endpoints()
    installation.runpod.faults.set("capacity_400")
    try:
        steps.register_model(installation.ports, SUPPORT.org, "pipit", "fast", MODELS / "pipit-v2-fast.gguf")
        parked = installation.release("fast")
        assert parked.state is ReleaseState.PARKED, parked.reason
        assert installation.endpoints() == before
    finally:
        installation.runpod.faults.clear()
        steps.stop_release(installation.ports, parked.id, "ada", "the test is over")
        steps.resume(installation.ports, parked.id)


def test_a_rotated_key_is_used_without_a_restart(installation: Installation) -> None:
    """The key of the account is replaced where it is kept, and the old one is revoked at RunPod."""
    platform = installation.ports.platforms["runpod"]
    before = {status.name: status.state for status in platform.list_owned()}
    old = Secret(os.environ[KEY_VARIABLE])
    new = installation.runpod.control.add_key(SUPPORT.org, ["api:read", "api:write", "serverless"])

    os.environ[KEY_VARIABLE] = new.reveal()
    installation.runpod.control.revoke_key(old)

    assert {status.name: status.state for status in platform.list_owned()} == before
    platform.verify_credential(SUPPORT.org, installation.ports.secrets.get("runpod-key"))


def test_doctor_asks_runpod_what_an_organization_lacks(installation: Installation) -> None:
    def findings(expected: int) -> dict[str, dict[str, str]]:
        environment = os.environ | {
            "TIDEGATE_HOME": str(installation.settings.home),
            "TIDEGATE_DEPLOYMENTS_DIR": str(installation.settings.deployments_dir),
            "TIDEGATE_RUNPOD_API_URL": installation.runpod.api_url,
            "TIDEGATE_RUNPOD_DATA_URL": installation.runpod.data_url,
        }
        done = subprocess.run(
            [sys.executable, "-m", "tidegate.cli", "doctor", "--org", SUPPORT.org, "--json"],
            env=environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == expected, done.stdout + done.stderr
        assert os.environ[KEY_VARIABLE] not in done.stdout + done.stderr
        return {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}

    sound = findings(0)
    assert sound["credential for runpod"]["level"] == "ok"
    assert "USD/h" in sound[f"{SUPPORT} GPUs"]["text"]
    assert "(community)" in sound[f"{ON_PODS} GPUs"]["text"], "a pod is one machine, of a cloud"

    installation.runpod.faults.set("balance_usd", 0.01)
    installation.runpod.faults.set("stock_out")
    try:
        broke = findings(1)
    finally:
        installation.runpod.faults.clear()
    assert broke[f"{SUPPORT} GPUs"]["level"] == "problem"
    assert broke[f"{SUPPORT} GPUs"]["remedy"]

    installation.runpod.faults.set("control_401")
    try:
        refused = findings(1)
    finally:
        installation.runpod.faults.clear()
    assert refused["credential for runpod"]["level"] == "problem"
    assert "runpod-key" in refused["credential for runpod"]["text"], "the name of the secret, never its value"
