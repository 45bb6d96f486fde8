"""RunPod's own SDK, as worker and as client, and OpenAI's client: unchanged, against the emulator.

The SDK reads its base URL when it is imported, so its client runs in a process of its own. Both import slowly:
the worker is shared by the tests of this module.
"""

import json
import os
import subprocess
import sys

import openai
import pytest

from tests.integration.runpod_emulator.conftest import Account, eventually, remove_everything

ONE_WORKER = {"min": 1, "max": 1}
CLIENT = """
import json, os, sys
import runpod
runpod.api_key = os.environ["KEY"]
endpoint = runpod.Endpoint(os.environ["ENDPOINT"])
results = {"sync": endpoint.run_sync({"input": {"chunks": 2}}, timeout=120)}
job = endpoint.run({"input": {"chunks": 3}})
results["stream"] = list(job.stream())
results["status"] = job.status()
job = endpoint.run({"input": {"sleep_s": 60}})
results["cancel"] = job.cancel()["status"]
results["health"] = endpoint.health()["workers"]["ready"]
results["purge"] = endpoint.purge_queue()["status"]
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def account(runpod):
    made = Account(runpod, "swaggystacks")
    yield made
    remove_everything(made)
    made.http.close()


@pytest.fixture(scope="module")
def shared_endpoint(account):
    return account.endpoint("sdk", image="sdk-worker:1", workers=ONE_WORKER)


@pytest.fixture
def endpoint(account, shared_endpoint):
    """With its worker ready, also after the test that sent it away: tests run in any order."""
    path = f"/v2/serverless/{shared_endpoint['id']}"
    if not account.workers(shared_endpoint):
        account.ok("PATCH", path, {"workers": ONE_WORKER})
    eventually(
        lambda: account.workers(shared_endpoint),
        lambda seen: [one["status"] for one in seen] == ["IDLE"],
        limit_s=180,
    )
    return shared_endpoint


@pytest.fixture
def client(runpod, endpoint, account):
    base = f"{runpod.data_url}/v2/{endpoint['id']}/openai/v1"
    with openai.OpenAI(base_url=base, api_key=account.key, max_retries=0) as made:
        yield made


def test_the_sdks_worker_streams_aggregates_and_reports_errors(account, endpoint):
    identifier = account.run(endpoint, input={"chunks": 3})
    job = account.job_in(endpoint, identifier, "COMPLETED")
    assert job["output"] == ["chunk 0", "chunk 1", "chunk 2"]
    failed = account.job_in(endpoint, account.run(endpoint, input={"fail": True}), "FAILED")
    assert "asked to fail" in failed["error"]


def test_a_cancelled_job_stops_in_the_sdks_worker_which_takes_the_next(account, endpoint):
    identifier = account.run(endpoint, input={"sleep_s": 120})
    account.job_in(endpoint, identifier, "IN_PROGRESS")
    cancel = endpoint["requestUrls"]["cancel"].replace("{job_id}", identifier)
    assert account.http.post(cancel).json()["status"] == "CANCELLED"
    account.job_in(endpoint, account.run(endpoint, input={"chunks": 1}), "COMPLETED")


def test_the_sdks_client_runs_streams_cancels_and_purges(account, endpoint, runpod, tmp_path):
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KEY": account.key,
        "ENDPOINT": endpoint["id"],
        "RUNPOD_ENDPOINT_BASE_URL": f"{runpod.data_url}/v2",
    }
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], env=env, capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["sync"] == ["chunk 0", "chunk 1"]
    assert told["stream"] == ["chunk 0", "chunk 1", "chunk 2"]
    assert told["status"] == "COMPLETED"
    assert (told["cancel"], told["health"], told["purge"]) == ("CANCELLED", 1, "completed")


def test_openais_client_lists_completes_and_streams(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    messages = [{"role": "user", "content": "hi"}]
    whole = client.chat.completions.create(model="tiny", messages=messages)
    assert whole.choices[0].message.content == "Hello"
    stream = client.chat.completions.create(model="tiny", messages=messages, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Hello"


def test_openais_client_raises_its_own_errors(runpod, endpoint):
    base = f"{runpod.data_url}/v2/{endpoint['id']}/openai/v1"
    with (
        openai.OpenAI(base_url=base, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_the_sdks_worker_drains_without_losing_its_job(account, endpoint):
    identifier = account.run(endpoint, input={"sleep_s": 6})
    account.job_in(endpoint, identifier, "IN_PROGRESS")
    account.ok("PATCH", f"/v2/serverless/{endpoint['id']}", {"workers": {"min": 0, "max": 0}})
    assert account.job_in(endpoint, identifier, "COMPLETED")["output"] == ["chunk 0"]
    eventually(lambda: account.workers(endpoint), lambda seen: seen == [])
