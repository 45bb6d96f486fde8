"""Five small HTTP servers behind a front door of their own: what a set with several workers is to a client."""

import contextlib
import http.client
import json
import random
import threading
from collections.abc import Callable, Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]
"""Of a request's body: status and body of the reply."""


def _server(reply: Callable[[bytes], tuple[int, bytes, Mapping[str, str]]]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status, body, headers = reply(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


def _worker(number: int, answer: Answer, release: str, *, is_named: bool) -> ThreadingHTTPServer:
    headers = {"content-type": "application/json", "x-tidegate-release": release}
    if is_named:
        headers["x-runpod-worker-id"] = f"w{number}"

    def reply(body: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        status, said = answer(json.loads(body))
        return status, json.dumps(said).encode(), headers

    return _server(reply)


@contextlib.contextmanager
def front_door(answers: Mapping[int, Answer], release: str, *, is_named: bool) -> Generator[str]:
    """Address of a door that gives each request to a worker by chance, as doors do."""
    workers = [_worker(number, answer, release, is_named=is_named) for number, answer in answers.items()]
    ports = [worker.server_address[1] for worker in workers]
    chance, lock = random.Random(7), threading.Lock()

    def forward(body: bytes) -> tuple[int, bytes, Mapping[str, str]]:
        with lock:
            port = chance.choice(ports)
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.closing(asked):
            asked.request("POST", "/", body)
            reply = asked.getresponse()
            kept = {name: value for name, value in reply.getheaders() if name.startswith("x-")}
            return reply.status, reply.read(), {"content-type": "application/json", **kept}

    door = _server(forward)
    try:
        yield f"http://127.0.0.1:{door.server_address[1]}"
    finally:
        for server in (door, *workers):
            server.shutdown()
            server.server_close()
