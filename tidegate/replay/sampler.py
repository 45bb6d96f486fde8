"""Takes the copies of requests that a gateway's Envoy sends: answers at once, and keeps them when there is time.

It listens on a socket file that only its owner can open. It never holds a client up: Envoy does not wait for it, and
what comes faster than it can be kept is dropped and counted.
"""

import contextlib
import logging
import queue
import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

from tidegate.domain import InvalidInput, ServiceRef, TidegateError

SERVICE_HEADER = "x-tidegate-captured"
PATH_END = "/chat/completions"
MAX_BODY_BYTES = 1024**2
MAX_WAITING = 256
READ_TIMEOUT_S = 5.0
OWNER_ONLY = 0o600

log = logging.getLogger(__name__)

Keep = Callable[[ServiceRef, bytes], object]


class Sampler:
    """One socket and one thread that keeps. `keep` may raise: the request is then lost, and the log says so."""

    def __init__(self, path: Path, keep: Keep):
        self._path = path
        self._keep = keep
        self._waiting: queue.Queue[tuple[ServiceRef, bytes] | None] = queue.Queue(MAX_WAITING)
        self.dropped = 0

    def serve(self, stop: threading.Event) -> None:
        """Until `stop` is set; what has arrived by then is kept."""
        self._path.unlink(missing_ok=True)
        server = _Server(str(self._path), self._offer)
        self._path.chmod(OWNER_ONLY)
        listening = threading.Thread(target=server.serve_forever, name="sampler", daemon=True)
        keeping = threading.Thread(target=self._keep_all, name="sampler-keeps", daemon=True)
        for thread in (listening, keeping):
            thread.start()
        try:
            stop.wait()
        finally:
            server.shutdown()
            server.server_close()
            listening.join()
            self._waiting.put(None)
            keeping.join()
            self._path.unlink(missing_ok=True)

    def _offer(self, ref: ServiceRef, body: bytes) -> None:
        try:
            self._waiting.put_nowait((ref, body))
        except queue.Full:
            self.dropped += 1

    def _keep_all(self) -> None:
        while (found := self._waiting.get()) is not None:
            ref, body = found
            try:
                self._keep(ref, body)
            except TidegateError as error:
                # The message is ours; what the client sent is never in it.
                log.warning("a sampled request of %s was not kept: %s", ref, error.message)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: str, offer: Callable[[ServiceRef, bytes], None]):
        self.offer = offer
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Envoy hung up in the middle: there is nothing to keep and nobody to tell."""
        log.debug("the connection of a copy broke off", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = READ_TIMEOUT_S

    def do_POST(self) -> None:
        body = self._body()
        ref = _service(self.headers.get(SERVICE_HEADER, ""))
        if body is not None and ref is not None and self.path.partition("?")[0].endswith(PATH_END):
            cast("_Server", self.server).offer(ref, body)
        self.send_response(204)
        self.send_header("content-length", "0")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Nothing of a request goes to a log."""

    def _body(self) -> bytes | None:
        """The whole body; None when it is larger than what is kept."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return self._chunks()
        length = self.headers.get("content-length", "")
        size = int(length) if length.isdecimal() else 0
        return self.rfile.read(size) if 0 < size <= MAX_BODY_BYTES else None

    def _chunks(self) -> bytes | None:
        body = bytearray()
        with contextlib.suppress(ValueError):
            while size := int(self.rfile.readline(64).split(b";")[0], 16):
                if size < 0 or len(body) + size > MAX_BODY_BYTES:
                    return None
                body += self.rfile.read(size)
                self.rfile.readline(8)
            return bytes(body)
        return None


def _service(text: str) -> ServiceRef | None:
    try:
        return ServiceRef.parse(text)
    except InvalidInput:
        return None


def answers(path: Path) -> bool:
    """Whether a sampler listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
