"""What a run may ask for, what its pod is told, and what never gets there."""

import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from pydantic import ValidationError

from deployments.runpod_worker.provisioning import PodName, flow_run_of, pod_request
from deployments.runpod_worker.variables import RunPodJobConfiguration, RunPodVariables
from tidegate.domain import InvalidInput
from tidegate.platforms.runpod.replies import Pod
from tidegate.settings import SOURCE_ROOT

POOL = json.loads((SOURCE_ROOT / "deployments" / "pools" / "gpu-runpod.json").read_text())
AUTH = "tidegate:password"
LEAST: dict[str, Any] = {
    "image": "flows:1",
    "gpu_types": ["L4"],
    "credential": "runpod-credential-swaggystacks",
}


def prepared(**wanted: Any) -> RunPodJobConfiguration:
    configuration = RunPodJobConfiguration(**{**LEAST, **wanted})
    configuration.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="a-run"))
    return configuration


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("TIDEGATE_RUNPOD_API_URL", raising=False)
    return temporary_settings({PREFECT_API_URL: "https://prefect.example/api", PREFECT_API_AUTH_STRING: AUTH})


def test_prefect_finds_the_worker_type_by_its_entry_point() -> None:
    seen = _python(
        "from prefect.workers.base import BaseWorker; print(BaseWorker.get_worker_class_from_type('runpod'))"
    )

    assert "RunPodWorker" in seen


def test_prefects_server_does_not_load_it() -> None:
    seen = _python(
        "import sys, prefect, prefect.plugins; prefect.plugins.load_prefect_collections();"
        "print([name for name in sys.modules if name.startswith(('deployments.runpod_worker.w', 'prefect.workers.base'))])"
    )

    assert seen.splitlines()[-1] == "[]"


def test_the_form_and_the_checked_values_have_the_same_fields() -> None:
    assert set(RunPodVariables.model_fields) == set(RunPodJobConfiguration.model_fields)


def test_the_declared_pool_is_locked_and_fixes_who_pays_and_what_starts() -> None:
    template = POOL["base_job_template"]
    fixed, offered = template["job_configuration"], template["variables"]

    assert set(fixed) == set(RunPodJobConfiguration.model_fields)
    assert offered["additionalProperties"] is False
    assert {value for value in fixed.values() if "{{" in str(value)} == {
        f"{{{{ {name} }}}}" for name in offered["properties"]
    }
    for name in ("command", "credential", "prefect_api_url", "prefect_auth_secret", "secret_env"):
        assert name not in offered["properties"]


def test_a_pods_environment_has_a_placeholder_for_the_servers_credential(server: Any) -> None:
    with server:
        env = prepared(prefect_auth_secret="prefect-auth", secret_env={"S3_KEY": "s3"}, env={"A": "1"}).env

    assert env["PREFECT_API_AUTH_STRING"] == "{{ RUNPOD_SECRET_prefect-auth }}"
    assert env["S3_KEY"] == "{{ RUNPOD_SECRET_s3 }}"
    assert (env["A"], env["PREFECT_API_URL"]) == ("1", "https://prefect.example/api")
    assert env["PREFECT__FLOW_RUN_ID"]
    assert env["TIDEGATE_POD_TIMEOUT_S"] == "3600"
    assert AUTH not in str(env)


def test_a_server_with_a_credential_needs_the_name_of_a_secret_for_its_pods(server: Any) -> None:
    with server, pytest.raises(InvalidInput, match="prefect_auth_secret") as refused:
        prepared()

    assert AUTH not in str(refused.value)


def test_pods_on_runpod_are_not_told_to_call_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEGATE_RUNPOD_API_URL", raising=False)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}), pytest.raises(InvalidInput):
        prepared()

    monkeypatch.setenv("TIDEGATE_RUNPOD_API_URL", "http://127.0.0.1:1")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        assert prepared().env["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"


@pytest.mark.parametrize(
    "wanted",
    [
        {"gpu_types": []},
        {"max_usd_per_hour": 0},
        {"volume_gb": 20, "network_volume_id": "v1"},
        {"env": {"PREFECT_API_URL": "https://elsewhere.example"}},
        {"env": {"LD_PRELOAD": "/tmp/x.so"}},
        {"env": {"TIDEGATE_POD_TIMEOUT_S": "999999"}},
        {"secret_env": {"RUNPOD_API_KEY": "mine"}},
        {"secret_env": {"A": "a name }} {{ with more"}},
        {"credential": "rpa_ABCDEF"},
        {"timeout_s": 1},
    ],
)
def test_what_a_run_may_not_ask_for_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunPodJobConfiguration(**{**LEAST, **wanted})


def test_a_pod_is_asked_for_with_what_the_run_wants(server: Any) -> None:
    with server:
        wanted = prepared(
            prefect_auth_secret="a", gpu_count=2, volume_gb=30, data_center_ids=["EU-RO-1"], cloud="COMMUNITY"
        )
    name = PodName(uuid4(), uuid4())

    body = pod_request(name, "L4", wanted).body()

    assert body["name"] == str(name)
    assert body["gpu"] == {"id": "L4", "count": 2}
    assert (body["cloud"], body["dataCenterIds"]) == ("COMMUNITY", ["EU-RO-1"])
    assert body["mounts"] == {"persistent": {"size": 30, "path": "/workspace"}}
    assert body["args"] == "python -m deployments.pod"


def test_a_pods_name_says_whose_it_is() -> None:
    pool, run = uuid4(), uuid4()
    pod = Pod(id="p", name=str(PodName(pool, run)))

    assert flow_run_of(pod, pool) == run
    assert flow_run_of(pod, uuid4()) is None
    assert flow_run_of(Pod(id="p", name=f"tgrun-{pool.hex[:12]}-no-run"), pool) is None


def _python(code: str) -> str:
    """What a Python of its own prints: what is loaded already decides here."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
