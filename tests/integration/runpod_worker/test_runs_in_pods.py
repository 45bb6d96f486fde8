"""Flow runs of a real Prefect server in pods of the emulator, by workers that are started, stopped and killed."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.integration.platforms.watching import until
from tests.integration.runpod_worker.conftest import AUTH, GPU, IMAGE, Cloud
from tidegate import steps, wiring
from tidegate.domain import ServiceRef
from tidegate.platforms.runpod.wire import CreatePod, PodGpu
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.steps.artifacts import check_structure
from tidegate.steps.evaluation import JOB_RESULTS, job_token

pytestmark = [pytest.mark.e2e, pytest.mark.pods]


def test_a_flow_run_becomes_a_pod_that_is_gone_when_it_is_over(cloud: Cloud) -> None:
    with cloud.worker():
        run = cloud.start_run("greet", {"name": "Ada"})
        until(lambda: cloud.run(run.id).infrastructure_pid, 60)
        over = cloud.until_over(run.id)
        until(lambda: not cloud.pods(), 60)

    assert over.state is not None
    assert over.state.is_completed(), (over.state.message, cloud.worker_log())
    # Prefect's log service sends in batches, the last of them after the run is over.
    until(lambda: f"plain output of {over.infrastructure_pid}" in "\n".join(cloud.log(run.id)), 60)
    log = "\n".join(cloud.log(run.id))
    assert log.count("the flow greets Ada") == 1
    assert "start container" in log
    assert AUTH not in log
    assert AUTH not in cloud.worker_log()


def test_a_pods_environment_names_the_servers_credential_and_does_not_hold_it(
    cloud: Cloud, tmp_path: Path
) -> None:
    mark = tmp_path / "go"
    with cloud.worker():
        run = cloud.start_run("wait_for_file", {"path": str(mark)}, env={"MINE": "1"})
        until(Path(f"{mark}.started").exists, 60)
        (pod,) = cloud.pods()
        mark.touch()
        cloud.until_over(run.id)
        until(lambda: not cloud.pods(), 60)

    assert pod.name == f"tgrun-{cloud.pool_id.hex[:12]}-{run.id}"
    assert pod.gpu is not None
    assert pod.gpu.id == GPU
    assert pod.env["PREFECT_API_AUTH_STRING"] == "{{ RUNPOD_SECRET_prefect-auth }}"
    assert pod.env["MINE"] == "1"
    assert AUTH not in str(pod.env)
    assert cloud.runpod.key("swaggystacks").reveal() not in str(pod.env)


def test_a_cancelled_run_leaves_no_pod(cloud: Cloud, tmp_path: Path) -> None:
    mark = tmp_path / "never"
    with cloud.worker():
        run = cloud.start_run("wait_for_file", {"path": str(mark)})
        until(Path(f"{mark}.started").exists, 60)
        cloud.cancel(run.id)
        over = cloud.until_over(run.id)
        until(lambda: not cloud.pods(), 60)

    assert over.state is not None
    assert over.state.is_cancelled()


def test_a_pod_that_dies_makes_its_run_a_crash_and_is_deleted(cloud: Cloud, tmp_path: Path) -> None:
    mark = tmp_path / "never"
    with cloud.worker():
        run = cloud.start_run("wait_for_file", {"path": str(mark)})
        until(Path(f"{mark}.started").exists, 60)
        (pod,) = cloud.pods()
        _kill_container(cloud, pod.id)
        over = cloud.until_over(run.id)
        until(lambda: not cloud.pods(), 60)

    assert over.state is not None
    assert over.state.is_crashed()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_another_worker_takes_over_the_pod_of_one_that_ended(
    cloud: Cloud, tmp_path: Path, number: signal.Signals
) -> None:
    mark = tmp_path / "go"
    with cloud.worker("first") as first:
        run = cloud.start_run("wait_for_file", {"path": str(mark)})
        until(Path(f"{mark}.started").exists, 60)
        (pod,) = cloud.pods()
        first.send_signal(number)
        first.wait(180)

    with cloud.worker("second"):
        until(lambda: f"Taking over pod {pod.id}" in cloud.worker_log("second"), 60)
        assert [one.id for one in cloud.pods()] == [pod.id]
        mark.touch()
        over = cloud.until_over(run.id)
        until(lambda: not cloud.pods(), 60)

    assert over.state is not None
    assert over.state.is_completed()


def test_a_pod_whose_run_is_over_is_swept_and_one_of_somebody_else_is_not(cloud: Cloud) -> None:
    with cloud.worker("one"):
        run = cloud.start_run("greet", {"name": "Bob"})
        cloud.until_over(run.id)
        until(lambda: not cloud.pods(), 60)
    forgotten, foreign = (
        cloud.client.control.create_pod(
            CreatePod(
                name=name, image="tidegate-flows", ports=(), gpu=PodGpu(id=GPU), env={"PREFECT_API_URL": "x"}
            )
        )
        for name in (f"tgrun-{cloud.pool_id.hex[:12]}-{run.id}", f"tgrun-{'0' * 12}-{run.id}")
    )

    try:
        with cloud.worker("sweeper"):
            until(lambda: forgotten.id not in {pod.id for pod in cloud.pods()}, 60)
            assert foreign.id in {pod.id for pod in cloud.pods()}
    finally:
        cloud.client.control.delete_pod(foreign.id)
    until(lambda: not cloud.pods(), 60)


def test_a_gpu_that_costs_too_much_is_not_rented_and_the_run_says_why(cloud: Cloud) -> None:
    with cloud.worker():
        run = cloud.start_run("greet", {"name": "Cy"}, max_usd_per_hour=0.01)
        over = cloud.until_over(run.id)

    assert over.state is not None
    assert over.state.is_crashed()
    assert "over the cap of 0.01 USD/h" in str(over.state.message)
    assert cloud.pods() == []


def test_the_gpu_flow_runs_in_a_pod_unchanged(cloud: Cloud, tmp_path: Path) -> None:
    """It loads a model in the pod; the result is in the ledger, as from the embedded pool."""
    home = tmp_path / "home"
    settings = Settings(
        home=home,
        ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
        deployments_dir=SOURCE_ROOT / "deployments",
        runtime_dir=home / "run",
    )
    ports = wiring.load(settings)
    ref = ServiceRef("swaggystacks", "support-chat")
    model = SOURCE_ROOT / "deployments" / "demo" / "models" / "pipit-v1.gguf"
    version = steps.register_model(ports, ref.org, "pipit", "v1", model)
    check_structure(ports, ref, version.digest)
    subject = f"{ref}@{version.digest}"
    token = job_token("inference", subject, "in-a-pod")

    with cloud.worker():
        run = cloud.start(
            "gpu-work",
            "flows.gpu_work.gpu_work",
            None,
            {"work": "inference", "subject": subject, "token": token},
            {"image": IMAGE, "gpu_types": [GPU], "env": {"TIDEGATE_HOME": str(home)}},
        )
        over = cloud.until_over(run.id)
        until(lambda: not cloud.pods(), 60)

    assert over.state is not None
    assert over.state.is_completed(), (over.state.message, cloud.log(run.id))
    result = ports.ledger.result(JOB_RESULTS, token)
    assert result is not None
    assert {row["verdict"] for row in result["evidence"]} == {"pass"}


def _kill_container(cloud: Cloud, pod_id: str) -> None:
    """The process group of a pod, by the folder that the emulator gave it."""
    for process in psutil.process_iter():
        try:
            if pod_id in process.cwd() and os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
                return
        except psutil.Error:
            continue
    raise AssertionError(f"no process of pod {pod_id} of {cloud.home}")
