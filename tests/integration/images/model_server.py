"""Sources of models that misbehave on command: cut connections, refused ranges, wrong bytes, signed reads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
Header = dict[str, str]


@dataclass
class Source:
    """`breaks` bytes are sent of each of the first `broken` replies; `gate` holds replies back until it is set."""

    content: bytes
    broken: int = 0
    breaks: int = 0
    has_ranges: bool = True
    gate: threading.Event | None = None
    allows: Callable[[str, Header], bool] = lambda path, headers: True
    asked: list[tuple[str, Header]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@contextmanager
def serving(source: Source) -> Iterator[Source]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            source.asked.append((self.path, headers))
            if not source.allows(self.path, headers):
                self.send_error(403)
                return
            if source.gate is not None:
                source.gate.wait(30)
            self._send(headers.get("range") if source.has_ranges else None)

        def _send(self, span: str | None) -> None:
            first = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
            whole = len(source.content)
            if first >= whole:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{whole}")
                self.end_headers()
                return
            self.send_response(206 if span else 200)
            if span:
                self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
            self.send_header("Content-Length", str(whole - first))
            self.end_headers()
            body = source.content[first:]
            if source.broken > 0:
                source.broken -= 1
                body = body[: source.breaks]
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by its base
            return

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    source.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield source
    finally:
        if source.gate is not None:
            source.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
