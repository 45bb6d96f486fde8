"""Envoy's admin interface over its private Unix socket. Never reachable over the network."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tidegate.domain import Transient
from tidegate.gateway.config import AUTH, CLUSTERS, LISTENERS, ROUTES

_TIMEOUT_S = 5.0

SUBSCRIPTIONS = {
    LISTENERS: "listener_manager.lds",
    CLUSTERS: "cluster_manager.cds",
    ROUTES: "http.edge.rds.services",
    AUTH: "extension_config_discovery.http_filter.api_key_auth",
}
"""Prefix of the statistics about each file."""


class Admin:
    """A connection to the admin socket; it survives restarts of Envoy. Close it."""

    def __init__(self, socket: Path):
        self.socket = socket
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://envoy", timeout=_TIMEOUT_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **query: str) -> str:
        """Raises: Transient when Envoy does not answer."""
        return self._ask("GET", path, query).text

    def get_json(self, path: str, **query: str) -> Any:
        """Raises: Transient when Envoy does not answer."""
        return self._ask("GET", path, {**query, "format": "json"}).json()

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

    def _ask(self, method: str, path: str, query: dict[str, str]) -> httpx.Response:
        try:
            reply = self._client.request(method, path, params=query)
        except httpx.HTTPError as error:
            raise Transient(
                "Envoy's admin socket does not answer.",
                remedy="The agent starts Envoy again by itself; see envoy.log if this stays.",
                cause=type(error).__name__,
            ) from error
        return reply


def _escape(name: str) -> str:
    return name.replace(".", r"\.")
