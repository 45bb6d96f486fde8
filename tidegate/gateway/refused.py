"""Requests that a gateway answered by itself, by service and reason: no set had them."""

from collections.abc import Iterable, Mapping

from tidegate.gateway.admin import Admin
from tidegate.gateway.metrics import parse

_REASONS_BY_STATUS = {"401": "auth", "403": "auth", "429": "rate_limit"}
_NO_BACKEND = frozenset({"UH", "NR", "NC", "DR"})


def read_refused(admin: Admin) -> dict[tuple[str, str, str], int]:
    """Since this Envoy started. Raises: Transient."""
    samples = parse(admin.get("/stats/prometheus", filter=r"^gw\.requests\."))
    return fold_refused((sample.labels, sample.value) for sample in samples)


def fold_refused(counts: Iterable[tuple[Mapping[str, str], float]]) -> dict[tuple[str, str, str], int]:
    """By organization, service and reason; what has no service is a stranger's path."""
    found: dict[tuple[str, str, str], int] = {}
    for labels, count in counts:
        org, slash, service = labels.get("service", "").partition("/")
        reason = _reason(labels)
        if not labels.get("set") and org and slash and service and "/" not in service and reason:
            found[org, service, reason] = found.get((org, service, reason), 0) + int(count)
    return found


def _reason(labels: Mapping[str, str]) -> str:
    flags = set(labels.get("flags", "").split(","))
    if "UO" in flags:
        return "overload"
    if _NO_BACKEND & flags:
        return "no_backend"
    return _REASONS_BY_STATUS.get(labels.get("status", ""), "")
