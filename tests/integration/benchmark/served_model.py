"""A real llama-server on a free port, for the tests of rooms that talk to one."""

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tidegate.domain import Secret
from tidegate.settings import SOURCE_ROOT
from tidegate.stack.port_choice import choose_ports

MODELS = SOURCE_ROOT / "deployments" / "demo" / "models"
BANK = SOURCE_ROOT / "deployments" / "demo" / "banks" / "pipit.jsonl"
KEY = Secret("integration-key")
CONTEXT_TOKENS = 256
READY_S = 120.0
FIRST_PORT = 29_400
"""Below those that the system gives to connections and to servers that take any port."""


@dataclass(frozen=True)
class Served:
    base_url: str
    digest: str


@contextmanager
def served_model(name: str, log_dir: Path) -> Iterator[Served]:
    """Serve `deployments/demo/models/NAME.gguf` under its digest until the context ends."""
    path = MODELS / f"{name}.gguf"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    port = choose_ports(log_dir, {name: FIRST_PORT}, "127.0.0.1")[name]
    command = [str(Path(sys.executable).parent / "llama-server"), "--model", str(path), "--alias", digest]
    command += ["--host", "127.0.0.1", "--port", str(port), "--api-key", KEY.reveal()]
    command += ["--ctx-size", str(4 * CONTEXT_TOKENS), "--parallel", "4", "--threads", "1"]
    log = log_dir / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _wait_until_ready(port, process, log)
            yield Served(f"http://127.0.0.1:{port}/v1", digest)
        finally:
            process.kill()
            process.wait()


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end, tick = time.monotonic() + READY_S, threading.Event()
    seen = "nothing"
    while time.monotonic() < end and process.poll() is None:
        try:
            seen = str(httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code)
        except httpx.HTTPError as error:
            seen = repr(error)
        if seen == "200":
            return
        tick.wait(0.05)
    raise AssertionError(f"llama-server is not ready (last: {seen}); its log ends: {log.read_text()[-800:]}")
