"""What was used, per second, and what it costs, in the vendor's buckets. Summing is pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.platforms.runpod.emulator.clock import Clock
from tidegate.platforms.runpod.emulator.persistence import Documents
from tidegate.platforms.runpod.emulator.state import Usage, as_json, new_id

SECONDS_PER_MONTH = 30 * 86400.0
VOLUME_USD_PER_GB_MONTH = 0.07
LARGE_VOLUME_GB = 1000
LARGE_VOLUME_USD_PER_GB_MONTH = 0.05
DISK_USD_PER_GB_MONTH = 0.10

POD, SERVERLESS, VOLUME = "pods", "serverless", "network-volumes"
UNITS = {
    POD: ("gpu", "cpu", "disk"),
    SERVERLESS: ("gpu", "cpu", "disk", "fee"),
    VOLUME: ("standard", "highPerformance"),
}
ID_NAMES = {POD: "podId", SERVERLESS: "serverlessId", VOLUME: "networkVolumeId"}
TOTAL_NAMES = {
    (POD, "gpu"): "podGpuAmount",
    (POD, "cpu"): "podCpuAmount",
    (POD, "disk"): "podDiskAmount",
    (SERVERLESS, "gpu"): "serverlessGpuAmount",
    (SERVERLESS, "cpu"): "serverlessCpuAmount",
    (SERVERLESS, "disk"): "serverlessDiskAmount",
    (SERVERLESS, "fee"): "serverlessFeeAmount",
    (VOLUME, "standard"): "storageStandardAmount",
    (VOLUME, "highPerformance"): "storageHighPerformanceAmount",
}
NEVER_USED = ("endpointAmount", "clusterGpuAmount", "clusterDiskAmount", "clusterNetworkingAmount")


@dataclass(frozen=True)
class Bucket:
    """A span of the calendar, from `start` to before `end`, in seconds since the epoch."""

    start: float
    end: float


def volume_usd_per_s(size_gb: int) -> float:
    """Volumes cost less per GB above one TB."""
    small = min(size_gb, LARGE_VOLUME_GB)
    per_month = small * VOLUME_USD_PER_GB_MONTH + (size_gb - small) * LARGE_VOLUME_USD_PER_GB_MONTH
    return per_month / SECONDS_PER_MONTH


def cost(usage: Usage, start: float, end: float, now: float) -> float:
    """What falls between two moments; an open span runs until now."""
    ended = now if usage.ended_at is None else usage.ended_at
    return max(0.0, min(ended, end) - max(usage.started_at, start)) * usage.usd_per_s


def buckets(start: float, end: float, size: str) -> Iterator[Bucket]:
    """The calendar's spans of that size which touch [start, end], in UTC."""
    at = _floor(datetime.fromtimestamp(start, UTC), size)
    while at.timestamp() < end:
        following = _next(at, size)
        yield Bucket(at.timestamp(), following.timestamp())
        at = following


def _floor(moment: datetime, size: str) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    match size:
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "week":
            return midnight - timedelta(days=midnight.weekday())
        case "month":
            return midnight.replace(day=1)
        case "year":
            return midnight.replace(month=1, day=1)
        case _:
            return midnight


def _next(at: datetime, size: str) -> datetime:
    match size:
        case "hour":
            return at + timedelta(hours=1)
        case "week":
            return at + timedelta(days=7)
        case "month":
            return at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)
        case "year":
            return at.replace(year=at.year + 1)
        case _:
            return at + timedelta(days=1)


def product_records(
    product: str, usages: Sequence[Usage], spans: Iterable[Bucket], now: float
) -> list[dict[str, Any]]:
    """One row per bucket and resource that cost something; times are still numbers."""
    rows: list[dict[str, Any]] = []
    for span in spans:
        by_resource: dict[str, dict[str, float]] = {}
        for usage in usages:
            amount = cost(usage, span.start, span.end, now)
            if amount > 0:
                amounts = by_resource.setdefault(usage.resource_id, dict.fromkeys(UNITS[product], 0.0))
                amounts[usage.unit] += amount
        rows.extend(
            {"startTime": span.start, "endTime": span.end, ID_NAMES[product]: name, **amount_fields(amounts)}
            for name, amounts in sorted(by_resource.items())
        )
    return rows


def amount_fields(amounts: dict[str, float]) -> dict[str, float]:
    """`gpuAmount` and so on, and their sum."""
    return {
        "totalAmount": sum(amounts.values()),
        **{f"{unit}Amount": amount for unit, amount in amounts.items()},
    }


def product_totals(product: str, rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    names = [f"{unit}Amount" for unit in UNITS[product]]
    totals = dict.fromkeys(["totalAmount", *names], 0.0)
    for row in rows:
        for name in totals:
            totals[name] += row[name]
    return totals


def all_amounts(usages: Iterable[Usage], start: float, end: float, now: float) -> dict[str, float]:
    """The account's amounts of one span, by product and unit."""
    amounts = dict.fromkeys(["totalAmount", *TOTAL_NAMES.values(), *NEVER_USED], 0.0)
    for usage in usages:
        amount = cost(usage, start, end, now)
        amounts[TOTAL_NAMES[usage.product, usage.unit]] += amount
        amounts["totalAmount"] += amount
    return amounts


class Meter:
    """Opens and closes billed spans, and remembers them. What is closed is summed once: balances are asked often."""

    def __init__(self, documents: Documents, clock: Clock):
        self._documents = documents
        self._clock = clock
        self.usages = {row["id"]: Usage(**row) for row in documents.load("usage")}
        self._open: dict[str, dict[str, Usage]] = {}
        self._closed_usd: dict[str, float] = {}
        for usage in self.usages.values():
            self._sort_in(usage)

    def open(self, organization: str, product: str, resource_id: str, unit: str, usd_per_s: float) -> str:
        usage = Usage(new_id(), organization, product, resource_id, unit, usd_per_s, self._clock.now())
        self.usages[usage.id] = usage
        self._sort_in(usage)
        self._documents.save("usage", usage.id, as_json(usage))
        return usage.id

    def close(self, usage_id: str) -> None:
        usage = self.usages[usage_id]
        if usage.ended_at is None:
            usage.ended_at = self._clock.now()
            del self._open[usage.organization][usage.id]
            self._sort_in(usage)
            self._documents.save("usage", usage.id, as_json(usage))

    def close_running(self) -> None:
        """After a restart: what ran for the dead emulator has been ended just now."""
        for usage in self.usages.values():
            if usage.ended_at is None and usage.product != VOLUME:
                self.close(usage.id)

    def of(self, organization: str, product: str | None = None) -> list[Usage]:
        return [
            usage
            for usage in self.usages.values()
            if usage.organization == organization and product in (None, usage.product)
        ]

    def spent_usd(self, organization: str) -> float:
        now = self._clock.now()
        running = sum(cost(usage, 0.0, now, now) for usage in self._open.get(organization, {}).values())
        return self._closed_usd.get(organization, 0.0) + running

    def rate_usd_per_h(self, organization: str) -> float:
        return sum(usage.usd_per_s * 3600 for usage in self._open.get(organization, {}).values())

    def _sort_in(self, usage: Usage) -> None:
        if usage.ended_at is None:
            self._open.setdefault(usage.organization, {})[usage.id] = usage
            return
        spent = (usage.ended_at - usage.started_at) * usage.usd_per_s
        self._closed_usd[usage.organization] = self._closed_usd.get(usage.organization, 0.0) + spent
