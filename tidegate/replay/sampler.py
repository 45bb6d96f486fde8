"""Takes the copies of requests that a gateway's Envoy sends: answers at once, and keeps them when there is time.

It listens on a socket file that only its owner can open. It never holds a client up: Envoy does not wait for it, and
what comes faster than it can be kept is dropped and counted.
"""

import contextlib
import logging
import queue
import socketserver
import threading
import time
from collections.abc import Callable, Generator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast

from tidegate.domain import InvalidInput, ServiceRef, TidegateError

SERVICE_HEADER = "x-tidegate-captured"
CLIENT_HEADER = "x-tidegate-client"
PROBE_CLIENT = "tidegate-probe"
"""As the gateway names our own probe, whose requests say nothing about clients."""
PATH_END = "/chat/completions"
MAX_BODY_BYTES = 1024**2
MAX_WAITING = 256
GATHER_S = 0.5
"""Copies of so long are kept in one transaction."""
READ_TIMEOUT_S = 5.0
OWNER_ONLY = 0o600

log = logging.getLogger(__name__)

Copy = tuple[ServiceRef, bytes]
Keep = Callable[[Sequence[Copy]], object]


@contextlib.contextmanager
def sampling(path: Path | None, keep: Keep) -> Generator[None]:
    """A sampler in a thread of its own while the block runs; none without a path."""
    if path is None:
        yield
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop = threading.Event()
    thread = threading.Thread(target=Sampler(path, keep).serve, args=(stop,), name="sampler", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Sampler:
    """One socket and one thread that keeps. `keep` may raise: the request is then lost, and the log says so."""

    def __init__(self, path: Path, keep: Keep):
        self._path = path
        self._keep = keep
        self._waiting: queue.Queue[Copy | None] = queue.Queue(MAX_WAITING)
        self.dropped = 0
        self.is_listening = threading.Event()

    def serve(self, stop: threading.Event) -> None:
        """Until `stop` is set; what has arrived by then is kept."""
        self._path.unlink(missing_ok=True)
        server = _Server(str(self._path), self.offer)
        self._path.chmod(OWNER_ONLY)
        listening = threading.Thread(target=server.serve_forever, name="sampler", daemon=True)
        keeping = threading.Thread(target=self._keep_all, name="sampler-keeps", daemon=True)
        for thread in (listening, keeping):
            thread.start()
        self.is_listening.set()
        try:
            stop.wait()
        finally:
            server.shutdown()
            server.server_close()
            listening.join()
            self._waiting.put(None)
            keeping.join()
            self._path.unlink(missing_ok=True)

    def offer(self, ref: ServiceRef, body: bytes) -> None:
        """Keep it soon, or drop it: nobody waits."""
        try:
            self._waiting.put_nowait((ref, body))
        except queue.Full:
            self.dropped += 1

    def _keep_all(self) -> None:
        is_over = False
        while not is_over:
            copies, is_over = self._gather()
            if not copies:
                continue
            try:
                self._keep(copies)
            except TidegateError as error:
                # The message is ours; what clients sent is never in it.
                log.warning("%d sampled requests were not kept: %s", len(copies), error.message)
            except Exception as error:  # noqa: BLE001 - what clients send may not end the sampling of all others
                log.warning("%d sampled requests were not kept: %s", len(copies), type(error).__name__)

    def _gather(self) -> tuple[list[Copy], bool]:
        """What has come, waiting for the first one without end and for others shortly; and whether that was all."""
        found, copies = self._waiting.get(), list[Copy]()
        end = time.monotonic() + GATHER_S
        while found is not None:
            copies.append(found)
            try:
                found = self._waiting.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return copies, False
        return copies, True


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
        is_probe = self.headers.get(CLIENT_HEADER, "") == PROBE_CLIENT
        if (
            body is not None
            and ref is not None
            and not is_probe
            and self.path.partition("?")[0].endswith(PATH_END)
        ):
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
