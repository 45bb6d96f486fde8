"""Stand-ins on loopback: an exporter that says what it is told, a webhook and a mail server that keep what arrives."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any


@dataclass(frozen=True)
class Notice:
    """One webhook call."""

    path: str
    authorization: str
    body: dict[str, Any]

    @property
    def alerts(self) -> set[tuple[str, str]]:
        """Name and status of each."""
        return {(alert["labels"]["alertname"], alert["status"]) for alert in self.body["alerts"]}


@dataclass
class Outside:
    """Everything around Prometheus and Alertmanager."""

    metrics: str = ""
    notices: list[Notice] = field(default_factory=list)
    mails: list[tuple[str, str]] = field(default_factory=list)
    http: str = ""
    smtp: str = ""

    def arrived(self, receiver: str) -> set[tuple[str, str]]:
        """Name and status of every alert that this receiver got."""
        got = [notice for notice in self.notices if notice.body["receiver"] == receiver]
        return set().union(*(notice.alerts for notice in got))


class _Server(socketserver.ThreadingTCPServer):
    """Knows the world that its handlers write to."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, handler: type[socketserver.StreamRequestHandler], world: Outside):
        super().__init__(("127.0.0.1", 0), handler)
        self.world = world

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Http(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(self.server.world.metrics.encode(), "text/plain; version=0.0.4")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        notice = Notice(self.path, self.headers.get("Authorization", ""), body)
        self.server.world.notices.append(notice)
        self._answer(b"{}", "application/json")

    def _answer(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Silent."""


class _Smtp(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self._say("220 sink")
        to = ""
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "RCPT":
                to = line.split("<", 1)[1].split(">", 1)[0]
            if verb == "DATA":
                self._say("354 go on")
                self.server.world.mails.append((to, self._text()))
            self._say("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                return

    def _text(self) -> str:
        lines: list[str] = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        return "\n".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def outside() -> Iterator[Outside]:
    """Serve until the end of the block."""
    world = Outside()
    with _Server(_Http, world) as http, _Server(_Smtp, world) as smtp:
        world.http, world.smtp = http.address, smtp.address
        servers = (http, smtp)
        threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
        for thread in threads:
            thread.start()
        try:
            yield world
        finally:
            for server, thread in zip(servers, threads, strict=True):
                server.shutdown()
                thread.join()
