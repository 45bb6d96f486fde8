"""A llama-server per model file, started once and ended with the session."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidegate.stack.port_choice import choose_ports

MODELS = Path(__file__).parents[3] / "deployments" / "demo" / "models"
FIRST_PORT = 19080
START_DEADLINE_S = 60.0
REQUEST_TIMEOUT_S = 60.0

Post = Callable[[str, dict[str, Any]], Any]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Post]]:
    """A function from a model file to "POST this JSON to its server"."""
    with contextlib.ExitStack() as running:
        started: dict[Path, Post] = {}

        def start(model: Path) -> Post:
            if model not in started:
                log = tmp_path_factory.mktemp("server") / "server.log"
                started[model] = running.enter_context(_server(model, log))
            return started[model]

        yield start


@contextlib.contextmanager
def _server(model: Path, log: Path) -> Iterator[Post]:
    # Claimed, and below the range of outgoing connections: nobody takes it before the server binds it.
    port = choose_ports(log.parent, {"server": FIRST_PORT}, "127.0.0.1")["server"]
    binary = Path(sys.executable).parent / "llama-server"
    options = ["--host", "127.0.0.1", "--port", str(port), "-c", "512", "-np", "2", "-t", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen([binary, "-m", model, *options], stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_healthy(process, f"http://127.0.0.1:{port}/health", log)

        def post(path: str, body: dict[str, Any]) -> Any:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}{path}",
                json.dumps(body).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as reply:
                return json.load(reply)

        yield post
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while not _answers(url):
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"not healthy in {START_DEADLINE_S} s: {log.read_text()[-2000:]}"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
