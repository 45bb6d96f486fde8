"""Envoy's admin interface over its private Unix socket. Never reachable over the network."""

import http.client
import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from tidegate.domain import Transient
from tidegate.gateway.config import AUTH, CLUSTERS, DOORS, LISTENERS, ROUTES

_TIMEOUT_S = 5.0

SUBSCRIPTIONS = {
    LISTENERS: "listener_manager.lds",
    CLUSTERS: "cluster_manager.cds",
    ROUTES: "http.edge.rds.services",
    DOORS: "http.doors.rds.front_doors",
    AUTH: "extension_config_discovery.http_filter.api_keys",
}
"""Prefix of the statistics about each file."""


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket. (httpx leaves a socket open after each refused connection.)"""

    def __init__(self, path: Path):
        super().__init__("envoy", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Admin:
    """A connection to the admin socket; it survives restarts of Envoy. For one thread; close it."""

    def __init__(self, path: Path):
        self.path = path
        self._connection = _SocketConnection(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str, **query: str) -> str:
        """Raises: Transient when Envoy does not answer."""
        return self._ask("GET", path, query)

    def get_json(self, path: str, **query: str) -> Any:
        """Raises: Transient when Envoy does not answer."""
        return json.loads(self._ask("GET", path, {**query, "format": "json"}))

    def post(self, path: str) -> None:
        """Raises: Transient when Envoy does not answer."""
        self._ask("POST", path, {})

    def stats(self, pattern: str) -> dict[str, str]:
        """Statistics whose names match the regular expression, as texts."""
        lines = self.get("/stats", filter=pattern).splitlines()
        pairs = (line.split(": ", 1) for line in lines if ": " in line)
        return {name: value.strip('"') for name, value in pairs}

    def numbers(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match."""
        return {name: int(value) for name, value in self.stats(pattern).items() if value.isdigit()}

    def is_live(self) -> bool:
        """Whether Envoy runs and is initialized; says nothing about its routes."""
        try:
            return self.get("/ready").startswith("LIVE")
        except Transient:
            return False

    def version(self, file: str) -> str:
        """The version of a file that Envoy took last; empty when it took none."""
        name = f"{SUBSCRIPTIONS[file]}.version_text"
        return self.stats(f"^{_escape(name)}$").get(name, "")

    def refusals(self, file: str) -> int:
        """How often Envoy refused or could not read this file."""
        return sum(self.numbers(rf"^{_escape(SUBSCRIPTIONS[file])}\.update_(rejected|failure)$").values())

    def active_requests(self) -> int:
        """Requests in flight from all clients."""
        return self.numbers(r"^http\.edge\.downstream_rq_active$").get("http.edge.downstream_rq_active", 0)

    def _ask(self, method: str, path: str, query: dict[str, str]) -> str:
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            return self._once(method, target)
        except (OSError, http.client.HTTPException):
            # Envoy may have restarted since the last question: ask once more on a new connection.
            self._connection.close()
        try:
            return self._once(method, target)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Transient(
                "Envoy's admin socket does not answer.",
                remedy="The agent starts Envoy again by itself; see envoy.log if this stays.",
                cause=type(error).__name__,
            ) from error

    def _once(self, method: str, target: str) -> str:
        self._connection.request(method, target)
        return self._connection.getresponse().read().decode()


def _escape(name: str) -> str:
    return name.replace(".", r"\.")
