"""A real worker process, started as an image or the emulator starts it, and what it says."""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.free_port import HOST, free_port
from tests.integration.platforms.watching import until

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "deployments" / "demo" / "models"
MODEL = MODELS / "pipit-v2.gguf"
DIGEST = hashlib.sha256(MODEL.read_bytes()).hexdigest()


class Worker:
    """One worker in a process group of its own, like in a container."""

    def __init__(self, home: Path, settings: Mapping[str, str]):
        self.port, self.health_port = free_port(), free_port()
        self.logged: list[dict[str, Any]] = []
        self.other_output: list[str] = []
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(ROOT / "deployments" / "images" / "worker"),
            "TIDEGATE_MODEL_URL": str(MODEL),
            "TIDEGATE_MODEL_DIGEST": DIGEST,
            "TIDEGATE_SET_NAME": "swaggystacks--chat--1",
            "TIDEGATE_RELEASE_ID": "r1",
            "TIDEGATE_CONTEXT_TOKENS": "512",
            "TIDEGATE_PARALLEL": "2",
            "TIDEGATE_THREADS": "1",
            "TIDEGATE_MODEL_CACHE_DIR": str(home / "models"),
            "PORT": str(self.port),
            "PORT_HEALTH": str(self.health_port),
            # What a platform has in a worker's environment, and an engine must never see.
            "RUNPOD_API_KEY": "the-account's-key",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tidegate_worker"],
            env=environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def health(self, path: str = "/ping") -> tuple[int, bytes]:
        return ask(self.health_port, path)

    def report(self) -> dict[str, Any]:
        return json.loads(self.health("/worker")[1])

    def until_ready(self) -> None:
        until(lambda: self.health()[0] == 200 or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    def engine(self) -> psutil.Process:
        found = [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if child.name() == "llama-server"
        ]
        assert len(found) == 1
        return found[0]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.logged if line.get("event") == name]

    def until_event(self, name: str) -> dict[str, Any]:
        until(lambda: self.events(name) or self.process.poll() is not None)
        self._settle()
        assert self.events(name), self.said()
        return self.events(name)[0]

    def said(self) -> list[dict[str, Any] | str]:
        """All that it wrote, for the message of an assertion."""
        return [*self.logged, *self.other_output]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        code = self.process.wait(60)
        self._settle()
        return code

    def _settle(self) -> None:
        if self.process.poll() is not None:
            self._reader.join(30)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                try:
                    self.logged.append(json.loads(line))
                except ValueError:
                    self.other_output.append(line)


@contextmanager
def worker(home: Path, **settings: str) -> Iterator[Worker]:
    home.mkdir(parents=True, exist_ok=True)
    started = Worker(home, {"TIDEGATE_WORKER_MODE": "LB"} | settings)
    try:
        yield started
    finally:
        try:
            os.killpg(started.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            started.process.poll()
        started.wait()


def ask(port: int, path: str, body: object = None, timeout_s: float = 60) -> tuple[int, bytes]:
    """Status and body of one request; status 0 when nobody answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    try:
        connection.request(
            "GET" if body is None else "POST", path, None if body is None else json.dumps(body)
        )
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
