"""Readiness: an answer counts only from the process that was started."""

import http.server
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.stack import probing
from tidegate.stack.probing import is_ready
from tidegate.stack.specification import AliveProbe, HttpProbe, LogProbe, Probe, TcpProbe

HOST = "127.0.0.1"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Tests are quiet."""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    # Whoever starts a process asks it again and again, these tests once: a busy machine may take its time.
    monkeypatch.setattr(probing, "PROBE_TIMEOUT_S", 60.0)
    with http.server.HTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ask(
    probe: Probe, *, pid: int | None = None, log: Path = Path("/no/log"), offset: int = 0, alive_s: float = 0
) -> bool:
    return is_ready(
        probe, pid=os.getpid() if pid is None else pid, log_path=log, log_offset=offset, alive_s=alive_s
    )


def test_a_good_answer_of_the_process_itself_is_ready(port: int):
    assert ask(HttpProbe(f"http://{HOST}:{port}/health"))
    assert ask(TcpProbe(HOST, port))


def test_a_bad_answer_is_not_ready(port: int):
    assert not ask(HttpProbe(f"http://{HOST}:{port}/broken"))


def test_an_answer_of_another_program_is_not_ready(port: int):
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert not ask(HttpProbe(f"http://{HOST}:{port}/health"), pid=other.pid)
        assert not ask(TcpProbe(HOST, port), pid=other.pid)
        other.communicate(b"\n")


def test_nothing_that_listens_is_not_ready():
    with socket.socket() as silent:
        # Bound, so that the port is given to nobody else meanwhile, and not listening.
        silent.bind((HOST, 0))
        free = silent.getsockname()[1]
        assert not ask(TcpProbe(HOST, free))
        assert not ask(HttpProbe(f"http://{HOST}:{free}/health"))


def test_a_line_of_an_earlier_start_does_not_count(tmp_path: Path):
    log = tmp_path / "a.log"
    log.write_text("worker started!\n")

    assert ask(LogProbe("started!"), log=log)
    assert not ask(LogProbe("started!"), log=log, offset=log.stat().st_size)


def test_a_process_with_nothing_to_ask_is_ready_after_a_while():
    assert not ask(AliveProbe(1.0), alive_s=0.9)
    assert ask(AliveProbe(1.0), alive_s=1.0)
