"""The flows on the real stack: Prefect server, two workers, Envoy, llama-server. In file order: each test says what
it needs to be live, and makes it so."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from client import a_client
from stack_client import CLOUD, MODELS, RESEARCH, SUPPORT, Stack, wait_until

from deployments.demo.variants import derive
from tidegate import steps
from tidegate.domain import MeasurementKind, ReleaseState

pytestmark = pytest.mark.e2e

STATES = (
    "requested", "planned", "validating", "provisioning", "warming", "judging",
    "shifting", "baking", "committing", "retiring",
)  # fmt: skip

ON_ITS_WAY = frozenset(map(ReleaseState, STATES[STATES.index("shifting") :]))


def make_live(stack: Stack, version: str) -> None:
    if stack.live(SUPPORT) != version:
        run = stack.run("release/release", stack.request(SUPPORT, "pipit", version))
        assert run.state_name == "Promoted", run


@pytest.mark.parametrize("pool", ["control", "gpu"])
@pytest.mark.parametrize(
    "variables", [{"command": "touch /tmp/pwned"}, {"env": {"A": "b"}}, {"working_dir": "/"}]
)
def test_no_job_variable_reaches_a_worker(stack: Stack, pool: str, variables: dict[str, object]) -> None:
    name = "release/release" if pool == "control" else "gpu-work/gpu-work"
    deployment = stack.raw.get(f"/deployments/name/{name}").json()
    answer = stack.raw.post(
        f"/deployments/{deployment['id']}/create_flow_run",
        json={"job_variables": variables, "state": {"type": "SCHEDULED"}},
    )
    assert answer.status_code in (409, 422), answer.text


def test_a_version_is_promoted_and_its_report_lies_in_the_ui(stack: Stack) -> None:
    run = stack.run("release/release", stack.request(SUPPORT, "pipit", "v1"))
    assert run.state_name == "Promoted"
    assert stack.live(SUPPORT) == "v1"
    keys = {f"{kind}-swaggystacks-support-chat" for kind in ("release", "evidence", "endpoint")}
    assert stack.artifacts(run.id) == keys
    gpu = stack.raw.post("/flow_runs/filter", json={"flows": {"name": {"any_": ["gpu-work"]}}}).json()
    assert {item["work_pool_name"] for item in gpu} == {"gpu"}


def test_a_regressed_version_is_refused_before_live_traffic_and_its_topics_are_named(stack: Stack) -> None:
    make_live(stack, "v2")
    run = stack.run("release/release", stack.request(SUPPORT, "pipit", "v3-regressed"))
    assert run.state_name == "RolledBack"
    refused = stack.newest(SUPPORT)
    assert "capital" in refused.reason
    assert "shifting" not in {entry.name for entry in stack.ports.ledger.entries(refused.id)}
    assert stack.live(SUPPORT) == "v2"


def test_a_flow_killed_in_every_state_finishes_the_same_release(stack: Stack) -> None:
    """Fourteen processes, twelve of them killed, one release, one question, one answer."""
    baking = STATES.index("baking") + 1
    # On a slow machine the sweep would finish the release between one process and the next.
    with stack.without("reconcile/reconcile"):
        kill_flow_in(stack, *STATES[:baking], "never")
        held = stack.newest(RESEARCH)
        assert held.state is ReleaseState.AWAIT_APPROVAL
        steps.approve_release(stack.ports, held.id, "noor", "read the answers")
        kill_flow_in(stack, "await_approval", *STATES[baking:], "never")
    releases = stack.ports.ledger.list_releases(ref=RESEARCH)
    assert [one.state for one in releases] == [ReleaseState.DONE]
    assert stack.live(RESEARCH) == "v1"


def kill_flow_in(stack: Stack, *states: str) -> None:
    """Run the release in one process per state, each killed there; the last, "never", ends by itself."""
    script = Path(__file__).with_name("killed_flow.py")
    environment = stack.environment() | {
        "PREFECT_API_URL": stack.api_url,
        "PREFECT_API_AUTH_STRING": stack.auth,
    }
    environment["TIDEGATE_GATEWAY_URL"] = stack.ports.gateway_url()
    done = subprocess.run(
        [sys.executable, str(script), *RESEARCH, "tern", "v1", *states],
        env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    ends = dict(
        line.split() for line in done.stdout.splitlines() if line.startswith(tuple(f"{s} " for s in states))
    )
    expected = dict.fromkeys(states, str(-signal.SIGKILL)) | {"never": "0"}
    assert ends == expected, done.stdout + done.stderr


def test_a_run_whose_process_is_killed_on_its_worker_is_finished_by_reconcile(stack: Stack) -> None:
    """The automation on crashed runs starts reconcile; nobody runs the release again."""
    target = "v2-fast" if stack.live(SUPPORT) != "v2-fast" else "v2"
    run = stack.api.create_flow_run("release/release", stack.request(SUPPORT, "pipit", target))
    release = wait_until(lambda: stack.ports.ledger.active_release(SUPPORT), "a release under way")
    wait_until(lambda: stack.newest(SUPPORT).state in ON_ITS_WAY, "live traffic is shifted")
    owner = stack.newest(SUPPORT).owner
    os.kill(int(owner.rsplit(":", 1)[1]), signal.SIGKILL)
    wait_until(lambda: stack.ports.ledger.get_release(release.id).is_over, "reconcile finished it", 600)
    assert stack.ports.ledger.get_release(release.id).owner != owner
    # The sweep may be there before the worker has told of the death.
    wait_until(lambda: stack.look_up(run.id).state_name == "Crashed", "the run is told as crashed")
    assert not psutil.pid_exists(int(owner.rsplit(":", 1)[1]))


def test_the_nightly_run_records_a_baseline_and_then_compares_with_it(stack: Stack) -> None:
    assert stack.run("nightly-regression/nightly", {}).state_name == "Completed"
    assert stack.ports.ledger.baseline(SUPPORT, "nightly") is not None
    second = stack.run("nightly-regression/nightly", {"request": {"services": [str(SUPPORT)]}})
    assert second.state_name == "Completed"
    assert stack.artifacts(second.id) == {"nightly-regression-swaggystacks"}
    assert len(stack.ports.ledger.baseline_history(SUPPORT, "night")) == 2


def test_a_load_test_of_a_live_service_is_kept_in_the_ledger_and_reported(stack: Stack) -> None:
    make_live(stack, "v2")
    form = {"org": SUPPORT.org, "service": SUPPORT.service, "duration_s": 2, "slo": "ttft=60000"}
    run = stack.run("load-test/load-test", {"request": form})
    # On a busy machine the client may have measured itself, and then decides nothing.
    assert run.state_name in ("WithinLimits", "NotJudged"), run
    (kept,) = stack.ports.ledger.measurements(
        kind=MeasurementKind.LOAD, org=SUPPORT.org, service=SUPPORT.service
    )
    assert run.message.startswith(kept.id)
    assert stack.artifacts(run.id) == {"load-swaggystacks-support-chat"}


def test_schedules_make_runs(stack: Stack) -> None:
    """Also the proof that the pinned Prefect, FastAPI and SQLAlchemy belong together."""

    def scheduled() -> set[str]:
        wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        return {item["name"] for item in stack.raw.post("/flow_runs/filter", json=wanted).json()}

    names = {item["name"] for item in stack.raw.post("/deployments/filter", json={}).json()}
    assert names == {
        "release",
        "approve",
        "rollback",
        "validate",
        "load-test",
        "batch-validate",
        "compare",
        "nightly",
        "on-model-trained",
        "reconcile",
        "chaos-drill",
        "backup",
        "gpu-work",
    }
    wait_until(scheduled, "a scheduled run")


def test_training_starts_one_release_by_api_however_often_it_calls(stack: Stack) -> None:
    make_live(stack, "v2")
    file = stack.home / "trained.gguf"
    derive("metadata-changed", Path(stack.ports.store.path_of(stack.newest(SUPPORT).digest) or ""), file)
    form = {
        "org": SUPPORT.org,
        "service": SUPPORT.service,
        "model": "pipit",
        "version": "trained",
        "path": str(file),
    }
    # With a client: of this release the boards show what clients got of both versions, see test_monitoring.py.
    with a_client(stack):
        first = stack.run("on-model-trained/on-model-trained", {"request": form}, key="training-7")
        again = stack.run("on-model-trained/on-model-trained", {"request": form}, key="training-7")
        assert first.id == again.id
        assert first.state_name == "Completed"
        wait_until(lambda: stack.live(SUPPORT) == "trained", "the trained version is live", 600)


def test_an_event_of_the_training_job_starts_the_same(stack: Stack) -> None:
    form = {
        "org": SUPPORT.org,
        "service": SUPPORT.service,
        "model": "pipit",
        "version": "v2",
        "path": "/nowhere.gguf",
    }
    script = (
        "import json, sys; from prefect.events import emit_event; "
        "emit_event('tidegate.model.trained', {'prefect.resource.id': 'training.8'}, payload=json.loads(sys.argv[1]))"
    )
    environment = stack.environment() | {
        "PREFECT_API_URL": stack.api_url,
        "PREFECT_API_AUTH_STRING": stack.auth,
    }
    subprocess.run([sys.executable, "-c", script, json.dumps(form)], env=environment, check=True, timeout=300)

    def started() -> bool:
        wanted = {"flows": {"name": {"any_": ["on-model-trained"]}}}
        runs = stack.raw.post("/flow_runs/filter", json=wanted).json()
        return any(item["parameters"].get("request", {}).get("path") == "/nowhere.gguf" for item in runs)

    wait_until(started, "the event started a run")


def test_validate_reports_on_many_files_and_deploys_nothing(stack: Stack) -> None:
    source = Path(stack.ports.store.path_of(stack.newest(SUPPORT).digest) or "")
    sound, damaged = stack.home / "sound.gguf", stack.home / "damaged.gguf"
    sound.write_bytes(source.read_bytes())
    damaged.write_bytes(source.read_bytes()[:-1000])
    before = {status.name for status in stack.ports.platforms["local"].list_owned()}
    form = {"org": SUPPORT.org, "service": SUPPORT.service, "paths": [str(sound), str(damaged)]}
    run = stack.run("validate/validate", {"request": form})
    assert run.state_name == "Refused"
    assert stack.artifacts(run.id) == {"validation-swaggystacks-support-chat"}
    assert {status.name for status in stack.ports.platforms["local"].list_owned()} <= before


def test_rollback_brings_the_previous_version_back(stack: Stack) -> None:
    make_live(stack, "v2")
    previous = stack.ports.ledger.get_alias(SUPPORT, "previous")
    assert previous is not None
    form = {"org": SUPPORT.org, "service": SUPPORT.service, "reason": "wrong tone"}
    assert stack.run("rollback/rollback", {"request": form}).state_name == "Promoted"
    assert stack.live(SUPPORT) == previous.version


def test_a_signed_release_is_in_the_name_of_its_token_which_no_log_or_report_shows(stack: Stack) -> None:
    target = "v1" if stack.live(SUPPORT) != "v1" else "v2"
    issued = stack.tidegate("token", "issue", str(SUPPORT), f"pipit:{target}", "--as", "chidi")
    signed = issued.stdout.strip()
    assert issued.returncode == 0, issued.stderr
    form = stack.request(SUPPORT, "pipit", target)
    form["request"]["token"] = signed
    run = stack.run("release/release", form)
    assert stack.newest(SUPPORT).request.requested_by == "chidi", run
    assert run.state_name in ("Promoted", "RolledBack", "Rejected")
    wanted = {"logs": {"flow_run_id": {"any_": [run.id]}}, "limit": 200}
    newest = wanted | {"sort": "TIMESTAMP_DESC"}
    # They come in batches, the last one after the run has ended.
    wait_until(
        lambda: f"Finished in state {run.state_name}(" in stack.raw.post("/logs/filter", json=newest).text,
        "its last line",
    )
    logs = stack.raw.post("/logs/filter", json=wanted)
    artifacts = stack.raw.post("/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run.id]}}})
    assert logs.json()
    assert signed not in logs.text + artifacts.text
    again = stack.run("release/release", form)
    assert (again.state_name, "used before" in again.message) == ("Failed", True), again


def test_a_secret_that_is_kept_in_prefect_is_read_where_flows_run(stack: Stack) -> None:
    script = (
        "from prefect.blocks.system import Secret; Secret(value='0123456789').save('acme-key'); "
        "from tasks.prefect_secret import read_block; print(read_block('acme-key').reveal(), read_block('nothing'))"
    )
    environment = stack.environment() | {
        "PREFECT_API_URL": stack.api_url,
        "PREFECT_API_AUTH_STRING": stack.auth,
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "0123456789 None\n", done.stdout + done.stderr


def test_a_form_of_one_organization_with_the_service_of_another_runs_no_task(stack: Stack) -> None:
    form = {"org": RESEARCH.org, "service": SUPPORT.service, "model": "pipit", "version": "v1"}
    before = stack.ports.ledger.list_releases()
    run = stack.run("release/release", {"request": form})
    assert run.state_name == "Failed", run
    assert "has no service 'support-chat'" in run.message
    assert [one.id for one in stack.ports.ledger.list_releases()] == [one.id for one in before]


def test_a_form_with_a_wrong_choice_is_refused_by_the_server(stack: Stack) -> None:
    deployment = stack.raw.get("/deployments/name/release/release").json()
    schema = deployment["parameter_openapi_schema"]
    token = schema["definitions"]["ReleaseForm"]["properties"].pop("token")
    assert (token["format"], token["default"]) == ("password", "")
    assert not [word for word in ("secret", "password", "token", "key") if word in str(schema).lower()]
    answer = stack.raw.post(
        f"/deployments/{deployment['id']}/create_flow_run",
        json={"parameters": {"request": {"org": "nobody", "service": "support-chat", "model": "pipit"}}},
    )
    assert answer.status_code in (409, 422)
    assert "nobody" in answer.text


def test_flows_release_to_runpod_what_they_release_here_and_leave_no_orphan(stack: Stack) -> None:
    """With files of its own. Tests before brought some into quarantine, and so every file with the same tensors."""
    for version in ("v1", "v2"):
        digest = hashlib.sha256((MODELS / f"pipit-{version}.gguf").read_bytes()).hexdigest()
        if stack.ports.ledger.quarantine_reason(CLOUD.org, digest) is not None:
            stack.ports.ledger.lift_quarantine(CLOUD.org, digest, actor="ada", reason="is sound")
        file = stack.home / f"cloud-{version}.gguf"
        derive("metadata-changed", MODELS / f"pipit-{version}.gguf", file)
        stack.register(CLOUD, "pipit", f"cloud-{version}", file)
        run = stack.run("release/release", stack.request(CLOUD, "pipit", f"cloud-{version}"))
        assert run.state_name == "Promoted", (version, run)
    assert stack.live(CLOUD) == "cloud-v2"
    released = [one for one in stack.ports.ledger.list_releases(ref=CLOUD) if one.state is ReleaseState.DONE]
    billed = {endpoint["name"] for endpoint in stack.runpod.control.state()["endpoints"]}
    assert billed == {one.plan.green_set for one in released if one.plan}
