"""The frozen part of Envoy's configuration: bootstrap, the one listener, and the inner one before sets elsewhere.

A release never touches it: changing the listener cuts every stream that outlives the drain time.
"""

from functools import cache
from importlib import resources
from typing import Any

from tidegate.gateway.config import AUTH, CLUSTERS, DOORS, LISTENERS, ROUTES, GatewayConfig
from tidegate.gateway.early_headers import early_headers

Json = dict[str, Any]

TYPE = "type.googleapis.com/envoy"
MANAGER_TYPE = f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
LUA_TYPE = f"{TYPE}.extensions.filters.http.lua.v3.Lua"
AUTH_FILTER = "api_keys"
GUARD_FILTER = "only_known_clients"
CLIENT_HEADER = "x-tidegate-client"
COPY_OF_HEADER = "x-tidegate-copy-of"
"""On copies of requests: the service. It stays, because a log can name only what is still there."""
ROUTE_TABLE = "services"
DOORS_LISTENER = DOOR_TABLE = "front_doors"
STATS_SCOPE = "gw"
LIVE_LOG = "live.log"
"""What was measured, beside `access.log`. Relative: each Envoy has a working folder of its own."""
METADATA = "gw"
"""Metadata of ours: `set` and `release` of an endpoint, `org` and `service` of a route."""
IDS = "tidegate.ids"
"""Where `request_ids.lua` notes the trace of a request."""

OWNER_READ_WRITE = 0o600


_ERRORS: tuple[tuple[int, str, str, str], ...] = (
    (401, "authentication_error", "invalid_api_key", "A valid API key is needed: Authorization: Bearer KEY."),
    (403, "permission_error", "forbidden", "This API key may not do this."),
    (404, "invalid_request_error", "not_found", "There is no such service or path at this gateway."),
    (408, "invalid_request_error", "request_timeout", "The request did not arrive in time."),
    (413, "invalid_request_error", "request_too_large", "The request is too large."),
    (
        503,
        "service_unavailable",
        "service_unavailable",
        "No set of this service can answer now. Try again shortly.",
    ),
    (504, "service_unavailable", "timeout", "The service did not answer in time."),
)


def bootstrap(config: GatewayConfig) -> Json:
    """Static start file: admin on a private socket, everything else from files."""
    return {
        "node": {"id": config.name, "cluster": "tidegate-gateway"},
        "admin": {"address": {"pipe": {"path": str(config.admin_socket), "mode": OWNER_READ_WRITE}}},
        "stats_flush_interval": "0.5s",
        "stats_config": {
            "histogram_bucket_settings": [
                {
                    "match": {"prefix": f"{STATS_SCOPE}."},
                    "buckets": [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000],
                }
            ]
        },
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {
                    "@type": f"{TYPE}.extensions.bootstrap.internal_listener.v3.InternalListener"
                },
            }
        ],
        "dynamic_resources": {
            "cds_config": _source(config, CLUSTERS),
            "lds_config": _source(config, LISTENERS),
        },
    }


def listener(config: GatewayConfig) -> Json:
    """The listener that clients reach; its routes and keys come from files of their own."""
    return {
        "@type": f"{TYPE}.config.listener.v3.Listener",
        "name": "public",
        "address": {"socket_address": {"address": config.host, "port_value": config.port}},
        "filter_chains": [http_chain(_connection_manager(config))],
    }


def doors_listener(config: GatewayConfig) -> Json:
    """What the clusters of sets elsewhere connect to. It has no address: nobody outside this Envoy reaches it."""
    manager: Json = {
        "@type": MANAGER_TYPE,
        "stat_prefix": "doors",
        "rds": {"route_config_name": DOOR_TABLE, "config_source": _source(config, DOORS)},
        "skip_xff_append": True,
        "generate_request_id": False,
        "server_name": "tidegate",
        "local_reply_config": {
            "mappers": [_broken_off(), *(_error(*error) for error in _ERRORS), _other_error()]
        },
        "access_log": [_door_log(config)],
        "http_filters": [router()],
    }
    return {
        "@type": f"{TYPE}.config.listener.v3.Listener",
        "name": DOORS_LISTENER,
        "internal_listener": {},
        "filter_chains": [http_chain(manager)],
    }


def http_chain(manager: Json) -> Json:
    return {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}


def _connection_manager(config: GatewayConfig) -> Json:
    return {
        "@type": MANAGER_TYPE,
        "stat_prefix": "edge",
        "rds": {"route_config_name": ROUTE_TABLE, "config_source": _source(config, ROUTES)},
        "use_remote_address": True,
        "skip_xff_append": True,
        "server_name": "tidegate",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "always_set_request_id_in_response": True,
        "request_headers_timeout": "10s",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "early_header_mutation_extensions": [early_headers()],
        "local_reply_config": {"mappers": [_error(*error) for error in _ERRORS] + [_other_error()]},
        "access_log": [_json_log(config), live_log("request"), _request_stats(), _latency_stats()],
        "http_filters": [
            _lua("request_ids"),
            {
                "name": AUTH_FILTER,
                "config_discovery": {"config_source": _source(config, AUTH), "type_urls": [LUA_TYPE]},
            },
            _guard(),
            measure(),
            router(live_log("attempt")),
        ],
    }


def router(*attempt_logs: Json) -> Json:
    """Sends requests on; each of the logs gets a line an attempt, also of those that a retry hides."""
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
            **({"upstream_log": list(attempt_logs)} if attempt_logs else {}),
        },
    }


def measure() -> Json:
    """The filter that watches answers pass."""
    return _lua("measure")


def _lua(name: str) -> Json:
    source: Json = {"@type": LUA_TYPE, "default_source_code": {"inline_string": _program(name)}}
    return {"name": name, "typed_config": source}


@cache
def _program(name: str) -> str:
    return resources.files("tidegate.gateway").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _guard() -> Json:
    """Lua lets pass what it fails at: without the header that the filter of keys sets, nothing gets further."""
    known: Json = {
        "principals": [{"any": True}],
        "permissions": [{"header": {"name": CLIENT_HEADER, "present_match": True}}],
    }
    return {
        "name": GUARD_FILTER,
        "typed_config": {
            "@type": f"{TYPE}.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": {"known": known}},
        },
    }


def _source(config: GatewayConfig, file: str) -> Json:
    return {"path_config_source": {"path": str(config.path(file))}, "resource_api_version": "V3"}


def _error(status: int, kind: str, code: str, message: str) -> Json:
    """An OpenAI-style body with a fixed text: Envoy's own would name hosts and TLS internals."""
    text = f'{{"error":{{"message":"{message}","type":"{kind}","param":null,"code":"{code}"}}}}\n'
    return {
        "filter": _status_filter("EQ", status),
        "body_format_override": {
            "text_format_source": {"inline_string": text},
            "content_type": "application/json",
        },
    }


def _other_error() -> Json:
    mapper = _error(400, "api_error", "gateway_error", "The gateway could not handle this request.")
    return {**mapper, "filter": _status_filter("GE", 400)}


def _broken_off() -> Json:
    """A vendor that broke off after it had the request. Envoy would say 503, which the gateway tries again."""
    mapper = _error(502, "service_unavailable", "broken_off", "The set broke off before it answered.")
    return {
        **mapper,
        "filter": {"response_flag_filter": {"flags": ["UC", "UR", "LR", "UPE"]}},
        "status_code": 502,
    }


def _status_filter(operator: str, status: int) -> Json:
    value: Json = {"default_value": status, "runtime_key": "tidegate.unused"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _json_log(config: GatewayConfig) -> Json:
    """One line a request, in the shape of every log of ours. Never a header that may hold a key, no query string."""
    return _file_log(
        str(config.access_log),
        {
            **_log_head(config, "request"),
            "org": f"%METADATA(ROUTE:{METADATA}:org)%",
            "service": f"%METADATA(ROUTE:{METADATA}:service)%",
            "release_id": f"%UPSTREAM_METADATA({METADATA}:release)%",
            "set": f"%UPSTREAM_METADATA({METADATA}:set)%",
            "request_id": "%REQ(X-REQUEST-ID)%",
            "trace_id": f"%DYNAMIC_METADATA({IDS}:trace_id)%",
            "span_id": f"%DYNAMIC_METADATA({IDS}:span_id)%",
            "duration_ms": "%DURATION%",
            "client": f"%REQ({CLIENT_HEADER})%",
            "method": "%REQ(:METHOD)%",
            "path": "%PATH(NQ:PATH):256%",
            "status": "%RESPONSE_CODE%",
            "flags": "%RESPONSE_FLAGS%",
            "details": "%RESPONSE_CODE_DETAILS%",
            "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
            "first_byte_ms": "%RESPONSE_DURATION%",
            "request_bytes": "%BYTES_RECEIVED%",
            "reply_bytes": "%BYTES_SENT%",
        },
    )


def _log_head(config: GatewayConfig, event: str) -> dict[str, str]:
    """What stands first in a line of any process of ours."""
    return {
        "ts": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "level": "info",
        "event": event,
        "process": f"{config.name}/envoy",
    }


def live_log(kind: str, service: str = "%ROUTE_NAME%") -> Json:
    """One line a request or attempt: numbers and names of ours only. Durations are microseconds since its start."""
    fields = {
        "kind": kind,
        "at": "%START_TIME(%s.%6f)%",
        "service": service,
        "client": f"%REQ({CLIENT_HEADER})%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "set": f"%UPSTREAM_METADATA({METADATA}:set)%",
        "length": "%REQ(CONTENT-LENGTH)%",
        "ms": "%DURATION%",
    }
    if kind != "attempt":
        fields |= {
            "path": "%PATH(NQ:PATH):256%",
            "cluster": "%UPSTREAM_CLUSTER_RAW%",
            "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
            "bytes": "%BYTES_RECEIVED%",
            "asked": "%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)%",
            "tried": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)%",
            "began": "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%",
            "wanted": "%DYNAMIC_METADATA(tidegate.measure:asked)%",
            "answer": "%DYNAMIC_METADATA(tidegate.measure:answer)%",
        }
    return _file_log(LIVE_LOG, fields)


def _file_log(path: str, fields: dict[str, str]) -> Json:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{TYPE}.extensions.access_loggers.file.v3.FileAccessLog",
            "path": path,
            "log_format": {"json_format": fields},
        },
    }


def _door_log(config: GatewayConfig) -> Json:
    """Why a set elsewhere could not be reached; the rest of a request stands in the line of the gateway itself."""
    fields = {
        **_log_head(config, "set elsewhere failed"),
        "level": "warning",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "set": "%ROUTE_NAME%",
        "duration_ms": "%DURATION%",
        "address": "%UPSTREAM_HOST%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    }
    return {**_file_log(str(config.access_log), fields), "filter": _status_filter("GE", 500)}


_ATTRIBUTION: tuple[tuple[str, str], ...] = (
    ("set", f"%UPSTREAM_METADATA({METADATA}:set)%"),
    ("release", f"%UPSTREAM_METADATA({METADATA}:release)%"),
    ("service", "%ROUTE_NAME%"),
)


def _stat(name: str, *more: tuple[str, str]) -> Json:
    return {
        "name": name,
        "tags": [{"name": tag, "value_format": value} for tag, value in (*_ATTRIBUTION, *more)],
    }


def _stats_logger(content: Json) -> Json:
    return {
        "name": "envoy.access_loggers.stats",
        "typed_config": {
            "@type": f"{TYPE}.extensions.access_loggers.stats.v3.Config",
            "stats_scope": {"prefix": STATS_SCOPE},
            **content,
        },
    }


def _request_stats() -> Json:
    tags = (("status", "%RESPONSE_CODE%"), ("flags", "%RESPONSE_FLAGS%"))
    return _stats_logger({"counters": [{"stat": _stat("requests", *tags), "value_fixed": 1}]})


def _latency_stats() -> Json:
    """Only replies that a set completed: for others the operators are not numbers.

    The sum is a counter, because a histogram's own sum is rounded to its bins.
    """
    logger = _stats_logger(
        {
            "counters": [
                {"stat": _stat("completed"), "value_fixed": 1},
                {"stat": _stat("latency_ms"), "value_format": "%DURATION%"},
            ],
            "histograms": [
                {"stat": _stat("ttfb_ms"), "unit": "Milliseconds", "value_format": "%RESPONSE_DURATION%"},
                {"stat": _stat("total_ms"), "unit": "Milliseconds", "value_format": "%DURATION%"},
            ],
        }
    )
    completed: Json = {
        "@type": f"{TYPE}.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        "expression": "response.code_details == 'via_upstream'",
    }
    name = "envoy.access_loggers.extension_filters.cel"
    return {**logger, "filter": {"extension_filter": {"name": name, "typed_config": completed}}}
