"""A worker's environment: what it needs, what it assumes, and how it names what is wrong."""

from pathlib import Path

import pytest

from tidegate_worker.configuration import DEFAULT_INIT_TIMEOUT_S, read_configuration
from tidegate_worker.engine import engine_command, engine_environment
from tidegate_worker.problems import CONFIGURATION, WorkerProblem

GOOD = {
    "TIDEGATE_WORKER_MODE": "LB",
    "TIDEGATE_MODEL_URL": "/runpod-volume/x.gguf",
    "TIDEGATE_MODEL_DIGEST": "ab" * 32,
    "PORT": "8000",
    "PORT_HEALTH": "8001",
}


def test_the_least_environment_is_filled_with_defaults() -> None:
    wanted = read_configuration(GOOD)

    assert (wanted.gpu_layers, wanted.health_path, wanted.host) == (999, "/ping", "127.0.0.1")
    assert str(wanted.model_cache_dir) == "/tmp/tidegate-models"
    assert wanted.init_timeout_s == DEFAULT_INIT_TIMEOUT_S
    assert wanted.threads >= 1


def test_a_queue_worker_needs_no_port_of_a_load_balancer() -> None:
    environment = {name: value for name, value in GOOD.items() if not name.startswith("PORT")} | {
        "TIDEGATE_WORKER_MODE": "QUEUE",
        "RUNPOD_WEBHOOK_GET_JOB": "http://x/job-take/$ID?",
    }

    assert read_configuration(environment).health_port is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDEGATE_WORKER_MODE", ""),
        ("TIDEGATE_WORKER_MODE", "lb"),
        ("TIDEGATE_MODEL_URL", " "),
        ("TIDEGATE_MODEL_DIGEST", "AB" * 32),
        ("TIDEGATE_MODEL_DIGEST", "ab" * 31),
        ("TIDEGATE_PARALLEL", "0"),
        ("TIDEGATE_CONTEXT_TOKENS", "4k"),
        ("TIDEGATE_THREADS", "-1"),
        ("TIDEGATE_GPU_LAYERS", "²"),
        ("PORT", "70000"),
        ("PORT", ""),
        ("PORT_HEALTH", ""),
        ("PORT_HEALTH", "8000"),
        ("HEALTH_CHECK_PATH", "/worker"),
        ("RUNPOD_INIT_TIMEOUT", "soon"),
        ("TIDEGATE_ENGINE_API_KEY", "too-short"),
        ("TIDEGATE_ENGINE_API_KEY", "two-keys,of-which-the-engine-makes-a-list"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(WorkerProblem) as refused:
        read_configuration({**GOOD, name: value})

    assert (refused.value.field, refused.value.exit_code) == (name, CONFIGURATION)
    assert refused.value.remedy


def test_queue_mode_away_from_a_queue_endpoint_is_refused() -> None:
    with pytest.raises(WorkerProblem) as refused:
        read_configuration({**GOOD, "TIDEGATE_WORKER_MODE": "QUEUE"})

    assert refused.value.field == "RUNPOD_WEBHOOK_GET_JOB"


def test_a_pod_does_not_start_without_a_key_and_never_tells_it() -> None:
    key = "the-key-of-a-pod-" + "x" * 32
    with pytest.raises(WorkerProblem) as refused:
        read_configuration({**GOOD, "TIDEGATE_WORKER_MODE": "POD"})
    wanted = read_configuration({**GOOD, "TIDEGATE_WORKER_MODE": "POD", "TIDEGATE_ENGINE_API_KEY": key})

    assert refused.value.field == "TIDEGATE_ENGINE_API_KEY"
    assert wanted.engine_key == key
    assert key not in repr(wanted)


def test_an_engine_gets_its_key_by_its_environment_and_never_by_its_command_line() -> None:
    key = "the-key-of-a-pod-" + "x" * 32
    wanted = read_configuration({**GOOD, "TIDEGATE_ENGINE_API_KEY": key})

    command = engine_command(Path("llama-server"), Path("m.gguf"), wanted, "127.0.0.1", 1)

    assert key not in " ".join(command)
    assert engine_environment({"TIDEGATE_ENGINE_API_KEY": key}, key)["LLAMA_API_KEY"] == key
    assert "TIDEGATE_ENGINE_API_KEY" not in engine_environment({"TIDEGATE_ENGINE_API_KEY": key}, key)
    assert "LLAMA_API_KEY" not in engine_environment({"LLAMA_API_KEY": "another"})


def test_an_engine_can_be_found_by_the_worker_that_it_outlived() -> None:
    passed_on = engine_environment({"RUNPOD_POD_ID": "w1", "RUNPOD_API_KEY": "k"})
    assert passed_on["RUNPOD_POD_ID"] == "w1"
    assert "RUNPOD_API_KEY" not in passed_on
