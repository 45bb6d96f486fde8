"""Copies of live requests (mirroring) pass an inner listener, so that their answers are measured like clients' own.

Envoy's mirroring alone counts only statuses. The listener never changes: which set a copy is for stands in a header
that clients cannot send.
"""

from tidegate.domain import Mirror, ServiceRef, Upstream
from tidegate.gateway.listener import (
    COPY_OF_HEADER,
    MANAGER_TYPE,
    TYPE,
    Json,
    http_chain,
    live_log,
    measure,
    router,
)

COPIES_LISTENER = "copies"
COPIES_SUFFIX = "_copies"
_SET_HEADER = "x-tidegate-copy"

MAX_COPIES = 64
"""Copies of one set in flight. More are dropped: a slow shadow must not pile up."""
LONGEST_COPY = "120s"


def copies_listener() -> Json:
    """Measures what comes, and sends it to the set that its header names. No retries: each copy is one attempt."""
    action: Json = {"cluster_header": _SET_HEADER, "auto_host_rewrite": True, "timeout": LONGEST_COPY}
    table: Json = {
        "name": COPIES_LISTENER,
        "virtual_hosts": [
            {
                "name": COPIES_LISTENER,
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": action}],
            }
        ],
        "request_headers_to_remove": [_SET_HEADER],
    }
    manager: Json = {
        "@type": MANAGER_TYPE,
        "stat_prefix": COPIES_LISTENER,
        "route_config": table,
        "skip_xff_append": True,
        "generate_request_id": False,
        "access_log": [live_log("copy", f"%REQ({COPY_OF_HEADER})%")],
        "http_filters": [measure(), router()],
    }
    return {
        "@type": f"{TYPE}.config.listener.v3.Listener",
        "name": COPIES_LISTENER,
        "internal_listener": {},
        "filter_chains": [http_chain(manager)],
    }


def copies_cluster(upstream: Upstream) -> Json:
    """Where copies for a set go first."""
    name = f"{upstream.set_name}{COPIES_SUFFIX}"
    address: Json = {
        "envoy_internal_address": {
            "server_listener_name": COPIES_LISTENER,
            "endpoint_id": upstream.set_name,
        }
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "circuit_breakers": {
            "thresholds": [{"max_requests": MAX_COPIES, "max_pending_requests": MAX_COPIES}]
        },
    }


def copy_policy(mirror: Mirror, ref: ServiceRef) -> Json:
    """One entry of a route's `request_mirror_policies`."""
    headers = {_SET_HEADER: mirror.set_name, COPY_OF_HEADER: str(ref)}
    return {
        "cluster": f"{mirror.set_name}{COPIES_SUFFIX}",
        "disable_shadow_host_suffix_append": True,
        "runtime_fraction": {"default_value": {"numerator": mirror.percent, "denominator": "HUNDRED"}},
        "request_headers_mutations": [
            {
                "append": {
                    "header": {"key": name, "value": value},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            }
            for name, value in headers.items()
        ],
    }
