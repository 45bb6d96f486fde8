"""Copies to the sampler in Envoy's files: only where a service asks, bounded, and beside a shadow."""

from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.domain import InvalidInput, Mirror, Route, Upstream
from tidegate.gateway import GatewayConfig
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import CLUSTERS, ROUTES
from tidegate.gateway.envoy import Envoy
from tidegate.gateway.render import render

ROUTE = Route(
    org="acme",
    service="chat",
    upstreams=tuple(
        Upstream(set_name=name, host="127.0.0.1", port=port, digest="a" * 64, release_id="r1")
        for name, port in (("blue", 4001), ("green", 4002))
    ),
    weights={"blue": 100, "green": 0},
    mirror=Mirror(set_name="green", percent=20),
)


def files(route: Route = ROUTE, **captures: float):
    config = GatewayConfig(
        name="gw",
        root=Path("/gw"),
        port=8080,
        admin_socket=Path("/run/gw.sock"),
        captures={name.replace("_", "/"): percent for name, percent in captures.items()},
    )
    return render([route], [], 1, config)


def policies(rendered) -> list[list[str]]:
    routes = rendered[ROUTES]["resources"][0]["virtual_hosts"][0]["routes"]
    return [
        [one["cluster"] for one in entry["route"].get("request_mirror_policies", ())]
        for entry in routes
        if "route" in entry
    ]


def test_no_copy_is_made_where_nobody_asked_for_it():
    rendered = files()
    assert not [name for entry in policies(rendered) for name in entry if name == "request_sampler"]
    assert "request_sampler" not in {one["name"] for one in rendered[CLUSTERS]["resources"]}
    assert not [
        name for entry in policies(files(other_chat=50.0)) for name in entry if name == "request_sampler"
    ]


def test_a_share_of_live_requests_goes_to_the_sampler_and_no_pinned_one():
    *pinned, live = policies(files(acme_chat=2.5))
    assert live.count("request_sampler") == 1
    assert not any(pinned)
    routes = files(acme_chat=2.5)[ROUTES]["resources"][0]["virtual_hosts"][0]["routes"]
    entry = next(
        one
        for route in routes
        for one in route.get("route", {}).get("request_mirror_policies", ())
        if one["cluster"] == "request_sampler"
    )
    assert entry["runtime_fraction"]["default_value"] == {"numerator": 25_000, "denominator": "MILLION"}
    assert entry["request_headers_mutations"][0]["append"]["header"] == {
        "key": "x-tidegate-captured",
        "value": "acme/chat",
    }


def test_a_shadow_and_the_sampler_get_their_copies_side_by_side():
    assert len(policies(files(acme_chat=1.0))[-1]) == 2


def test_a_sampler_that_hangs_is_left_by_number_and_by_time():
    (cluster,) = (
        one for one in files(acme_chat=1.0)[CLUSTERS]["resources"] if one["name"] == "request_sampler"
    )
    assert cluster["circuit_breakers"]["thresholds"][0]["max_requests"] == 16
    assert "max_stream_duration" in str(cluster)
    assert "/run/gw-sampler.sock" in str(cluster)


def test_a_socket_path_of_the_sampler_that_is_too_long_is_named(config, tmp_path):
    runtime = Path("/run") / ("x" * (95 - len("/run/gateway-1.sock")))
    long = replace(config, admin_socket=runtime / "gateway-1.sock", captures={"acme/chat": 5.0})
    with pytest.raises(InvalidInput, match="sampler socket"):
        Envoy(long, Admin(long.admin_socket), tmp_path / "envoy").start()
