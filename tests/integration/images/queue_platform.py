"""As much of RunPod's job plane as a worker sees: take, stop, done, stream and ping, with long polls."""

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.integration.platforms.watching import until

HOST = "127.0.0.1"
KEY = "worker-key"
HOLD_S = 20.0


class QueuePlatform:
    """Gives out jobs in order and keeps what comes back."""

    def __init__(self, port: int):
        self._base = f"http://{HOST}:{port}/v2/ep1"
        self._changed = threading.Condition()
        self._waiting: list[dict[str, Any]] = []
        self._to_stop: list[str] = []
        self._is_draining = False
        self.taken: list[str] = []
        self.most_in_hand = 0
        self.done: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.chunks: dict[str, list[Any]] = defaultdict(list)
        self.pings: list[list[str]] = []
        self.keys: set[str] = set()

    def environment(self) -> dict[str, str]:
        return {
            "TIDEGATE_WORKER_MODE": "QUEUE",
            "RUNPOD_POD_ID": "w1",
            "RUNPOD_ENDPOINT_ID": "ep1",
            "RUNPOD_AI_API_KEY": KEY,
            "RUNPOD_WEBHOOK_GET_JOB": f"{self._base}/job-take/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{self._base}/job-done/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{self._base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=x",
            "RUNPOD_WEBHOOK_PING": f"{self._base}/ping/$RUNPOD_POD_ID?gpu=x",
            "RUNPOD_PING_INTERVAL": "1000",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }

    def submit(self, *inputs: dict[str, Any]) -> list[str]:
        jobs = [{"id": f"{uuid.uuid4()}-u1", "input": given} for given in inputs]
        with self._changed:
            self._waiting += jobs
            self._changed.notify_all()
        return [job["id"] for job in jobs]

    def result(self, job: str) -> dict[str, Any]:
        """The last thing that was posted as done, once it is more than progress."""
        until(lambda: any(body.get("status") != "IN_PROGRESS" for body in self.done[job]))
        return next(body for body in self.done[job] if body.get("status") != "IN_PROGRESS")

    def in_hand(self) -> list[str]:
        """Taken, and not posted as done."""
        return [
            job
            for job in list(self.taken)
            if not any(body.get("status") != "IN_PROGRESS" for body in list(self.done[job]))
        ]

    def stop(self, job: str) -> None:
        with self._changed:
            self._to_stop.append(job)
            self._changed.notify_all()

    def drain(self) -> None:
        """Answer the open polls, as a platform does before it signals a worker."""
        with self._changed:
            self._is_draining = True
            self._changed.notify_all()

    def take(self, at_most: int) -> list[dict[str, Any]]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_draining, HOLD_S)
            given, self._waiting = self._waiting[:at_most], self._waiting[at_most:]
            self.taken += [job["id"] for job in given]
            self.most_in_hand = max(self.most_in_hand, len(self.in_hand()))
        return given

    def stops(self) -> list[str]:
        with self._changed:
            self._changed.wait_for(lambda: self._to_stop or self._is_draining, HOLD_S)
            told, self._to_stop = self._to_stop, []
        return told


@contextmanager
def queue_platform() -> Iterator[QueuePlatform]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, query = urlsplit(self.path).path.split("/")[3], parse_qs(urlsplit(self.path).query)
            platform.keys.add(self.headers.get("Authorization", ""))
            if kind == "ping":
                platform.pings.append(query.get("job_id", [""])[0].split(","))
                self._answer(200, {})
            elif kind == "job-stop":
                told = platform.stops()
                self._answer(200 if told else 204, {"jobsToStop": told})
            else:
                jobs = platform.take(int(query.get("batch_size", ["1"])[0]))
                self._answer(200 if jobs else 204, jobs if kind == "job-take-batch" or not jobs else jobs[0])

        def do_POST(self) -> None:
            kind, job = urlsplit(self.path).path.split("/")[3], urlsplit(self.path).path.split("/")[5]
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if kind == "job-stream":
                platform.chunks[job].append(body["output"])
            else:
                platform.done[job].append(body)
            self._answer(200, {})

        def _answer(self, status: int, value: object) -> None:
            body = b"" if status == 204 else json.dumps(value).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                # A worker that was killed left its long poll open.
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by its base
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """Connections of killed workers end in the middle; that is what these tests do."""

    server = Server((HOST, 0), Handler)
    platform = QueuePlatform(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield platform
    finally:
        platform.drain()
        server.shutdown()
        server.server_close()
        thread.join()
