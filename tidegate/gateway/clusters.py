"""Sets as Envoy's clusters: on our own hosts, or behind a vendor's front door with TLS, a path and a credential."""

import ipaddress
import re
from collections.abc import Iterable, Sequence

from tidegate.domain import InvalidInput, Secret, Upstream
from tidegate.gateway.admission import program
from tidegate.gateway.config import CREDENTIALS, GatewayConfig
from tidegate.gateway.listener import LUA_TYPE, METADATA, TYPE, Json

UNLIMITED = 1_000_000
SECRET_NAME_PATTERN = r"[a-z][a-z0-9-]{1,99}"

# llama-server closes idle connections after 5 s; a request sent at that moment would be lost.
UPSTREAM_IDLE = "3s"
# Front doors keep idle connections for more than a minute.
REMOTE_IDLE = "20s"

_HTTP_OPTIONS = "extensions.upstreams.http.v3.HttpProtocolOptions"
_DEFAULT_PORTS = {True: 443, False: 80}

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
    """One cluster a set and one a fallback pair within each group (the sets of one service).

    They depend on the sets only, never on weights: a change of weights touches the routes alone.
    """
    groups = list(groups)
    placed = {
        upstream.set_name
        for group in groups
        if any(upstream.is_remote for upstream in group)
        for upstream in group
    }
    resources: dict[str, Json] = {}
    for group in groups:
        for upstream in group:
            is_placed = upstream.set_name in placed
            resources[upstream.set_name] = _cluster(upstream, config, is_placed=is_placed)
            for other in group:
                if other.set_name != upstream.set_name:
                    pair = _fallback(upstream.set_name, other.set_name)
                    resources[str(pair["name"])] = pair
    return [resources[name] for name in sorted(resources)]


def credential_path(name: str) -> str:
    """File of a credential, relative to the gateway's folder. Raises: InvalidInput for what is no such name."""
    if not re.fullmatch(SECRET_NAME_PATTERN, name):
        raise InvalidInput(f"{name!r} is not a name of a secret.", field="credential")
    return f"{CREDENTIALS}/{name}.json"


def credential_file(name: str, secret: Secret) -> Json:
    """The discovery response that tells Envoy one secret; readable by its owner only."""
    resource: Json = {
        "@type": f"{TYPE}.extensions.transport_sockets.tls.v3.Secret",
        "name": name,
        "generic_secret": {"secret": {"inline_string": secret.reveal()}},
    }
    return {"resources": [resource]}


def _cluster(upstream: Upstream, config: GatewayConfig, *, is_placed: bool) -> Json:
    """`is_placed`: its service has a set elsewhere, so that retries may arrive with another set's path and bearer."""
    cluster: Json = {
        "@type": f"{TYPE}.config.cluster.v3.Cluster",
        "name": upstream.set_name,
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": upstream.set_name,
            "endpoints": [{"lb_endpoints": [_endpoint(upstream)]}],
        },
        "circuit_breakers": _NO_BREAKERS,
        **(_remote_traits(upstream, config) if upstream.is_remote else _local_traits(upstream)),
    }
    if is_placed:
        options = cluster["typed_extension_protocol_options"][f"envoy.{_HTTP_OPTIONS}"]
        options["http_filters"] = _attempt_filters(upstream, config)
    return cluster


def _endpoint(upstream: Upstream) -> Json:
    is_usual = not upstream.is_remote or upstream.port == _DEFAULT_PORTS[upstream.tls]
    return {
        "endpoint": {
            "hostname": upstream.host if is_usual else f"{upstream.host}:{upstream.port}",
            "address": {"socket_address": {"address": upstream.host, "port_value": upstream.port}},
        },
        "metadata": {
            "filter_metadata": {METADATA: {"set": upstream.set_name, "release": upstream.release_id}}
        },
    }


def _local_traits(upstream: Upstream) -> Json:
    return {
        "type": "STATIC" if _is_address(upstream.host) else "STRICT_DNS",
        "health_checks": [_health_check(upstream)],
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # llama-server announces keep-alive and closes after every streamed answer all the same: a request
        # sent on such a connection would be lost. A new connection on loopback costs 0.1 ms.
        **_http({"idle_timeout": UPSTREAM_IDLE, "max_requests_per_connection": 1}),
    }


def _remote_traits(upstream: Upstream, config: GatewayConfig) -> Json:
    """Judged by its answers, because a question about health would wake and bill a sleeping worker.

    A set that is out has its fallback's help; one without fallback is asked all the same (panic mode).
    """
    traits: Json = {
        "type": "STATIC" if _is_address(upstream.host) else "LOGICAL_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "5s",
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
        **_http({"idle_timeout": REMOTE_IDLE}),
    }
    if config.remote_check_s is not None:
        traits["health_checks"] = [_front_door_check(config.remote_check_s)]
    if upstream.tls:
        traits["transport_socket"] = _tls(upstream, config)
    return traits


def _http(common: Json) -> Json:
    options: Json = {
        "@type": f"{TYPE}.{_HTTP_OPTIONS}",
        "common_http_protocol_options": common,
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {"typed_extension_protocol_options": {f"envoy.{_HTTP_OPTIONS}": options}}


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


def _front_door_check(interval_s: float) -> Json:
    """A connection and, with TLS, a handshake: tells a wrong name or certificate, wakes nobody."""
    return {
        "interval": f"{interval_s}s",
        "no_traffic_interval": f"{interval_s}s",
        "unhealthy_interval": "1s",
        "no_traffic_healthy_interval": f"{interval_s}s",
        "timeout": "5s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "tcp_health_check": {},
    }


def _tls(upstream: Upstream, config: GatewayConfig) -> Json:
    is_address = _is_address(upstream.host)
    kind = "IP_ADDRESS" if is_address else "DNS"
    validation: Json = {
        "trusted_ca": {"filename": str(config.ca_file)},
        # Without it every certificate of a trusted authority would pass.
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": upstream.host}}],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            **({} if is_address else {"sni": upstream.host}),
            "common_tls_context": {"validation_context": validation},
        },
    }


def _attempt_filters(upstream: Upstream, config: GatewayConfig) -> list[Json]:
    """What is done to a request at each attempt, in front of the set that gets it."""
    source = f'local PREFIX = "{upstream.path_prefix}"\n{program("placement.lua")}'
    placement: Json = {
        "name": "placement",
        "typed_config": {"@type": LUA_TYPE, "default_source_code": {"inline_string": source}},
    }
    codec: Json = {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": f"{TYPE}.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
    }
    bearer = [] if upstream.credential is None else [_bearer(upstream.credential, config)]
    return [placement, *bearer, codec]


def _bearer(credential: str, config: GatewayConfig) -> Json:
    """A missing secret ends the request with 401 instead of sending it without one."""
    generic: Json = {
        "@type": f"{TYPE}.extensions.http.injected_credentials.generic.v3.Generic",
        "header": "authorization",
        "header_value_prefix": "Bearer ",
        "credential": {
            "name": credential,
            "sds_config": {
                "path_config_source": {"path": str(config.path(credential_path(credential)))},
                "resource_api_version": "V3",
            },
        },
    }
    return {
        "name": "credential",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.http.credential_injector.v3.CredentialInjector",
            "overwrite": True,
            "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": generic},
        },
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
