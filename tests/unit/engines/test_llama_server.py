"""Command line, discovery, and reading of the engine's pages, without any process."""

import math
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import InvalidInput, NotFound, Refused, SetSpec, Transient
from tidegate.engines.llama_server import LlamaServer, find_binary, parse_metrics, server_command

DIGEST = "ab" * 32


def _spec() -> SetSpec:
    return SetSpec(
        name="swaggystacks--support-chat--abababab-1",
        org="swaggystacks",
        service="support-chat",
        release_id="r1",
        digest=DIGEST,
        artifact_path="/models/pipit.gguf",
        context_tokens=256,
        parallel=4,
        threads=2,
    )


def _value_of(command: list[str], flag: str) -> str:
    return command[command.index(flag) + 1]


def test_every_sequence_gets_the_whole_context_of_the_spec() -> None:
    command = server_command(Path("/bin/llama-server"), _spec(), "127.0.0.1", 20001)

    assert _value_of(command, "--ctx-size") == "1024"
    assert _value_of(command, "--parallel") == "4"
    assert "--no-kv-unified" in command


def test_the_engine_serves_under_the_digest_on_the_given_address() -> None:
    command = server_command(Path("/bin/llama-server"), _spec(), "127.0.0.1", 20001)

    assert command[0] == "/bin/llama-server"
    assert _value_of(command, "--alias") == DIGEST
    assert _value_of(command, "--model") == "/models/pipit.gguf"
    assert (_value_of(command, "--host"), _value_of(command, "--port")) == ("127.0.0.1", "20001")


def test_an_explicit_folder_is_searched_alone(tmp_path: Path) -> None:
    binary = tmp_path / "llama-server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)

    assert find_binary("llama-server", str(tmp_path)) == binary
    with pytest.raises(NotFound, match="TIDEGATE_ENGINE_BIN_DIR"):
        find_binary("llama-bench", str(tmp_path))


def test_a_file_that_cannot_be_run_is_not_a_binary(tmp_path: Path) -> None:
    (tmp_path / "llama-server").write_text("not executable")

    with pytest.raises(NotFound):
        find_binary("llama-server", str(tmp_path))


def test_path_is_the_last_place_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "an-engine-that-nobody-ships"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_binary(binary.name) == binary


def test_the_environment_of_an_engine_is_complete_and_takes_additions(tmp_path: Path) -> None:
    engine = LlamaServer(environment={"CUDA_VISIBLE_DEVICES": "0"})

    assert engine.environment(tmp_path) == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "GGML_NO_BACKTRACE": "1",
        "CUDA_VISIBLE_DEVICES": "0",
    }


def test_metrics_lose_their_prefix_and_broken_lines_are_left_out() -> None:
    page = (
        "# HELP llamacpp:tokens_predicted_total Number of tokens.\n"
        "# TYPE llamacpp:tokens_predicted_total counter\n"
        "llamacpp:tokens_predicted_total 42\n"
        "llamacpp:predicted_tokens_seconds nan\n"
        'llamacpp:labelled{slot="1"} 3\n'
        "llamacpp:broken many\n"
        "lonely\n"
    )

    samples = parse_metrics(page)

    assert samples["tokens_predicted_total"] == 42.0
    assert math.isnan(samples["predicted_tokens_seconds"])
    assert set(samples) == {"tokens_predicted_total", "predicted_tokens_seconds"}


@given(st.text())
def test_no_page_of_metrics_raises(page: str) -> None:
    assert all(isinstance(value, float) for value in parse_metrics(page).values())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidInput),
        (404, InvalidInput),
        (401, Refused),
        (403, Refused),
        (429, Transient),
        (500, Transient),
        (503, Transient),
    ],
)
def test_a_refusal_is_told_by_its_status(status: int, error: type[Exception]) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json={"error": {"message": "the engine's own words"}})

    engine = LlamaServer(transport=httpx.MockTransport(answer))

    with pytest.raises(error, match="the engine's own words"):
        engine.post("127.0.0.1", 1, "/v1/chat/completions", {}, timeout_s=1)


def test_a_reply_that_is_no_object_is_transient() -> None:
    engine = LlamaServer(transport=httpx.MockTransport(lambda _: httpx.Response(200, text="<html>")))

    with pytest.raises(Transient, match="not a JSON object"):
        engine.post("127.0.0.1", 1, "/v1/chat/completions", {}, timeout_s=1)


@pytest.mark.parametrize("models", [{}, {"data": []}, {"data": [7]}, {"data": [{"id": 7}]}, [1]])
def test_an_engine_that_does_not_name_its_model_is_not_ready(models: object) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"status": "ok"} if request.url.path == "/health" else models)

    report = LlamaServer(transport=httpx.MockTransport(answer)).probe("127.0.0.1", 1)

    assert not report.is_ready
    assert report.alias is None


def test_an_engine_that_cannot_be_reached_is_not_ready_and_has_no_metrics() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    engine = LlamaServer(transport=httpx.MockTransport(answer))

    assert "refused" in engine.probe("127.0.0.1", 1).message
    assert engine.metrics("127.0.0.1", 1) == {}
    with pytest.raises(Transient, match="did not answer"):
        engine.post("127.0.0.1", 1, "/x", {}, timeout_s=1)


@pytest.mark.parametrize(
    ("last_words", "is_memory"),
    [
        ("E llama_init_from_model: failed to initialize the context: std::bad_alloc", True),
        (
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 900.00 MiB on device 0: cudaMalloc failed: out of memory",
            True,
        ),
        ("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 4294967296", True),
        (
            "terminate called after throwing 'std::system_error'\n  what():  Resource temporarily unavailable",
            False,
        ),
        ("E llama_model_load: error loading model: tensor 'token_embd.weight' not found", False),
        ("", False),
    ],
)
def test_only_words_about_memory_tell_of_a_death_for_want_of_it(last_words: str, is_memory: bool):
    assert LlamaServer().died_of_memory(last_words) is is_memory
