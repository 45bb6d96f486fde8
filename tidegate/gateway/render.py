"""Envoy's files as a pure function of wanted routes, client keys and a generation. Never touches disk."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.domain import InvalidInput, Route, Upstream
from tidegate.domain.names import NAME_PATTERN
from tidegate.gateway import admission, capturing, clusters, copies, doors, listener, traffic
from tidegate.gateway.config import (
    AUTH,
    BOOTSTRAP,
    CLUSTERS,
    DOORS,
    LISTENERS,
    ROUTES,
    ClientKey,
    GatewayConfig,
)
from tidegate.gateway.listener import Json

_SET_PATTERN = r"^[a-z0-9][a-z0-9-]{0,119}$"
_RELEASE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,119}$"
_HOST_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$"
_DIGEST_PATTERN = r"^[0-9a-f]{64}$"
_PREFIX_PATTERN = r"^(/[A-Za-z0-9._~-]{1,100}){0,8}$"
_CLIENT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,119}$"


def render(
    routes: Sequence[Route],
    keys: Sequence[ClientKey],
    generation: int,
    config: GatewayConfig,
    keep: Sequence[Sequence[Upstream]] = (),
) -> dict[str, Json]:
    """All files of the gateway by name.

    Args:
        keep: further sets (grouped by service) whose clusters must exist although no route names them:
            those that still drain, and those that are about to get routes.

    Raises:
        InvalidInput: when a value would make Envoy refuse the files, or mean something else to it.
    """
    check(routes)
    groups = _groups(routes, keep)
    return {
        BOOTSTRAP: listener.bootstrap(config),
        LISTENERS: _response(
            generation,
            [listener.listener(config), listener.doors_listener(config), copies.copies_listener()],
        ),
        CLUSTERS: _response(
            generation, [*clusters.clusters(groups, config), *capturing.sampler_clusters(config)]
        ),
        DOORS: _response(generation, [doors.door_table(groups, config)]),
        ROUTES: _response(generation, [traffic.route_table(routes, config)]),
        AUTH: render_keys(keys),
    }


def render_keys(keys: Sequence[ClientKey]) -> Json:
    """The file of all keys' digests. Raises: InvalidInput when one is unusable, or two clients have the same key."""
    owners: dict[str, str] = {}
    for key in keys:
        _match(NAME_PATTERN, key.org, "org", "an API key")
        _match(_CLIENT_PATTERN, key.client, "client", f"an API key of {key.org}")
        _match(_DIGEST_PATTERN, key.digest, "digest", f"an API key of {key.org}")
        if key.digest in owners:
            raise InvalidInput(
                f"{key.identity} and {owners[key.digest]} carry the same API key.",
                remedy="Give one of them a new key.",
                field="keys",
            )
        owners[key.digest] = key.identity
    return admission.key_filter(keys)


def encode(content: Json) -> bytes:
    """The bytes of a file; equal content gives equal bytes."""
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def fold(rendered: Mapping[str, Json]) -> Json:
    """One static bootstrap with the same content, for an offline check."""
    listeners: list[Json] = json.loads(json.dumps(rendered[LISTENERS]["resources"]))
    for resource, table in zip(listeners, (ROUTES, DOORS, None), strict=True):
        resource.pop("@type")
        manager: dict[str, Any] = resource["filter_chains"][0]["filters"][0]["typed_config"]
        if table is not None:
            manager.pop("rds")
            manager["route_config"] = _without_type(rendered[table]["resources"][0])
        if table == ROUTES:
            keys = _without_type(rendered[AUTH]["resources"][0])
            filters = manager["http_filters"]
            manager["http_filters"] = [
                keys if one["name"] == listener.AUTH_FILTER else one for one in filters
            ]
        upstream_logs = manager["http_filters"][-1]["typed_config"].get("upstream_log", [])
        for logger in (*manager["access_log"], *upstream_logs):
            if "path" in logger["typed_config"]:
                logger["typed_config"]["path"] = "/dev/null"
    return {
        "node": rendered[BOOTSTRAP]["node"],
        "bootstrap_extensions": rendered[BOOTSTRAP]["bootstrap_extensions"],
        "static_resources": {
            "listeners": listeners,
            "clusters": [_without_type(cluster) for cluster in rendered[CLUSTERS]["resources"]],
        },
    }


def check(routes: Sequence[Route]) -> None:
    """Invariants that Envoy would not hold for us."""
    seen: set[tuple[str, str]] = set()
    for route in routes:
        _check_route(route)
        if (route.org, route.service) in seen:
            raise InvalidInput(
                f"Two routes for {route.org}/{route.service}.",
                remedy="Every service has one route.",
                field="routes",
            )
        seen.add((route.org, route.service))
    names = [upstream.set_name for route in routes for upstream in route.upstreams]
    if len(names) != len(set(names)):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise InvalidInput(
            f"Sets that stand in more than one place: {', '.join(twice)}.",
            remedy="Every set stands in one route, once.",
            field="upstreams",
        )


def _check_route(route: Route) -> None:
    where = f"{route.org}/{route.service}"
    _match(NAME_PATTERN, route.org, "org", where)
    _match(NAME_PATTERN, route.service, "service", where)
    for upstream in route.upstreams:
        _match(_SET_PATTERN, upstream.set_name, "set_name", where)
        _match(_RELEASE_PATTERN, upstream.release_id, "release_id", where)
        _match(_HOST_PATTERN, upstream.host, "host", where)
        _match(_PREFIX_PATTERN, upstream.path_prefix, "path_prefix", where)
        if upstream.credential is not None:
            _match(doors.SECRET_NAME_PATTERN, upstream.credential, "credential", where)


def _match(pattern: str, value: str, field: str, where: str) -> None:
    if not re.fullmatch(pattern, value):
        raise InvalidInput(
            f"{field} {value!r} of {where} is not usable at a gateway.",
            remedy="Correct it where the route is written.",
            field=field,
            value=value,
        )


def _groups(routes: Sequence[Route], keep: Sequence[Sequence[Upstream]]) -> list[Sequence[Upstream]]:
    return [*keep, *(route.upstreams for route in routes)]


def _response(generation: int, resources: list[Json]) -> Json:
    """A discovery response. The version names its content, so an acknowledgement cannot be mistaken."""
    digest = hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:12]
    return {"version_info": f"gen-{generation}-{digest}", "resources": resources}


def _without_type(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key != "@type"}
