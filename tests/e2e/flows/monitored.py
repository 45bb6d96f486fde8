"""`tidegate monitoring up` on top of the stack of the flows' tests, as a person starts it."""

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack_client import Stack, wait_until

from tidegate.stack.port_choice import PORTS_FILE
from tidegate.stack.record import read_json


@dataclass(frozen=True)
class Monitoring:
    """Runs in the background for as long as the stack does, and is asked at its end."""

    process: "subprocess.Popen[bytes]"
    log: Path
    prometheus: str
    alertmanager: str
    since: float

    def now(self) -> float:
        return time.time()

    def wait_until_ready(self) -> None:
        def settled() -> bool:
            return "Ready" in self.log.read_text() or self.process.poll() is not None

        wait_until(settled, "Prometheus and Alertmanager are ready")
        assert "Ready" in self.log.read_text(), self.log.read_text()


@contextmanager
def monitored(stack: Stack) -> Generator[Monitoring]:
    log = stack.home.with_name("monitoring.log")
    words = [sys.executable, "-m", "tidegate.cli", "monitoring", "up"]
    with log.open("w") as sink:
        started = subprocess.Popen(words, env=stack.environment(), stdout=sink, stderr=subprocess.STDOUT)
    try:
        ports = wait_until(
            lambda: read_json(stack.home / "monitoring" / PORTS_FILE) or started.poll(), "ports"
        )
        assert isinstance(ports, dict), log.read_text()
        at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        yield Monitoring(started, log, at["prometheus"], at["alertmanager"], time.time())
    finally:
        started.send_signal(signal.SIGINT)
        code = started.wait(timeout=120)
    assert code == 0, log.read_text()
