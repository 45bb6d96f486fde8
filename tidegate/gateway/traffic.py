"""Wanted routes as Envoy's routes: who may call, which set gets how much, what is tried again."""

from collections.abc import Sequence

from tidegate.domain import Route, ServiceRef
from tidegate.gateway.admission import admit, admit_all
from tidegate.gateway.capturing import capture_policies
from tidegate.gateway.clusters import fallback_name
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.copies import copy_policy
from tidegate.gateway.listener import CLIENT_HEADER, METADATA, ROUTE_TABLE, TYPE, Json

PIN_HEADER = "x-tidegate-pin"

# A retry goes to another set of the split; with a stand-in there is one split only, and its pair has the other set.
_SPREAD: Json = {"refresh_cluster_on_retry": True}
_STAND_IN: Json = {
    "retry_priority": {
        "name": "envoy.retry_priorities.previous_priorities",
        "typed_config": {
            "@type": f"{TYPE}.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            "update_frequency": 1,
        },
    }
}
_NEVER_UPSTREAM = ("authorization", "x-api-key", PIN_HEADER, "x-envoy-internal", "x-envoy-external-address")


def route_table(routes: Sequence[Route], config: GatewayConfig) -> Json:
    """The whole route configuration; what matches nothing is a 404 that asks for no key."""
    entries: list[Json] = []
    for route in sorted(routes, key=lambda one: (one.org, one.service)):
        entries += _service_routes(route, config)
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


def _service_routes(route: Route, config: GatewayConfig) -> list[Json]:
    pins = [
        _entry(route, {"string_match": {"exact": name}}, _send(route, {"cluster": name}, config))
        for name in sorted(route.weights)
    ]
    unknown_pin = _entry(route, {"present_match": True}, _answer(404))
    weighted = _weighted(route)
    answer = _send(route, {**weighted, **_mirrored(route, config)}, config) if weighted else _answer(503)
    return [*pins, unknown_pin, _entry(route, None, answer)]


def _entry(route: Route, pin: Json | None, answer: Json) -> Json:
    """A pin is for our own probe alone."""
    match: Json = {"prefix": f"/{route.org}/{route.service}/v1/"}
    if pin is not None:
        match["headers"] = [{"name": PIN_HEADER, **pin}]
    return {
        "name": f"{route.org}/{route.service}",
        "match": match,
        "metadata": {"filter_metadata": {METADATA: {"org": route.org, "service": route.service}}},
        **answer,
        "typed_per_filter_config": admit(route, probe_only=pin is not None),
    }


def _answer(status: int) -> Json:
    return {"direct_response": {"status": status}}


def _nothing_here() -> Json:
    return {
        "name": "none",
        "match": {"prefix": "/"},
        **_answer(404),
        "typed_per_filter_config": admit_all(),
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
    """Only a set that has weight itself may stand in for another: one at 0 is not proven, unless the route says so."""
    others = [other for other in serving if other != name]
    if others:
        return fallback_name(name, max(others, key=lambda other: (route.weights[other], other)))
    return fallback_name(name, route.stand_in) if route.stand_in is not None else name


def _is_split(route: Route) -> bool:
    """Whether there is another set in the split to try, or nobody who stands in."""
    return route.stand_in is None or sum(weight > 0 for weight in route.weights.values()) > 1


def _mirrored(route: Route, config: GatewayConfig) -> Json:
    """Who gets copies of live requests: the shadow, and the sampler. Our own probes' routes have no such entry."""
    shadow = [] if route.mirror is None else [copy_policy(route.mirror, ServiceRef(route.org, route.service))]
    policies = [*shadow, *capture_policies(route, config)]
    return {"request_mirror_policies": policies} if policies else {}


def _hash_policy(route: Route) -> list[Json]:
    """By the session's header, and without one by the key's owner where the service wants that: the filter of keys
    names it, and has Envoy choose anew."""
    headers = (route.sticky.header, *((CLIENT_HEADER,) if route.sticky.by_key else ()))
    return [{"header": {"header_name": header}, "terminal": True} for header in headers]


def _send(route: Route, destination: Json, config: GatewayConfig) -> Json:
    """No total time limit (streams), but an idle one; retries only where the engine saw no request.

    `reset` is left out on purpose: a request that crashes an engine must not be sent to the next one.
    """
    action: Json = {
        **destination,
        "prefix_rewrite": "/v1/",
        "auto_host_rewrite": True,
        "timeout": "0s",
        "idle_timeout": f"{config.stream_idle_s}s",
        "hash_policy": _hash_policy(route),
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request,retriable-status-codes",
            "retriable_status_codes": [503],
            "num_retries": 3,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
            **(_SPREAD if _is_split(route) else _STAND_IN),
        },
    }
    return {"route": action}
