"""The exporter's HTTP: metrics for Prometheus, its own health, and engines as targets of a service discovery.

Loopback by default and without a password, as Prometheus expects; behind a proxy where others may reach it. It shows
names and numbers only.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tidegate.domain.error_tracking import FORGET, NoteError
from tidegate.observability.collect_platform import EnginePage
from tidegate.observability.collecting import Collecting

log = logging.getLogger(__name__)
TEXT = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"
CLIENT_TIMEOUT_S = 10.0
ENGINES = "/engines/"
ESSENTIAL = ("ledger",)
"""Without these the page says nothing that matters."""


@dataclass(frozen=True)
class Reply:
    """What a path answers."""

    body: bytes
    content_type: str = JSON
    status: HTTPStatus = HTTPStatus.OK


class Exporter:
    """Answers paths. Asks nobody: every answer is made of what collectors saw last."""

    def __init__(
        self,
        collecting: Collecting,
        engines: Callable[[], Mapping[str, EnginePage]],
        *,
        clock: Callable[[], float] = time.time,
        note: NoteError = FORGET,
    ):
        self._collecting = collecting
        self._engines = engines
        self._clock = clock
        self.note = note

    def answer(self, path: str, host: str) -> Reply:
        """`host` is how the caller reached us: targets are told by the same name."""
        if path == "/metrics":
            return Reply(self._collecting.page(), TEXT)
        if path == "/healthz":
            return _json({"process": "exporter", "status": "ok", "collectors": self._collectors()})
        if path == "/readyz":
            why = self._why_not_ready()
            status = HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK
            said = {"process": "exporter", "status": "not ready" if why else "ok", "reasons": why}
            return _json({**said, "collectors": self._collectors()}, status)
        if path == "/sd/engines":
            return _json(self._targets(host))
        if path.startswith(ENGINES) and path.endswith("/metrics"):
            return self._engine(path.removeprefix(ENGINES).removesuffix("/metrics"))
        return _json({"error": "not found"}, HTTPStatus.NOT_FOUND)

    def _why_not_ready(self) -> list[str]:
        """In the words that every process of ours has for it."""
        now = self._clock()
        return [
            f"{one.collector.name}: {one.problem or 'it has not been read lately'}"
            for one in self._collecting.standings
            if one.collector.name in ESSENTIAL and not one.is_fresh(now)
        ]

    def _collectors(self) -> list[dict[str, Any]]:
        now = self._clock()
        return [
            {
                "name": one.collector.name,
                "fresh": one.is_fresh(now),
                "last_success": one.last_success or None,
                "duration_s": round(one.duration_s, 4),
                "errors": one.errors,
                "problem": one.problem,
            }
            for one in self._collecting.standings
        ]

    def _targets(self, host: str) -> list[dict[str, Any]]:
        """For `http_sd_configs`. Each engine is scraped here: its key stays with its platform, and it is asked once."""
        return [
            {
                "targets": [host],
                "labels": {
                    "__metrics_path__": f"{ENGINES}{name}/metrics",
                    "org": page.of.ref.org,
                    "service": page.of.ref.service,
                    "set": name,
                    "slot": page.of.slot,
                    "platform": page.of.platform,
                    "instance": name,
                },
            }
            for name, page in sorted(self._engines().items())
        ]

    def _engine(self, name: str) -> Reply:
        page = self._engines().get(name)
        if page is None:
            return _json({"error": "no such engine"}, HTTPStatus.NOT_FOUND)
        return Reply(page.text.encode(), TEXT)


def _json(content: Any, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    return Reply(json.dumps(content).encode(), JSON, status)


class _Handler(BaseHTTPRequestHandler):
    """One request. Never logs a path: it is a stranger's text."""

    protocol_version = "HTTP/1.1"
    timeout = CLIENT_TIMEOUT_S
    exporter: Exporter
    address: str

    def do_GET(self) -> None:
        try:
            reply = self.exporter.answer(urlsplit(self.path).path, self.address)
        except Exception as error:
            log.exception("exporter: %s", type(error).__name__)
            self.exporter.note(error, "exporter")
            reply = _json({"error": "internal"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def serve(exporter: Exporter, collecting: Collecting, host: str, port: int, stop: threading.Event) -> None:
    """Answer and collect until `stop` is set. Raises: OSError when the port is taken."""
    handler = type("Handler", (_Handler,), {"exporter": exporter, "address": f"{host}:{port}"})
    with _Server((host, port), handler) as server:
        collecting.run(stop)
        answering = threading.Thread(target=server.serve_forever, name="exporter-http", daemon=True)
        answering.start()
        stop.wait()
        server.shutdown()
        answering.join()
