"""`/healthz` and `/readyz` of one process: it lives, and it may do its work. On a Unix socket in the runtime folder.

A socket needs no port, no address and no secret: who may open it is the user that runs Tidegate. `/healthz` answers 200 as
long as the process answers at all. `/readyz` answers 200, or 503 with reasons; a reason names no secret.
"""

import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tidegate.domain import TidegateError
from tidegate.observability.concealing import conceal

ANSWER_S = 2.0
"""A condition that takes longer is not met."""
ASK_S = 5.0
SUFFIX = ".health"


@dataclass(frozen=True)
class Condition:
    """One thing that a process needs to do its work. `look` returns why not, or an empty text."""

    name: str
    look: Callable[[], str]


class Pulse:
    """Says how long ago the loop of a process last turned: a process that lives and does nothing is not ready."""

    def __init__(self, limit_s: float, monotonic: Callable[[], float] = time.monotonic):
        self._limit_s = limit_s
        self._now = monotonic
        self._beat_at: float | None = None

    def beat(self) -> None:
        self._beat_at = self._now()

    def why_not(self) -> str:
        if self._beat_at is None:
            return "its loop has not begun"
        silent_s = self._now() - self._beat_at
        return f"its loop has not turned for {silent_s:.0f} s" if silent_s > self._limit_s else ""


def reasons(conditions: Sequence[Condition], timeout_s: float = ANSWER_S) -> list[str]:
    """Why the process may not do its work; empty when it may. All conditions are looked at at once, in a bounded time."""
    seen: dict[str, str] = {}

    def look(condition: Condition) -> None:
        seen[condition.name] = _looked(condition)

    threads = [threading.Thread(target=look, args=(one,), daemon=True) for one in conditions]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    found = {one.name: seen.get(one.name, f"no answer within {timeout_s:g} s") for one in conditions}
    return [f"{name}: {conceal(why)}" for name, why in found.items() if why]


def _looked(condition: Condition) -> str:
    try:
        return condition.look()
    except TidegateError as error:
        return f"{error.code} {error.message}"
    except Exception as error:  # noqa: BLE001  # not to be able to look is an answer
        return type(error).__name__


def answer(path: str, process: str, conditions: Sequence[Condition]) -> tuple[int, dict[str, Any]]:
    """Status and body of a GET."""
    match path.partition("?")[0]:
        case "/healthz":
            return 200, {"process": process, "status": "ok"}
        case "/readyz":
            why = reasons(conditions)
            return (503 if why else 200), {
                "process": process,
                "status": "not ready" if why else "ok",
                "reasons": why,
            }
        case _:
            return 404, {"error": "Ask for /healthz or /readyz."}


def socket_of(runtime_dir: Path, process: str) -> Path:
    return runtime_dir / f"{process}{SUFFIX}"


@contextmanager
def answering(runtime_dir: Path, process: str, conditions: Sequence[Condition]) -> Generator[None]:
    """Answer beside the work of the process, and remove the socket at the end. A socket that a killed process left is
    taken over."""
    path = socket_of(runtime_dir, process)
    runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    server = _Server(str(path), _handler(process, conditions))
    os.chmod(path, 0o600)
    inode = path.stat().st_ino
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="health", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        # A successor may have taken the name already.
        if path.exists() and path.stat().st_ino == inode:
            path.unlink(missing_ok=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def _handler(process: str, conditions: Sequence[Condition]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = ASK_S

        def do_GET(self) -> None:
            status, content = answer(self.path, process, conditions)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is inherited
            """Asked every few seconds: no line in the log is worth it."""

    return Handler


@dataclass(frozen=True)
class Answered:
    """What a process said of itself. `reasons` is empty when it may do its work."""

    process: str
    is_alive: bool
    reasons: tuple[str, ...] = ()


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path):
        super().__init__("localhost", timeout=ASK_S)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: Path, process: str) -> Answered:
    """Ask one process whether it may do its work."""
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/readyz")
        said: Any = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError) as error:
        return Answered(process, is_alive=False, reasons=(f"it does not answer ({type(error).__name__})",))
    finally:
        connection.close()
    return Answered(process, is_alive=True, reasons=tuple(str(one) for one in _listed(said)))


def _listed(said: Any) -> Sequence[object]:
    if isinstance(said, Mapping) and isinstance(said.get("reasons"), list):  # pyright: ignore[reportUnknownMemberType]
        return list(said["reasons"])  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return ["it answers, but not as a process of ours"]
