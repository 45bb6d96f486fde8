"""Sets behind a vendor's front door: TLS, the vendor's name and path, and a credential.

Each has a door inside Envoy: an internal listener takes what the set's cluster sends and forwards it to the vendor.
Two facts forbid the shorter way of filters on the set's own cluster. A fallback pair runs the pair's filters, not
those of the set that it chose. And all attempts of a request share their headers, so that a retry would carry one
set's bearer to another. Behind a door there is one set only, and a copy of the headers.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence

from tidegate.domain import InvalidInput, Secret, Upstream
from tidegate.gateway.config import CREDENTIALS, GatewayConfig
from tidegate.gateway.listener import CLIENT_HEADER, COPY_OF_HEADER, DOOR_TABLE, DOORS_LISTENER, TYPE, Json

SECRET_NAME_PATTERN = r"[a-z][a-z0-9-]{1,99}"
DOOR_SUFFIX = "_door"

# Front doors keep idle connections for more than a minute.
_IDLE = "20s"
_DEFAULT_PORTS = {True: 443, False: 80}
_HTTP_OPTIONS = "extensions.upstreams.http.v3.HttpProtocolOptions"


def is_address(host: str) -> bool:
    """Whether a host is an IP address, which nobody has to look up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def http_options(common: Json, filters: Sequence[Json] = ()) -> Json:
    """HTTP/1.1 to a cluster; `filters` see each attempt."""
    options: Json = {
        "@type": f"{TYPE}.{_HTTP_OPTIONS}",
        "common_http_protocol_options": common,
        "explicit_http_config": {"http_protocol_options": {}},
        **({"http_filters": list(filters)} if filters else {}),
    }
    return {"typed_extension_protocol_options": {f"envoy.{_HTTP_OPTIONS}": options}}


def in_front_of(upstream: Upstream) -> tuple[str, Json]:
    """Host name and address of a set's door."""
    address: Json = {"server_listener_name": DOORS_LISTENER, "endpoint_id": upstream.set_name}
    return upstream.set_name, {"envoy_internal_address": address}


def door(upstream: Upstream, config: GatewayConfig) -> Json:
    """The vendor's side of a door."""
    name = f"{upstream.set_name}{DOOR_SUFFIX}"
    address: Json = {"socket_address": {"address": upstream.host, "port_value": upstream.port}}
    cluster: Json = {
        "name": name,
        "type": "STATIC" if is_address(upstream.host) else "LOGICAL_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        **http_options({"idle_timeout": _IDLE}, _filters(upstream, config)),
    }
    if config.remote_check_s is not None:
        cluster["health_checks"] = [_connection_check(config.remote_check_s)]
    if upstream.tls:
        cluster["transport_socket"] = _tls(upstream, config)
    return cluster


def door_table(groups: Iterable[Sequence[Upstream]], config: GatewayConfig) -> Json:
    """Routes behind the internal listener: one host name a set."""
    remote = {upstream.set_name: upstream for group in groups for upstream in group if upstream.is_remote}
    return {
        "@type": f"{TYPE}.config.route.v3.RouteConfiguration",
        "name": DOOR_TABLE,
        "validate_clusters": True,
        "virtual_hosts": [_host(remote[name], config) for name in sorted(remote)],
        "request_headers_to_remove": [CLIENT_HEADER, COPY_OF_HEADER],
    }


def credential_path(name: str) -> str:
    """File of a credential, relative to the gateway's folder. Raises: InvalidInput for what is no such name."""
    if not re.fullmatch(SECRET_NAME_PATTERN, name):
        raise InvalidInput(
            f"{name!r} is not a name of a secret.",
            remedy="Use lower-case letters, digits and dashes.",
            field="credential",
        )
    return f"{CREDENTIALS}/{name}.json"


def credential_file(name: str, secret: Secret) -> Json:
    """The discovery response that tells Envoy one secret; readable by its owner only."""
    resource: Json = {
        "@type": f"{TYPE}.extensions.transport_sockets.tls.v3.Secret",
        "name": name,
        "generic_secret": {"secret": {"inline_string": secret.reveal()}},
    }
    return {"resources": [resource]}


def _host(upstream: Upstream, config: GatewayConfig) -> Json:
    """Retries only where the vendor saw no request, as in front of the door."""
    is_usual = upstream.port == _DEFAULT_PORTS[upstream.tls]
    action: Json = {
        "cluster": f"{upstream.set_name}{DOOR_SUFFIX}",
        "prefix_rewrite": f"{upstream.path_prefix}/",
        "host_rewrite_literal": upstream.host if is_usual else f"{upstream.host}:{upstream.port}",
        "timeout": "0s",
        "idle_timeout": f"{config.stream_idle_s}s",
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 1,
        },
    }
    return {
        "name": upstream.set_name,
        "domains": [upstream.set_name],
        "routes": [{"name": upstream.set_name, "match": {"prefix": "/"}, "route": action}],
    }


def _connection_check(interval_s: float) -> Json:
    """A connection and, with TLS, a handshake: tells a wrong name or certificate, sends nothing, wakes nobody.

    One failure is enough: Envoy takes a looked-up host for healthy until then. One success heals it.
    """
    return {
        "interval": f"{interval_s}s",
        "no_traffic_interval": f"{interval_s}s",
        "unhealthy_interval": "1s",
        "timeout": "5s",
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "tcp_health_check": {},
    }


def _tls(upstream: Upstream, config: GatewayConfig) -> Json:
    is_ip = is_address(upstream.host)
    validation: Json = {
        "trusted_ca": {"filename": str(config.ca_file)},
        # Without it every certificate of a trusted authority would pass.
        "match_typed_subject_alt_names": [
            {"san_type": "IP_ADDRESS" if is_ip else "DNS", "matcher": {"exact": upstream.host}}
        ],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            **({} if is_ip else {"sni": upstream.host}),
            "common_tls_context": {"validation_context": validation},
        },
    }


def _filters(upstream: Upstream, config: GatewayConfig) -> list[Json]:
    """A missing secret ends the request with 401 instead of sending it without one."""
    if upstream.credential is None:
        return []
    generic: Json = {
        "@type": f"{TYPE}.extensions.http.injected_credentials.generic.v3.Generic",
        "header": "authorization",
        "header_value_prefix": "Bearer ",
        "credential": {
            "name": upstream.credential,
            "sds_config": {
                "path_config_source": {"path": str(config.path(credential_path(upstream.credential)))},
                "resource_api_version": "V3",
            },
        },
    }
    injector: Json = {
        "@type": f"{TYPE}.extensions.filters.http.credential_injector.v3.CredentialInjector",
        "overwrite": True,
        "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": generic},
    }
    codec: Json = {"@type": f"{TYPE}.extensions.filters.http.upstream_codec.v3.UpstreamCodec"}
    return [
        {"name": "credential", "typed_config": injector},
        {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
    ]
