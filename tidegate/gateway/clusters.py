"""Sets as Envoy's clusters, and pairs of them as fallbacks. What is special about sets elsewhere: `doors.py`."""

from collections.abc import Iterable, Sequence

from tidegate.domain import Upstream
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.copies import copies_cluster
from tidegate.gateway.doors import door, http_options, in_front_of, is_address
from tidegate.gateway.listener import METADATA, TYPE, Json

UNLIMITED = 1_000_000

# llama-server closes idle connections after 5 s; a request sent at that moment would be lost.
UPSTREAM_IDLE = "3s"

# Envoy allows 3 retries at once by default: a dead canary under load would fail the rest.
_NO_BREAKERS: Json = {
    "thresholds": [
        dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), UNLIMITED)
    ]
}


def fallback_name(first: str, second: str) -> str:
    """Cluster that sends to `first`, and to `second` while `first` has no healthy member."""
    return f"{first}_else_{second}"


def clusters(groups: Iterable[Sequence[Upstream]], config: GatewayConfig) -> list[Json]:
    """One cluster a set, one for copies to it, one behind it for a set elsewhere, and one a fallback pair within
    each group (the sets of one service).

    They depend on the sets only, never on weights: a change of weights touches the routes alone.
    """
    resources: dict[str, Json] = {}
    for group in groups:
        for upstream in group:
            made = [_remote(upstream), door(upstream, config)] if upstream.is_remote else [_local(upstream)]
            made.append(copies_cluster(upstream))
            made += [
                _fallback(upstream.set_name, other.set_name)
                for other in group
                if other.set_name != upstream.set_name
            ]
            resources |= {str(one["name"]): _with_limits(one) for one in made}
    return [resources[name] for name in sorted(resources)]


def _with_limits(cluster: Json) -> Json:
    return {"@type": f"{TYPE}.config.cluster.v3.Cluster", "circuit_breakers": _NO_BREAKERS, **cluster}


def _local(upstream: Upstream) -> Json:
    address: Json = {"socket_address": {"address": upstream.host, "port_value": upstream.port}}
    return {
        "name": upstream.set_name,
        "type": "STATIC" if is_address(upstream.host) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": _members(upstream, upstream.host, address),
        "health_checks": [_health_check(upstream)],
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # llama-server announces keep-alive and closes after every streamed answer all the same: a request
        # sent on such a connection would be lost. A new connection on loopback costs 0.1 ms.
        **http_options({"idle_timeout": UPSTREAM_IDLE, "max_requests_per_connection": 1}),
    }


def _remote(upstream: Upstream) -> Json:
    """The set as routes see it: its member is its door in this Envoy.

    It is judged by its answers, because a question about health would wake and bill a sleeping worker. One that
    is out has its fallback's help; without a healthy fallback it is asked all the same (panic mode).
    """
    name, address = in_front_of(upstream)
    return {
        "name": upstream.set_name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": _members(upstream, name, address),
        "outlier_detection": {
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_time": "30s",
            "max_ejection_percent": 100,
        },
        **http_options({}),
    }


def _members(upstream: Upstream, host_name: str, address: Json) -> Json:
    member: Json = {
        "endpoint": {"hostname": host_name, "address": address},
        "metadata": {
            "filter_metadata": {METADATA: {"set": upstream.set_name, "release": upstream.release_id}}
        },
    }
    return {"cluster_name": upstream.set_name, "endpoints": [{"lb_endpoints": [member]}]}


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
        "name": fallback_name(first, second),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{TYPE}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": [first, second],
            },
        },
    }
