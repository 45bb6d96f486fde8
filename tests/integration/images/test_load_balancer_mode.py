"""A worker of a load-balancing endpoint, from its first 204 to its end, with a real engine on a demo model."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.integration.images.model_server import Source, serving
from tests.integration.images.worker_process import DIGEST, HOST, MODEL, MODELS, Worker, ask, worker
from tests.integration.platforms.watching import has_ended, until

QUESTION = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}
WRONG_DIGEST, NO_MODEL, ENGINE_FAILED, CONFIGURATION = 65, 66, 70, 78


def test_health_says_204_while_the_model_is_fetched_and_200_once_it_serves(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        serving(Source(MODEL.read_bytes(), gate=gate)) as source,
        worker(tmp_path, TIDEGATE_MODEL_URL=f"{source.url}/pipit.gguf") as started,
    ):
        until(lambda: source.asked)
        until(lambda: started.health()[0])

        assert started.health() == (204, b"")
        assert started.report()["state"] == "fetching"
        assert ask(started.port, "/health")[0] == 0

        gate.set()
        started.until_ready()
        assert ask(started.port, "/v1/chat/completions", QUESTION)[0] == 200


def test_it_serves_under_the_digest_and_reports_who_it_is(tmp_path: Path) -> None:
    with worker(tmp_path) as started:
        started.until_ready()
        models = json.loads(ask(started.port, "/v1/models")[1])
        report = started.report()

    assert models["data"][0]["id"] == DIGEST
    assert report["digest"] == DIGEST
    assert (report["mode"], report["state"], report["problem"]) == ("LB", "ready", None)
    assert (report["set"], report["release"]) == ("swaggystacks--chat--1", "r1")
    assert report["engine_version"]
    assert report["memory_bytes"] > report["engine_memory_bytes"] > 0


def test_another_file_than_the_digest_is_refused_before_an_engine_sees_it(tmp_path: Path) -> None:
    with worker(tmp_path, TIDEGATE_MODEL_URL=f"file://{MODELS / 'pipit-v1.gguf'}") as started:
        failure = started.until_event("failed")
        until(lambda: started.health()[0] in (503, 0))

        assert started.wait() == WRONG_DIGEST
    assert failure["field"] == "TIDEGATE_MODEL_DIGEST"
    assert failure["level"] == "error"
    assert DIGEST in failure["message"]
    assert not started.events("engine_serving")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(MODEL.read_bytes()[:-1])
    with worker(tmp_path, TIDEGATE_MODEL_URL=str(cut)) as started:
        assert started.wait() == WRONG_DIGEST


def test_a_missing_file_names_the_variable_that_is_to_blame(tmp_path: Path) -> None:
    with worker(tmp_path, TIDEGATE_MODEL_URL="/runpod-volume/nowhere.gguf") as started:
        assert started.wait() == NO_MODEL
    assert started.events("failed")[0]["field"] == "TIDEGATE_MODEL_URL"


def test_a_wrong_environment_ends_it_at_once_with_a_line_of_json(tmp_path: Path) -> None:
    with worker(tmp_path, TIDEGATE_MODEL_DIGEST="latest") as started:
        assert started.wait() == CONFIGURATION
    assert started.events("failed")[0]["field"] == "TIDEGATE_MODEL_DIGEST"
    assert started.other_output == []


def test_sigterm_lets_a_slow_readers_stream_finish_and_leaves_no_engine(tmp_path: Path) -> None:
    with worker(tmp_path) as started:
        started.until_ready()
        engine = started.engine()
        with _stalled_stream(started) as stream:
            started.terminate()
            started.until_event("draining")
            assert started.health()[0] == 503
            read = b"".join(iter(lambda: stream.recv(1 << 20), b""))

        assert started.wait() == 0
    assert b'"finish_reason":"length"' in read
    assert read.rstrip().endswith(b"data: [DONE]\n\n\r\n0")
    assert started.events("drained")
    assert not engine.is_running()


def test_a_drain_ends_at_its_limit(tmp_path: Path) -> None:
    with worker(tmp_path, TIDEGATE_DRAIN_S="1") as started:
        started.until_ready()
        with _stalled_stream(started):
            started.terminate()
            assert started.wait() == 0
    assert started.events("drain_limit_reached")
    assert started.events("drain_cut_short")


def test_a_second_signal_ends_a_drain(tmp_path: Path) -> None:
    with worker(tmp_path) as started:
        started.until_ready()
        with _stalled_stream(started):
            started.terminate()
            started.until_event("draining")
            started.terminate()
            assert started.wait() == 0
    assert started.events("drain_cut_short")


def test_sigterm_while_fetching_ends_it_at_once(tmp_path: Path) -> None:
    gate = threading.Event()
    with (
        serving(Source(MODEL.read_bytes(), gate=gate)) as source,
        worker(tmp_path, TIDEGATE_MODEL_URL=f"{source.url}/pipit.gguf") as started,
    ):
        until(lambda: source.asked)
        started.terminate()
        assert started.wait() == 0
    assert started.events("stopped_before_ready")


def test_a_dead_engine_shows_as_503_and_ends_the_worker_so_that_it_is_replaced(tmp_path: Path) -> None:
    with worker(tmp_path) as started:
        started.until_ready()
        started.engine().kill()

        until(lambda: started.health()[0] == 503)
        assert started.wait() == ENGINE_FAILED
    assert started.events("failed")[0]["message"].endswith(f"status -{signal.SIGKILL.value}.")


def test_killing_its_group_leaves_no_engine(tmp_path: Path) -> None:
    with worker(tmp_path) as started:
        started.until_ready()
        engine = started.engine()
        os.killpg(started.process.pid, signal.SIGKILL)
        started.wait()
        until(lambda: has_ended(engine))


def test_the_account_key_is_in_the_environment_of_the_worker_and_not_of_the_engine(tmp_path: Path) -> None:
    with worker(tmp_path) as started:
        started.until_ready()
        assert "RUNPOD_API_KEY" not in started.engine().environ()
        assert "RUNPOD_API_KEY" in psutil.Process(started.process.pid).environ()


@contextmanager
def _stalled_stream(started: Worker) -> Iterator[socket.socket]:
    """A reply too large for the buffers between, of which nobody reads on: it is under way until somebody does."""
    body = json.dumps(
        {"prompt": "hello", "stream": True, "max_tokens": 250, "ignore_eos": True, "n_probs": 400}
    )
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect((HOST, started.port))
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall((head + body).encode())
        assert client.recv(16)
        yield client
