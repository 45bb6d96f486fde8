"""The first process of a pod as its container starts it, around a stand-in for Prefect's command."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration.platforms.watching import until

ROOT = Path(__file__).parents[3]
TIMED_OUT, NO_SECRET = 124, 78
WAIT_S = 90.0
STAND_IN = """
import json, os, pathlib, signal, sys, time
pathlib.Path("seen.json").write_text(json.dumps({"args": sys.argv[1:], "secret": os.environ.get("SECRET")}))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
print("the run is on", flush=True)
if os.environ.get("LASTS"):
    time.sleep(600)
sys.exit(int(os.environ.get("CODE", "0")))
"""
# As early as a signal can come once there is somebody to pass it on to.
TOLD_TO_END_AT_THE_START = """
import os, signal, subprocess
start = subprocess.Popen.__init__
def start_and_tell(*args, **options):
    start(*args, **options)
    os.kill(os.getpid(), signal.SIGTERM)
subprocess.Popen.__init__ = start_and_tell
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    stand_in = tmp_path / "prefect"
    stand_in.mkdir()
    (stand_in / "__init__.py").touch()
    (stand_in / "__main__.py").write_text(STAND_IN)
    return tmp_path


class Pod:
    def __init__(self, home: Path, **environment: str):
        self.home = home
        self.output = home / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deployments.pod"],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": f"{home}:{ROOT}",
                    "RUNPOD_POD_ID": "p1",
                    **environment,
                },
                cwd=home,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def until_said(self, text: str) -> None:
        until(lambda: text in self.output.read_text() or self.process.poll() is not None, WAIT_S)
        assert text in self.output.read_text()

    def seen(self) -> dict[str, object]:
        return json.loads((self.home / "seen.json").read_text())

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(WAIT_S)


@pytest.fixture
def pod(home: Path) -> Iterator[type[Pod]]:
    started: list[Pod] = []

    class Started(Pod):
        def __init__(self, **environment: str):
            super().__init__(home, **environment)
            started.append(self)

    yield Started  # pyright: ignore[reportReturnType]
    for one in started:
        if one.process.poll() is None:
            os.killpg(one.process.pid, signal.SIGKILL)
            one.process.wait()


def test_it_says_how_the_run_ended_and_waits_to_be_deleted(pod: type[Pod]) -> None:
    container = pod(CODE="3")  # pyright: ignore[reportCallIssue]
    container.until_said("tidegate-pod ended with code 3")

    assert container.process.poll() is None
    assert container.end() == 3
    assert container.seen()["args"] == ["flow-run", "execute"]


def test_it_ends_a_run_that_takes_too_long(pod: type[Pod]) -> None:
    container = pod(LASTS="1", TIDEGATE_POD_TIMEOUT_S="1")  # pyright: ignore[reportCallIssue]
    container.until_said(f"tidegate-pod ended with code {TIMED_OUT}")

    assert container.end() == TIMED_OUT


def test_a_container_that_is_told_to_end_passes_it_on_and_ends_at_once(pod: type[Pod]) -> None:
    container = pod(LASTS="1")  # pyright: ignore[reportCallIssue]
    container.until_said("the run is on")

    assert container.end() == 143


def test_a_container_that_is_told_to_end_while_the_run_starts_passes_it_on(
    pod: type[Pod], home: Path
) -> None:
    (home / "sitecustomize.py").write_text(TOLD_TO_END_AT_THE_START)
    container = pod(LASTS="1")  # pyright: ignore[reportCallIssue]

    # The run's own code, or that of a run which the signal ended before it could take it.
    assert container.process.wait(WAIT_S) in (143, 256 - signal.SIGTERM)


def test_the_emulators_secrets_are_filled_in_from_its_folder(pod: type[Pod], home: Path) -> None:
    (home / "my-secret").write_text("hidden\n")
    container = pod(SECRET="{{ RUNPOD_SECRET_my-secret }}", TIDEGATE_EMULATED_SECRETS_DIR=str(home))  # pyright: ignore[reportCallIssue]
    container.until_said("tidegate-pod ended with code 0")

    assert container.seen()["secret"] == "hidden"
    assert "hidden" not in container.output.read_text()


def test_a_secret_that_runpod_did_not_fill_in_is_named_and_nothing_runs(pod: type[Pod], home: Path) -> None:
    container = pod(SECRET="{{ RUNPOD_SECRET_missing }}")  # pyright: ignore[reportCallIssue]
    container.until_said(f"tidegate-pod ended with code {NO_SECRET}")

    assert "SECRET" in container.output.read_text()
    assert not (home / "seen.json").exists()


def test_it_deletes_itself_when_no_worker_does(pod: type[Pod]) -> None:
    asked: list[tuple[str, str]] = []

    class Runpod(BaseHTTPRequestHandler):
        def do_DELETE(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by its base
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Runpod)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        container = pod(  # pyright: ignore[reportCallIssue]
            RUNPOD_API_KEY="pod-key",
            TIDEGATE_POD_API_URL=f"http://127.0.0.1:{server.server_address[1]}",
            TIDEGATE_POD_LINGER_S="0",
        )
        assert container.process.wait(WAIT_S) == 0
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert asked == [("/v2/pods/p1", "Bearer pod-key")]
    assert "pod-key" not in container.output.read_text()
