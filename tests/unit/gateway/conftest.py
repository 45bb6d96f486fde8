"""Routes and keys of two organizations."""

from pathlib import Path

import pytest

from tidegate.domain import Route, Secret, Upstream
from tidegate.gateway import PROBE_CLIENT, ClientKey, GatewayConfig


@pytest.fixture
def config(tmp_path: Path) -> GatewayConfig:
    return GatewayConfig(name="gateway-1", root=tmp_path, port=8080, admin_socket=tmp_path / "a.sock")


@pytest.fixture
def make_route():
    def make(weights: dict[str, int], *, org: str = "acme", service: str = "chat", **changes) -> Route:
        upstreams = tuple(
            Upstream(
                set_name=name, host="127.0.0.1", port=9000 + number, digest="a" * 64, release_id=f"rel-{name}"
            )
            for number, name in enumerate(weights)
        )
        newest = next(reversed(weights), None)
        return Route(org=org, service=service, upstreams=upstreams, weights=weights, newest=newest, **changes)

    return make


@pytest.fixture
def keys() -> list[ClientKey]:
    return [
        ClientKey.of("acme", "app", Secret("key-of-acme")),
        ClientKey.of("other", "app", Secret("key-of-other")),
        ClientKey.of(PROBE_CLIENT, PROBE_CLIENT, Secret("key-of-probe")),
    ]
