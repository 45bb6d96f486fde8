"""Copies of a fraction of a service's requests to the sampler beside this gateway, where the service asked for it.

Envoy waits for no copy. A sampler that hangs is left by time and by number: what comes beyond the limit is not copied.
"""

from tidegate.domain import Route
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.doors import http_options
from tidegate.gateway.listener import TYPE, Json

SAMPLER_CLUSTER = "request_sampler"
SERVICE_HEADER = "x-tidegate-captured"
"""Names the service of a copy; `tidegate.replay.sampler` reads it. Clients cannot set it."""
MOST_AT_ONCE = 16
LONGEST_S = 5
PER_PERCENT = 10_000
"""Of Envoy's denominator MILLION: a fraction of a percent is possible."""


def sampler_clusters(config: GatewayConfig) -> list[Json]:
    """The sampler as a cluster; none where no service is sampled."""
    if not config.captures:
        return []
    address: Json = {"pipe": {"path": str(config.sampler_socket)}}
    return [
        {
            "@type": f"{TYPE}.config.cluster.v3.Cluster",
            "name": SAMPLER_CLUSTER,
            "type": "STATIC",
            "connect_timeout": "0.25s",
            "load_assignment": {
                "cluster_name": SAMPLER_CLUSTER,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
            "circuit_breakers": {
                "thresholds": [
                    {
                        "max_connections": MOST_AT_ONCE,
                        "max_pending_requests": MOST_AT_ONCE,
                        "max_requests": MOST_AT_ONCE,
                        "max_retries": 0,
                    }
                ]
            },
            **http_options({"max_stream_duration": f"{LONGEST_S}s", "max_requests_per_connection": 1}),
        }
    ]


def capture_policies(route: Route, config: GatewayConfig) -> list[Json]:
    """A share of the service's requests is copied to the sampler. It leaves our own probe's, and keeps no client's
    name."""
    service = f"{route.org}/{route.service}"
    percent = config.captures.get(service, 0.0)
    if percent <= 0:
        return []
    share = {"numerator": round(percent * PER_PERCENT), "denominator": "MILLION"}
    return [
        {
            "cluster": SAMPLER_CLUSTER,
            "runtime_fraction": {"default_value": share},
            "disable_shadow_host_suffix_append": True,
            "request_headers_mutations": [
                {
                    "append": {
                        "header": {"key": SERVICE_HEADER, "value": service},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                }
            ],
        }
    ]
