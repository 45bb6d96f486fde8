"""The installed llama-server keeps what our code relies on: flags, identity, streaming, metrics, refusals."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.platforms.watching import until
from tidegate.domain import InvalidInput, SetSpec
from tidegate.engines.llama_server import LlamaServer
from tidegate.stack.port_choice import choose_ports

HOST = "127.0.0.1"
FIRST_PORT = 19480
PATIENCE_S = 60.0
MODEL = Path(__file__).parents[3] / "deployments" / "demo" / "models" / "pipit-v2.gguf"
QUESTION = {
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
    "max_tokens": 16,
}


@dataclass(frozen=True)
class Running:
    engine: LlamaServer
    spec: SetSpec
    port: int
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("engine")
    engine = LlamaServer()
    spec = SetSpec(
        name="a--b--c",
        org="swaggystacks",
        service="support-chat",
        release_id="r1",
        digest=hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        artifact_path=str(MODEL),
        parallel=2,
    )
    # Claimed, and below the range of outgoing connections: nobody takes it before the server binds it.
    port = choose_ports(folder, {"server": FIRST_PORT}, HOST)["server"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            engine.command(spec, HOST, port), env=engine.environment(folder), stdout=log, stderr=log
        )
    try:
        until(lambda: engine.probe(HOST, port).is_ready or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield Running(engine, spec, port, process)
    finally:
        process.terminate()
        process.wait(60)


def test_it_reports_our_digest_as_its_model(running: Running) -> None:
    assert running.engine.probe(HOST, running.port, PATIENCE_S).alias == running.spec.digest


def test_a_reply_names_our_digest_and_answers_in_the_models_own_template(running: Running) -> None:
    reply: dict[str, Any] = running.engine.post(
        HOST, running.port, "/v1/chat/completions", QUESTION, PATIENCE_S
    )

    assert reply["model"] == running.spec.digest
    assert reply["choices"][0]["message"]["content"] == "Paris."
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"]["completion_tokens"] > 0


def test_a_stream_ends_with_usage_timings_and_done(running: Running) -> None:
    body = QUESTION | {"stream": True, "stream_options": {"include_usage": True}}
    url = f"http://{HOST}:{running.port}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=PATIENCE_S, trust_env=False) as reply:
        events = [line.removeprefix("data: ") for line in reply.iter_lines() if line]

    assert events[-1] == "[DONE]"
    last = json.loads(events[-2])
    assert last["choices"] == []
    assert last["model"] == running.spec.digest
    assert last["usage"]["completion_tokens"] > 0
    assert last["timings"]["predicted_n"] > 0
    deltas = [json.loads(event)["choices"] for event in events[:-2]]
    assert "".join(choice[0]["delta"].get("content") or "" for choice in deltas) == "Paris."


def test_its_counters_grow_with_each_answer(running: Running) -> None:
    before = running.engine.metrics(HOST, running.port, PATIENCE_S)["tokens_predicted_total"]

    running.engine.post(HOST, running.port, "/v1/chat/completions", QUESTION, PATIENCE_S)

    assert running.engine.metrics(HOST, running.port, PATIENCE_S)["tokens_predicted_total"] > before


def test_a_prompt_longer_than_one_sequences_context_is_the_callers_error(running: Running) -> None:
    long = {"messages": [{"role": "user", "content": "many words " * 300}], "max_tokens": 4}

    with pytest.raises(InvalidInput, match="context"):
        running.engine.post(HOST, running.port, "/v1/chat/completions", long, PATIENCE_S)


def test_prompts_of_other_users_are_not_shown(running: Running) -> None:
    assert (
        httpx.get(f"http://{HOST}:{running.port}/slots", timeout=PATIENCE_S, trust_env=False).status_code
        != 200
    )
