"""Who may call: the filter that knows the digests of all keys, and what each route tells it."""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources

from tidegate.domain import Route
from tidegate.gateway.config import PROBE_CLIENT, ClientKey
from tidegate.gateway.listener import AUTH_FILTER, GUARD_FILTER, LUA_TYPE, TYPE, Json

_PER_ROUTE = f"{TYPE}.extensions.filters.http.lua.v3.LuaPerRoute"
_DISABLED: Json = {"@type": f"{TYPE}.config.route.v3.FilterConfig", "disabled": True}


@cache
def _program() -> str:
    return resources.files("tidegate.gateway").joinpath("api_keys.lua").read_text(encoding="utf-8")


def key_filter(keys: Sequence[ClientKey]) -> Json:
    """The discovery response of the extension. Texts stand in one flat table: nested ones would meet a limit of
    LuaJIT at some ten thousand keys. All values were checked: none can end a text."""
    ordered = sorted(keys, key=lambda key: key.digest)
    rows = "".join(
        f'["{key.digest}"]="{key.org} {key.identity} {int(key.expires_at.timestamp()) if key.expires_at else 0}",\n'
        for key in ordered
    )
    source = f'local PROBE = "{PROBE_CLIENT}"\nlocal KEYS = {{\n{rows}}}\n{_program()}'
    resource: Json = {
        "@type": f"{TYPE}.config.core.v3.TypedExtensionConfig",
        "name": AUTH_FILTER,
        "typed_config": {"@type": LUA_TYPE, "default_source_code": {"inline_string": source}},
    }
    version = hashlib.sha256(source.encode()).hexdigest()[:12]
    return {"version_info": f"keys-{version}", "resources": [resource]}


def admit(route: Route, *, probe_only: bool) -> Json:
    """Per-route settings: callers of the route's organization, or our probe alone."""
    context: Json = {"org": route.org, "probe_only": probe_only}
    return {AUTH_FILTER: {"@type": _PER_ROUTE, "filter_context": context}}


def admit_all() -> Json:
    """For what serves nobody anything: a 404 asks for no key."""
    return {AUTH_FILTER: _DISABLED, GUARD_FILTER: _DISABLED}
