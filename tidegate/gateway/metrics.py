"""What Envoy counted: requests, failures and latency by set, requests in flight, healthy sets."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.domain import TrafficCounts
from tidegate.gateway.admin import Admin
from tidegate.gateway.copies import COPIES_SUFFIX
from tidegate.gateway.doors import DOOR_SUFFIX
from tidegate.gateway.files import read_json, write_whole

_BROKEN = frozenset({"UC", "UF", "UPE", "UT", "SI", "UMSDR"})
"""Response flags of a reply that the set broke, whatever its status. A client that left (DC) is none."""

_REFUSED_US = frozenset({"401", "402", "403", "407"})
"""What a set answers when it does not want our credential. The client's own was proven before, at the gateway."""

_PAIR = "_else_"
_COUNTER = re.compile(r"^envoy_gw_(requests|completed|latency_ms)\{(.*)\} ([0-9.e+]+)$")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


@dataclass(frozen=True)
class Members:
    """State of the sets at this gateway now."""

    healthy: tuple[str, ...]
    active: dict[str, int]
    warming: tuple[str, ...]


class _Sample(NamedTuple):
    name: str
    labels: dict[str, str]
    value: float


def read_members(admin: Admin) -> Members:
    """Health and requests in flight of every set that Envoy knows or still serves."""
    return fold_members(
        admin.numbers(r"^cluster\..*\.(membership_healthy|upstream_rq_active|warming_state)$")
    )


def fold_members(numbers: Mapping[str, int]) -> Members:
    """A set elsewhere is healthy when both it and its door are, and warms up as long as one of them does."""
    gauges: dict[str, dict[str, list[int]]] = {}
    for name, value in numbers.items():
        _, cluster, gauge = name.split(".", 2)
        if _PAIR not in cluster and not cluster.endswith(COPIES_SUFFIX):
            values = gauges.setdefault(gauge, {})
            values.setdefault(cluster.removesuffix(DOOR_SUFFIX), []).append(value)
    healthy, active, warming = (
        gauges.get(gauge, {}) for gauge in ("membership_healthy", "upstream_rq_active", "warming_state")
    )
    return Members(
        healthy=tuple(sorted(name for name, values in healthy.items() if all(values))),
        active={name: max(values) for name, values in active.items()},
        warming=tuple(sorted(name for name, values in warming.items() if any(values))),
    )


def read_counts(admin: Admin, at: datetime) -> list[TrafficCounts]:
    """Counts of each set since this Envoy started."""
    samples = parse(admin.get("/stats/prometheus", filter=r"^gw\.(requests|completed|latency_ms)\."))
    return fold_counts(samples, failed_attempts(admin.get_json("/clusters")), at)


def live_requests(admin: Admin) -> tuple[dict[str, int], dict[str, int]]:
    """Clients' requests that ended, by `org/service/set`, and those in flight by set; of this Envoy since its start."""
    ended: dict[str, int] = {}
    for sample in parse(admin.get("/stats/prometheus", filter=r"^gw\.requests\.")):
        set_name, service = sample.labels.get("set", ""), sample.labels.get("service", "")
        if set_name and service.count("/") == 1:
            place = f"{service}/{set_name}"
            ended[place] = ended.get(place, 0) + int(sample.value)
    return ended, read_members(admin).active


def parse(text: str) -> Iterator[_Sample]:
    """Our counters in Prometheus text; everything else is skipped."""
    for line in text.splitlines():
        found = _COUNTER.match(line)
        if found:
            yield _Sample(found[1], dict(_LABEL.findall(found[2])), float(found[3]))


def failed_attempts(clusters: Mapping[str, Any]) -> dict[str, int]:
    """Failed attempts by set, also those that a retry hid from the client.

    Taken from the hosts: behind a fallback pair the set's own `upstream_rq_completed` stays 0.
    """
    failed: dict[str, int] = {}
    for cluster in clusters.get("cluster_statuses", []):
        if _PAIR in cluster["name"] or cluster["name"].endswith((DOOR_SUFFIX, COPIES_SUFFIX)):
            continue
        for host in cluster.get("host_statuses", []):
            errors = (int(stat.get("value", 0)) for stat in host["stats"] if stat["name"] == "rq_error")
            failed[cluster["name"]] = failed.get(cluster["name"], 0) + sum(errors)
    return failed


def fold_counts(samples: Iterable[_Sample], attempts: Mapping[str, int], at: datetime) -> list[TrafficCounts]:
    """One row a set. Replies that Envoy made by itself belong to no set and are left out."""
    sums: dict[str, dict[str, float]] = {}
    for sample in samples:
        name = sample.labels.get("set", "")
        if not name:
            continue
        row = sums.setdefault(name, {})
        row[sample.name] = row.get(sample.name, 0) + sample.value
        if sample.name == "requests" and is_failure(sample.labels):
            row["failed"] = row.get("failed", 0) + sample.value
    return [
        TrafficCounts(
            set_name=name,
            requests=int(row.get("requests", 0)),
            failed=int(row.get("failed", 0)),
            attempts_failed=attempts.get(name, 0),
            latency_ms_sum=row.get("latency_ms", 0.0),
            latency_count=int(row.get("completed", 0)),
            at=at,
        )
        for name in sorted(sums.keys() | {name for name, failed in attempts.items() if failed})
        for row in [sums.get(name, {})]
    ]


def is_failure(labels: Mapping[str, str]) -> bool:
    """5xx, a reply that broke off, or a refusal of the gateway itself. Any other 4xx is the client's own doing."""
    status = labels.get("status", "0")
    return status >= "500" or status in _REFUSED_US or is_broken(labels.get("flags", ""))


def is_broken(flags: str) -> bool:
    """Whether the set broke the reply off, whatever status had been sent."""
    return bool(_BROKEN.intersection(flags.split(",")))


class Totals:
    """Counts that only rise, although Envoy's fall to zero when it restarts. Kept on disk.

    Without this, the sum over several gateways would hide what came after a restart of one of them.
    """

    def __init__(self, path: Path):
        self._path = path
        self._totals: dict[str, TrafficCounts] = {}
        self._last: dict[str, TrafficCounts] = {}
        stored: dict[str, Any] = read_json(path) or {}
        for row in stored.get("totals", []):
            counts = TrafficCounts.model_validate(row)
            self._totals[counts.set_name] = counts

    def restarted(self) -> None:
        """Envoy counts from zero again."""
        self._last = {}

    def add(self, counts: Iterable[TrafficCounts]) -> list[TrafficCounts]:
        """Take a sample; returns the totals of the sets that gained something."""
        changed: list[TrafficCounts] = []
        for now in counts:
            gained = now.since(self._last.get(now.set_name))
            self._last[now.set_name] = now
            # A reply may be counted in one sample and its latency in the next.
            if gained.requests or gained.attempts_failed or gained.latency_count or gained.latency_ms_sum:
                self._totals[now.set_name] = _sum(self._totals.get(now.set_name), gained)
                changed.append(self._totals[now.set_name])
        if changed:
            rows = [total.model_dump(mode="json") for total in self._totals.values()]
            write_whole(self._path, json.dumps({"totals": rows}).encode(), is_durable=False)
        return changed


def _sum(total: TrafficCounts | None, gained: TrafficCounts) -> TrafficCounts:
    if total is None:
        return gained
    return TrafficCounts(
        set_name=gained.set_name,
        requests=total.requests + gained.requests,
        failed=total.failed + gained.failed,
        attempts_failed=total.attempts_failed + gained.attempts_failed,
        latency_ms_sum=total.latency_ms_sum + gained.latency_ms_sum,
        latency_count=total.latency_count + gained.latency_count,
        at=gained.at,
    )
