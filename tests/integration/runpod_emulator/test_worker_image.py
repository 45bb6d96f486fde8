"""The real worker image's entrypoint and the real engine, as an endpoint: a model of the demonstration answers."""

import hashlib
from pathlib import Path

import openai
import pytest

from tests.integration.runpod_emulator.conftest import Account, eventually, remove_everything

MODEL = Path(__file__).parents[3] / "deployments" / "demo" / "models" / "pipit-v2.gguf"
MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def account(runpod):
    made = Account(runpod, "swaggystacks")
    yield made
    remove_everything(made)
    made.http.close()


@pytest.fixture(scope="module")
def volume(account, runpod):
    made = account.ok("POST", "/v2/network-volumes", {"name": "models", "size": 10, "dataCenter": "EU-RO-1"})
    target = runpod.volume_folder(made["id"]) / MODEL.name
    target.write_bytes(MODEL.read_bytes())
    return made["id"]


def environment_of_worker(mode, cache_dir, digest=None):
    return {
        "TIDEGATE_WORKER_MODE": mode,
        "TIDEGATE_MODEL_URL": f"/runpod-volume/{MODEL.name}",
        "TIDEGATE_MODEL_DIGEST": digest or hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        "TIDEGATE_SET_NAME": "chat-pipit",
        "TIDEGATE_RELEASE_ID": "r1",
        "TIDEGATE_CONTEXT_TOKENS": "256",
        "TIDEGATE_PARALLEL": "1",
        "TIDEGATE_THREADS": "1",
        "TIDEGATE_GPU_LAYERS": "0",
        "TIDEGATE_MODEL_CACHE_DIR": str(cache_dir),
        "PORT": "8000",
        "PORT_HEALTH": "8001",
        "HEALTH_CHECK_PATH": "/ping",
    }


def serving(account, volume, name, env, **changes):
    body = {
        "image": "ghcr.io/tidegate/tidegate-worker:1",
        "env": env,
        "ports": ["8000/http"],
        "networkVolumes": [volume],
        "workers": {"min": 1, "max": 1},
        **changes,
    }
    return account.balanced(name, **body)


def test_a_load_balanced_worker_serves_the_model_that_it_was_told(account, volume, tmp_path):
    endpoint = serving(account, volume, "real-lb", environment_of_worker("LB", tmp_path))
    with openai.OpenAI(
        base_url=f"{endpoint['requestUrls']['base']}/v1", api_key=account.key, max_retries=0
    ) as client:
        whole = client.chat.completions.create(model="any", messages=MESSAGES, max_tokens=8, timeout=90)
        assert whole.choices[0].message.content
        stream = client.chat.completions.create(model="any", messages=MESSAGES, max_tokens=8, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_a_queue_worker_answers_the_openai_route(account, volume, tmp_path, runpod):
    scaling = {"type": "QUEUE_DELAY", "queueDelay": 1}
    env = environment_of_worker("QUEUE", tmp_path)
    endpoint = serving(account, volume, "real-queue", env, type="QUEUE", scaling=scaling)
    base = f"{runpod.data_url}/v2/{endpoint['id']}/openai/v1"
    with openai.OpenAI(base_url=base, api_key=account.key, max_retries=0) as client:
        stream = client.chat.completions.create(model="any", messages=MESSAGES, max_tokens=8, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_a_model_with_another_digest_is_never_served(account, volume, tmp_path):
    endpoint = serving(account, volume, "real-wrong", environment_of_worker("LB", tmp_path, digest="0" * 64))
    worker = eventually(
        lambda: account.workers(endpoint), lambda seen: seen and seen[0]["startedAt"] is not None
    )[0]
    path = f"/v2/serverless/{endpoint['id']}/workers/{worker['id']}/logs"
    account.log_lines(path, lambda line: "digest" in line, source="container")
    lines = account.log_lines(path, lambda line: "container exited" in line, source="system")
    assert lines[-1]["line"] != "container exited with code 0"
    assert "worker is ready" not in [one["line"] for one in lines]
