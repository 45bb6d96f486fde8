"""The moving part of Envoy's configuration as resources: clusters, routes and client keys."""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from tidegate.domain import Route, Upstream
from tidegate.gateway.config import PROBE_CLIENT, ClientKey, GatewayConfig
from tidegate.gateway.listener import AUTH_FILTER, AUTH_TYPE, METADATA, ROUTE_TABLE, TYPE, Json

PIN_HEADER = "x-tidegate-pin"
SESSION_HEADER = "x-session-id"
CLIENT_HEADER = "x-tidegate-client"
UNLIMITED = 1_000_000

# llama-server closes idle connections after 5 s; a request sent at that moment would be lost.
UPSTREAM_IDLE = "3s"

_NEVER_UPSTREAM = ("authorization", "x-api-key", PIN_HEADER, "x-envoy-internal", "x-envoy-external-address")
_KEY_SOURCES: list[Json] = [{"header": "authorization"}, {"header": "x-api-key"}]
_FORWARDING: Json = {"header": CLIENT_HEADER, "hide_credentials": True}
_HTTP_OPTIONS = f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"

# Envoy allows 3 retries at once by default: a dead canary under load would fail the rest.
_NO_BREAKERS: Json = {
    "thresholds": [
        dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED)
    ]
}


def fallback_name(first: str, second: str) -> str:
    """Cluster that sends to `first`, and to `second` while `first` has no healthy member."""
    return f"{first}_else_{second}"


def clusters(groups: Iterable[Sequence[Upstream]]) -> list[Json]:
    """One cluster a set and one a fallback pair within each group (the sets of one service).

    They depend on the sets only, never on weights: a change of weights touches the routes alone.
    """
    resources: dict[str, Json] = {}
    for group in groups:
        for upstream in group:
            resources[upstream.set_name] = _cluster(upstream)
            for other in group:
                if other.set_name != upstream.set_name:
                    pair = _fallback(upstream.set_name, other.set_name)
                    resources[str(pair["name"])] = pair
    return [resources[name] for name in sorted(resources)]


def _cluster(upstream: Upstream) -> Json:
    endpoint: Json = {
        "endpoint": {
            "hostname": upstream.host,
            "address": {"socket_address": {"address": upstream.host, "port_value": upstream.port}},
        },
        "metadata": {
            "filter_metadata": {METADATA: {"set": upstream.set_name, "release": upstream.release_id}}
        },
    }
    return {
        "@type": f"{TYPE}.config.cluster.v3.Cluster",
        "name": upstream.set_name,
        "type": "STATIC" if _is_address(upstream.host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": upstream.set_name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "health_checks": [_health_check(upstream)],
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": _NO_BREAKERS,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _HTTP_OPTIONS,
                # llama-server announces keep-alive and closes after every streamed answer all the same: a request
                # sent on such a connection would be lost. A new connection on loopback costs 0.1 ms.
                "common_http_protocol_options": {
                    "idle_timeout": UPSTREAM_IDLE,
                    "max_requests_per_connection": 1,
                },
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _health_check(upstream: Upstream) -> Json:
    """A refused connection or a 503 (still loading) is out within 0.5 s, a hanging engine within 4 s.

    Without `no_traffic_interval` an idle set would be asked once a minute.
    """
    return {
        "interval": "0.25s",
        "no_traffic_interval": "0.25s",
        "interval_jitter": "0.02s",
        "timeout": "1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/health", "host": upstream.host},
    }


def _fallback(first: str, second: str) -> Json:
    return {
        "@type": f"{TYPE}.config.cluster.v3.Cluster",
        "name": fallback_name(first, second),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _NO_BREAKERS,
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{TYPE}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": [first, second],
            },
        },
    }


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def route_table(routes: Sequence[Route], keys: Sequence[ClientKey], config: GatewayConfig) -> Json:
    """The whole route configuration; what matches nothing is a 404 that asks for no key."""
    entries: list[Json] = []
    for route in sorted(routes, key=lambda one: (one.org, one.service)):
        entries += _service_routes(route, keys, config)
    return {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": ROUTE_TABLE,
        "validate_clusters": True,
        "virtual_hosts": [{"name": "gateway", "domains": ["*"], "routes": [*entries, _nothing_here()]}],
        "response_headers_to_add": [
            _attribution("x-tidegate-release", "release"),
            _attribution("x-tidegate-set", "set"),
        ],
        "request_headers_to_remove": list(_NEVER_UPSTREAM),
    }


def _attribution(header: str, field: str) -> Json:
    """From the endpoint that answered: it stays right after a retry, and is empty for Envoy's own replies."""
    return {
        "header": {"key": header, "value": f"%UPSTREAM_METADATA({METADATA}:{field})%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _service_routes(route: Route, keys: Sequence[ClientKey], config: GatewayConfig) -> list[Json]:
    clients = {key.identity for key in keys if key.org == route.org} | {PROBE_CLIENT}
    pins = [
        _entry(route, {"string_match": {"exact": name}}, [PROBE_CLIENT], _send({"cluster": name}, config))
        for name in sorted(route.weights)
    ]
    unknown_pin = _entry(route, {"present_match": True}, [PROBE_CLIENT], _answer(404))
    weighted = _weighted(route)
    answer = _send(weighted, config) if weighted else _answer(503)
    return [*pins, unknown_pin, _entry(route, None, sorted(clients), answer)]


def _entry(route: Route, pin: Json | None, clients: list[str], answer: Json) -> Json:
    match: Json = {"prefix": f"/{route.org}/{route.service}/v1/"}
    if pin is not None:
        match["headers"] = [{"name": PIN_HEADER, **pin}]
    return {
        "name": f"{route.org}/{route.service}",
        "match": match,
        **answer,
        "typed_per_filter_config": {AUTH_FILTER: _only(clients)},
    }


def _only(clients: list[str]) -> Json:
    """Per-route settings replace the filter's, so hiding the key is said again (else it goes upstream).

    An empty list would let everybody in: it always names the probe at least.
    """
    return {
        "@type": f"{TYPE}.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute",
        "allowed_clients": clients,
        "forwarding": _FORWARDING,
    }


def _answer(status: int) -> Json:
    return {"direct_response": {"status": status}}


def _nothing_here() -> Json:
    disabled = {"@type": f"{TYPE}.config.route.v3.FilterConfig", "disabled": True}
    return {
        "name": "none",
        "match": {"prefix": "/"},
        **_answer(404),
        "typed_per_filter_config": {AUTH_FILTER: disabled},
    }


def _weighted(route: Route) -> Json | None:
    """Clusters by weight, the newest set first: raising its share then moves no sticky session off it."""
    serving = sorted(
        (name for name, weight in route.weights.items() if weight > 0),
        key=lambda name: (name != route.newest, name),
    )
    if not serving:
        return None
    entries = [
        {"name": _with_fallback(name, serving, route), "weight": route.weights[name]} for name in serving
    ]
    return {"weighted_clusters": {"clusters": entries, "use_hash_policy": {"value": True}}}


def _with_fallback(name: str, serving: list[str], route: Route) -> str:
    """Only a set that has weight itself may stand in for another: one at 0 is not proven."""
    others = [other for other in serving if other != name]
    if not others:
        return name
    return fallback_name(name, max(others, key=lambda other: (route.weights[other], other)))


def _send(destination: Json, config: GatewayConfig) -> Json:
    """No total time limit (streams), but an idle one; retries only where the engine saw no request.

    `reset` is left out on purpose: a request that crashes an engine must not be sent to the next one.
    """
    action: Json = {
        **destination,
        "prefix_rewrite": "/v1/",
        "auto_host_rewrite": True,
        "timeout": "0s",
        "idle_timeout": f"{config.stream_idle_s}s",
        "hash_policy": [{"header": {"header_name": SESSION_HEADER}, "terminal": True}],
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-status-codes",
            "retriable_status_codes": [503],
            "num_retries": 3,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
            "refresh_cluster_on_retry": True,
        },
    }
    return {"route": action}


def auth_filter(keys: Sequence[ClientKey]) -> Json:
    """The extension that knows all client keys, in clear text: its file is readable by the owner only."""
    ordered = sorted(keys, key=lambda key: (key.identity, key.key.reveal()))
    credentials: list[dict[str, Any]] = [{"key": key.key.reveal(), "client": key.identity} for key in ordered]
    return {
        "@type": f"{TYPE}.config.core.v3.TypedExtensionConfig",
        "name": AUTH_FILTER,
        "typed_config": {
            "@type": AUTH_TYPE,
            "credentials": credentials,
            "key_sources": _KEY_SOURCES,
            "forwarding": _FORWARDING,
        },
    }
