"""What is done to a request's headers before Envoy looks at them itself."""

from typing import Any

ASKED_ID_HEADER = "x-tidegate-asked-id"
"""The request id that a client sent, until `request_ids.lua` judged it."""
_MUTATION = (
    "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
)

# Every x-tidegate-* header but x-tidegate-pin: the routes look at it, then remove it. RE2 has no look-ahead.
_FOREIGN_TIDEGATE_HEADERS = "x-tidegate-(|[^p].*|p|p[^i].*|pi|pi[^n].*|pin.+)"


def early_headers() -> dict[str, Any]:
    """No client steers Envoy or names itself by a header of ours; its request id is set aside to be judged."""
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": _MUTATION, "mutations": [*_without_foreign(), *_set_aside_asked_id()]},
    }


def _without_foreign() -> list[dict[str, Any]]:
    """Clients on loopback count as internal, so their x-envoy-* would steer retries and timeouts."""
    matchers: list[dict[str, Any]] = [
        {"prefix": "x-envoy-"},
        {"exact": "x-forwarded-for"},
        {"safe_regex": {"regex": _FOREIGN_TIDEGATE_HEADERS}},
    ]
    return [{"remove_on_match": {"key_matcher": matcher}} for matcher in matchers]


def _set_aside_asked_id() -> list[dict[str, Any]]:
    """Envoy takes any id of a client on loopback as it is. So it always makes one itself, and the first filter puts
    back the client's own if that can harm nobody."""
    asked = {
        "header": {"key": ASKED_ID_HEADER, "value": "%REQ(X-REQUEST-ID)%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        "keep_empty_value": False,
    }
    return [{"append": asked}, {"remove": "x-request-id"}]
