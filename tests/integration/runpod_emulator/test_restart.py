"""An emulator that dies: its state comes back, its processes do not stay behind."""

import subprocess
import sys

import psutil
import pytest

from tests.integration.runpod_emulator.conftest import IMAGES, SHORT, Account, eventually
from tidegate.platforms.runpod.emulator import MockRunPodEnvironment

TOLD_TO_END_AT_ONCE = """
import asyncio, os, signal, sys
from tidegate.platforms.runpod.emulator.__main__ import options_of, parser
from tidegate.platforms.runpod.emulator.server import serve

options = options_of(parser().parse_args(["--home", sys.argv[1]]))
asyncio.run(serve(options, lambda facts: os.kill(os.getpid(), signal.SIGTERM)))
"""


@pytest.fixture
def own():
    """An emulator of the test's own, which it may kill."""
    with MockRunPodEnvironment(images=IMAGES, timings=SHORT, organizations=["swaggystacks"]) as environment:
        yield environment


def worker_pids(environment):
    return [one["pid"] for one in environment.control.state()["workers"] if one["pid"]]


def test_endpoints_jobs_and_bills_survive_a_kill_and_orphans_are_ended(own, tmp_path):
    account = Account(own, "swaggystacks")
    endpoint = account.endpoint("kept")
    done = account.run(endpoint, input={"a": 1})
    account.job_in(endpoint, done, "COMPLETED")
    go = tmp_path / "go"
    running = account.run(endpoint, input={"until": str(go)})
    account.job_in(endpoint, running, "IN_PROGRESS")
    pid = eventually(lambda: worker_pids(own), lambda seen: len(seen) == 1)[0]
    own.kill()
    assert psutil.pid_exists(pid)
    own.start()
    go.touch()
    assert account.ok("GET", f"/v2/serverless/{endpoint['id']}")["requestUrls"] == endpoint["requestUrls"]
    assert account.status(endpoint, done).json()["output"]["echo"] == {"a": 1}
    eventually(lambda: psutil.pid_exists(pid), lambda exists: not exists)
    assert account.job_in(endpoint, running, "COMPLETED")["retries"] == 1
    bill = account.ok("GET", "/v2/billing/serverless")["metadata"]["totals"]
    assert bill["gpuAmount"] > 0
    account.http.close()


def test_a_pod_that_ran_runs_again_and_a_stopped_one_does_not(own):
    account = Account(own, "swaggystacks")
    body = {"image": "shell", "args": "'sleep 60'", "cpu": {"id": "cpu3c", "vcpuCount": 2}}
    runs = account.ok("POST", "/v2/pods", {"name": "runs", **body})["id"]
    stopped = account.ok("POST", "/v2/pods", {"name": "stopped", **body})["id"]
    account.ok("POST", f"/v2/pods/{stopped}/action", {"action": "stop"})
    own.stop()
    own.start()
    eventually(lambda: account.ok("GET", f"/v2/pods/{runs}")["status"], lambda seen: seen == "RUNNING")
    assert account.ok("GET", f"/v2/pods/{stopped}")["status"] == "EXITED"
    account.http.close()


def test_leaving_the_environment_ends_every_process_even_of_a_killed_emulator():
    with MockRunPodEnvironment(images=IMAGES, timings=SHORT, organizations=["swaggystacks"]) as environment:
        account = Account(environment, "swaggystacks")
        endpoint = account.balanced("left", workers={"min": 2, "max": 2})
        eventually(
            lambda: account.workers(endpoint), lambda seen: [one["status"] for one in seen] == ["IDLE"] * 2
        )
        pids = worker_pids(environment)
        account.http.close()
        environment.kill()
    assert len(pids) == 2
    eventually(lambda: [pid for pid in pids if psutil.pid_exists(pid)], lambda alive: alive == [])
    assert not environment.home.exists()


def test_no_key_is_ever_in_its_log(own):
    account = Account(own, "swaggystacks")
    account.ok("GET", "/v2/serverless")
    account.http.get(f"{own.data_url}/v2/none/health")
    assert account.key not in own.log
    account.http.close()


def test_one_that_is_told_to_end_as_soon_as_it_answers_ends_in_order(tmp_path):
    command = [sys.executable, "-c", TOLD_TO_END_AT_ONCE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "emulator.json").exists()
