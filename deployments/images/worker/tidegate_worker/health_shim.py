"""What RunPod's load balancer asks: 204 while a worker gets ready, 200 when it serves, 503 when it must not be used.

`llama-server` itself says 503 while it loads, which the balancer would take for a broken worker.
"""

import hmac
import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tidegate_worker.problems import CONFIGURATION, WorkerProblem
from tidegate_worker.worker_state import Phase, WorkerState

REQUEST_TIMEOUT_S = 10.0


class HealthShim:
    """A small server of its own thread. Knows the worker's state and never changes it."""

    def __init__(self, state: WorkerState, host: str, port: int, health_path: str, key: str | None = None):
        """With a `key` the report is for those who present it. Raises: WorkerProblem when the port is taken."""

        class Handler(_Answers):
            worker, path_of_health, expected = state, health_path, f"Bearer {key}" if key else None

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as trouble:
            raise WorkerProblem(
                f"Port {port} cannot be listened on ({trouble.strerror}).",
                remedy="Give a port that is free.",
                exit_code=CONFIGURATION,
                field="PORT_HEALTH",
            ) from trouble
        self._server.daemon_threads = True

    def start(self) -> None:
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def health_status(state: WorkerState) -> HTTPStatus:
    """The engine is asked anew each time: a worker is ready as long as its engine answers."""
    match state.phase:
        case Phase.STARTING | Phase.FETCHING | Phase.LOADING:
            return HTTPStatus.NO_CONTENT
        case Phase.READY if state.engine is not None and state.engine.is_healthy():
            return HTTPStatus.OK
        case _:
            return HTTPStatus.SERVICE_UNAVAILABLE


class _Answers(BaseHTTPRequestHandler):
    worker: WorkerState
    path_of_health: str
    expected: str | None
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == self.path_of_health:
            self._answer(health_status(self.worker), self._health())
        elif path == "/worker" and self._may_read():
            self._answer(HTTPStatus.OK, self.worker.report())
        elif path == "/worker":
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "The worker's key is needed."})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"Ask for {self.path_of_health} or /worker."})

    def _health(self) -> dict[str, object]:
        """Behind a load balancer this is the only page of the worker's own that can be reached."""
        if self.expected is not None:
            return {"state": self.worker.phase.value}
        report = self.worker.report()
        return {"state": report["state"], "engine_memory_bytes": report["engine_memory_bytes"]}

    def _may_read(self) -> bool:
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        return self.expected is None or hmac.compare_digest(given, self.expected.encode())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, value: object) -> None:
        self.send_response(status)
        body = b"" if status is HTTPStatus.NO_CONTENT else json.dumps(value).encode()
        if body:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the class above
        """Silent: the balancer asks every few seconds."""
