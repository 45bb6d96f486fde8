"""Flow runs of a real Prefect server in pods of the emulator, by workers that are started, stopped and killed."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import InfrastructureNotAvailable, InfrastructureNotFound
from prefect.states import Cancelling, Pending, Running

from deployments.runpod_worker.variables import RunPodJobConfiguration
from deployments.runpod_worker.worker import RunPodWorker
from tests.integration.runpod_worker.conftest import AUTH, GPU, IMAGE, POOL, Cloud, eventually
from tidegate import steps, wiring
from tidegate.domain import ServiceRef
from tidegate.platforms.runpod.replies import Pod, PodStatus
from tidegate.settings import SOURCE_ROOT, Settings
from tidegate.steps.artifacts import check_structure
from tidegate.steps.evaluation import JOB_RESULTS, job_token

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Greeting:
    """One run from its beginning to its end."""

    pod: Pod
    over: FlowRun
    log: str
    worker_log: str


@pytest.fixture(scope="module")
def greeting(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Greeting:
    mark = tmp_path_factory.mktemp("greeting") / "go"
    worker = cloud.worker()
    run = cloud.start_run("greet", {"name": "Ada", "path": str(mark)}, env={"MINE": "1"})
    eventually(Path(f"{mark}.started").exists)
    (pod,) = cloud.pods()
    mark.touch()
    cloud.until_no_pods()
    return Greeting(pod, cloud.run(run.id), cloud.log(run.id), worker.log())


@pytest.fixture
def faults(cloud: Cloud) -> Iterator[None]:
    """For tests that set some."""
    yield
    cloud.runpod.faults.clear()


def test_a_flow_run_becomes_a_pod_that_is_gone_when_it_is_over(cloud: Cloud, greeting: Greeting) -> None:
    run, pod = greeting.over, greeting.pod

    assert run.state is not None
    assert run.state.is_completed(), (run.state.message, greeting.worker_log)
    assert pod.name == f"tgrun-{cloud.pool_id.hex[:12]}-{run.id}"
    assert pod.gpu is not None
    assert (run.infrastructure_pid, pod.gpu.id) == (pod.id, GPU)


def test_the_log_of_a_run_is_whole_once_its_pod_is_gone_and_holds_no_credential(greeting: Greeting) -> None:
    assert greeting.log.count("the flow greets Ada") == 1
    assert f"plain output of {greeting.pod.id}" in greeting.log
    assert "start container" in greeting.log
    assert AUTH not in greeting.log
    assert AUTH not in greeting.worker_log


def test_a_pods_environment_names_the_servers_credential_and_does_not_hold_it(
    cloud: Cloud, greeting: Greeting
) -> None:
    env = greeting.pod.env

    assert env["PREFECT_API_AUTH_STRING"] == "{{ RUNPOD_SECRET_prefect-auth }}"
    assert env["MINE"] == "1"
    assert AUTH not in str(env)
    assert cloud.runpod.key("swaggystacks").reveal() not in str(env)


def test_a_pod_runs_the_code_that_its_image_holds(cloud: Cloud, greeting: Greeting) -> None:
    assert f"the code is {cloud.image / 'tidegate' / '__init__.py'}" in greeting.log


def test_a_cancelled_run_leaves_no_pod(cloud: Cloud, tmp_path: Path) -> None:
    mark = tmp_path / "never"
    cloud.worker()
    run = cloud.start_run("wait_for_file", {"path": str(mark)})
    eventually(Path(f"{mark}.started").exists)
    cloud.cancel(run.id)
    over = cloud.until_over(run.id)
    cloud.until_no_pods()

    assert over.is_cancelled()


@pytest.mark.usefixtures("faults")
def test_a_run_that_is_cancelled_while_its_pod_starts_leaves_no_pod(cloud: Cloud) -> None:
    cloud.runpod.faults.set("image_pull_s", 600)
    cloud.worker()
    run = cloud.start_run("wait_for_file", {"path": "/never"})
    cloud.until_pod(PodStatus.STARTING)
    cloud.cancel(run.id)
    over = cloud.until_over(run.id)
    cloud.until_no_pods()

    assert over.is_cancelled()


def test_a_pod_that_dies_makes_its_run_a_crash_and_is_deleted(cloud: Cloud) -> None:
    cloud.worker()
    run = cloud.start_run("wait_for_file", {"path": "/never"})
    pod = cloud.until_pod(PodStatus.RUNNING)
    _kill_container(cloud, pod.id)
    over = cloud.until_over(run.id)
    cloud.until_no_pods()

    assert over.is_crashed()


def test_the_next_worker_takes_over_the_pod_of_one_that_was_told_to_end_or_killed(
    cloud: Cloud, tmp_path: Path
) -> None:
    mark = tmp_path / "go"
    first = cloud.worker()
    run = cloud.start_run("wait_for_file", {"path": str(mark)})
    pod = cloud.until_pod(PodStatus.RUNNING)

    assert first.end(signal.SIGTERM) == 0, first.log()
    second = cloud.worker()
    eventually(lambda: f"Taking over pod {pod.id}" in second.log())
    second.end(signal.SIGKILL)
    third = cloud.worker()
    eventually(lambda: f"Taking over pod {pod.id}" in third.log())

    assert [one.id for one in cloud.pods()] == [pod.id]
    mark.touch()
    over = cloud.until_over(run.id)
    cloud.until_no_pods()
    assert over.is_completed()


@pytest.mark.usefixtures("faults")
def test_any_worker_of_the_pool_can_end_a_pod_by_its_id_and_says_when_it_cannot(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Prefect calls for a run whose worker is gone: no worker has to run, and none has seen the pod."""
    cloud.runpod.faults.set("image_pull_s", 600)
    pod = cloud.make_pod(f"tgrun-{'0' * 12}-{uuid4()}")
    for name, value in cloud.access().items():
        monkeypatch.setenv(name, value)
    worker = RunPodWorker(POOL)
    wanted = RunPodJobConfiguration(image=IMAGE, gpu_types=[GPU], credential="runpod-credential-swaggystacks")

    cloud.runpod.faults.set("control_401")
    with pytest.raises(InfrastructureNotAvailable):
        asyncio.run(worker.kill_infrastructure(pod.id, wanted))
    cloud.runpod.faults.clear("control_401")
    asyncio.run(worker.kill_infrastructure(pod.id, wanted))
    assert cloud.pods() == []
    with pytest.raises(InfrastructureNotFound):
        asyncio.run(worker.kill_infrastructure(pod.id, wanted))


def test_a_pod_whose_run_is_over_is_swept_and_one_of_somebody_else_is_not(
    cloud: Cloud, greeting: Greeting
) -> None:
    forgotten = cloud.make_pod(f"tgrun-{cloud.pool_id.hex[:12]}-{greeting.over.id}")
    foreign = cloud.make_pod(f"tgrun-{'0' * 12}-{greeting.over.id}")

    try:
        cloud.sweep()
        # Or by a worker that sweeps at the same time.
        eventually(lambda: forgotten.id not in {pod.id for pod in cloud.pods()})
        assert [pod.id for pod in cloud.pods()] == [foreign.id]
    finally:
        cloud.client.control.delete_pod(foreign.id)


@pytest.mark.usefixtures("faults")
def test_runs_that_lost_their_worker_and_have_no_pod_are_settled(cloud: Cloud) -> None:
    cloud.runpod.faults.set("image_pull_s", 600)
    cloud.worker()
    running, cancelling, pending = (
        cloud.start_run("wait_for_file", {"path": "/never"}, state=state)
        for state in (Running(), Cancelling(), Pending())
    )

    cloud.sweep()

    assert cloud.state(running.id).is_crashed()
    assert cloud.state(cancelling.id).is_cancelled()
    assert str(pending.id) in cloud.until_pod(PodStatus.STARTING).name
    cloud.cancel(pending.id)
    cloud.until_no_pods()


def test_a_gpu_that_costs_too_much_is_not_rented_and_the_run_says_why(cloud: Cloud) -> None:
    cloud.worker()
    run = cloud.start_run("greet", {"name": "Cy"}, max_usd_per_hour=0.01)
    over = cloud.until_over(run.id)

    assert over.is_crashed()
    assert "over the cap of 0.01 USD/h" in str(over.message)
    assert cloud.pods() == []


@pytest.mark.usefixtures("faults")
def test_a_run_waits_for_a_gpu_and_starts_when_there_is_one(cloud: Cloud) -> None:
    cloud.runpod.faults.set("stock_out", scope=GPU)
    cloud.runpod.faults.set("image_pull_s", 600)
    cloud.worker()
    run = cloud.start_run("wait_for_file", {"path": "/never"})
    waiting = cloud.until_waiting(run.id)
    cloud.runpod.faults.clear("stock_out")
    cloud.until_pod(PodStatus.STARTING)

    assert f"{GPU}: out of stock" in str(waiting.message)
    cloud.cancel(run.id)
    cloud.until_no_pods()


@pytest.mark.usefixtures("faults")
def test_a_run_that_waits_for_a_gpu_is_cancelled_at_once(cloud: Cloud) -> None:
    cloud.runpod.faults.set("stock_out", scope=GPU)
    cloud.worker()
    run = cloud.start_run("wait_for_file", {"path": "/never"})
    cloud.until_waiting(run.id)
    cloud.cancel(run.id)
    over = cloud.until_over(run.id)

    assert over.is_cancelled()
    assert cloud.pods() == []


@pytest.mark.usefixtures("faults")
def test_a_run_that_waited_long_enough_for_a_gpu_fails_and_says_so(cloud: Cloud) -> None:
    cloud.runpod.faults.set("capacity_400", scope=GPU)
    cloud.worker()
    run = cloud.start_run("wait_for_file", {"path": "/never"}, capacity_wait_s=2)
    over = cloud.until_over(run.id)

    assert over.is_failed()
    assert "No GPU within 2 s" in str(over.message)
    assert f"{GPU}: out of stock when asked" in str(over.message)
    # Lines of the worker are sent in bundles, a moment later.
    eventually(lambda: "RunPod has none of the wanted GPUs now" in cloud.log(run.id))


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

    cloud.worker()
    run = cloud.start(
        "gpu-work",
        "flows.gpu_work.gpu_work",
        None,
        {"work": "inference", "subject": subject, "token": token},
        {"image": IMAGE, "gpu_types": [GPU], "env": {"TIDEGATE_HOME": str(home)}},
    )
    over = cloud.until_over(run.id)
    cloud.until_no_pods()

    assert over.is_completed(), (over.message, cloud.log(run.id))
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
        except (psutil.Error, ProcessLookupError):
            continue
    raise AssertionError(f"no process of pod {pod_id} of {cloud.home}")
