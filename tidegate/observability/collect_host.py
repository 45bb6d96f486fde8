"""Collectors of this host: its resources, the processes of the stack, the store, and the money of organizations."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate import __version__
from tidegate.domain import ServiceRef
from tidegate.domain.policy import ObjectivePolicy
from tidegate.observability.registry import Readings

PERIOD = "month"


class HostCollector:
    """`processes` tells of each process of the stack whether it runs; empty where there is no stack."""

    name = "host"
    interval_s = 5.0
    names = ("tidegate_host_utilization_ratio", "tidegate_process_up", "tidegate_build_info")

    def __init__(self, home: Path, processes: Callable[[], Mapping[str, bool]]):
        self._home = home
        self._processes = processes

    def collect(self, into: Readings) -> None:
        import psutil

        # Since the last call, so that nobody waits; the first one tells of the time since the start.
        into.put("tidegate_host_utilization_ratio", psutil.cpu_percent(interval=None) / 100, "cpu")
        into.put("tidegate_host_utilization_ratio", psutil.virtual_memory().percent / 100, "memory")
        disk = shutil.disk_usage(self._home)
        into.put("tidegate_host_utilization_ratio", 1 - disk.free / disk.total, "disk")
        for name, is_up in self._processes().items():
            into.put("tidegate_process_up", float(is_up), name)
        into.put("tidegate_build_info", 1, __version__)


class StoreCollector:
    """A folder of artifacts. Walking it is slow on a network disk, so it is looked at seldom."""

    name = "store"
    interval_s = 60.0
    names = ("tidegate_store_used_bytes", "tidegate_store_capacity_bytes")

    def __init__(self, root: Path, store: str = "local"):
        self._root = root
        self._store = store

    def collect(self, into: Readings) -> None:
        used = _bytes_below(self._root)
        free = shutil.disk_usage(_nearest(self._root)).free
        into.put("tidegate_store_used_bytes", used, self._store)
        into.put("tidegate_store_capacity_bytes", used + free, self._store)


def _bytes_below(folder: Path) -> int:
    """Sizes of files; what disappears in the meantime has none."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(one for one in (folder, *folder.parents) if one.exists())


@dataclass(frozen=True)
class Spent:
    """What an organization may spend this month, and has spent. None: no limit, or nothing costs money."""

    org: str
    budget_usd: float | None = None
    spent_usd: float | None = None
    billed_usd: Mapping[str, float] | None = None
    """By platform, where the bill could be read."""


class MoneyCollector:
    """Bills are asked seldom: platforms write them by the hour."""

    name = "money"
    interval_s = 300.0
    names = ("tidegate_budget_usd", "tidegate_budget_spent_usd", "tidegate_cost_billed_usd")

    def __init__(self, spent: Callable[[], Sequence[Spent]]):
        self._spent = spent

    def collect(self, into: Readings) -> None:
        for one in self._spent():
            if one.budget_usd is not None:
                into.put("tidegate_budget_usd", one.budget_usd, one.org, PERIOD)
            if one.spent_usd is not None:
                into.put("tidegate_budget_spent_usd", one.spent_usd, one.org, PERIOD)
            for platform, usd in (one.billed_usd or {}).items():
                into.put("tidegate_cost_billed_usd", usd, one.org, platform, PERIOD)


class ObjectiveCollector:
    """What every service promises, as metrics: alert rules read them and stay the same for all services."""

    name = "objectives"
    interval_s = 60.0
    names = ("tidegate_slo_objective_ratio",)

    def __init__(
        self,
        services: Callable[[], Sequence[ServiceRef]],
        promised: Callable[[ServiceRef], ObjectivePolicy | None],
    ):
        self._services = services
        self._promised = promised

    def collect(self, into: Readings) -> None:
        for ref in self._services():
            # One that the ledger still knows and nobody configures any more promises what everybody does.
            wanted = self._promised(ref) or ObjectivePolicy()
            into.put("tidegate_slo_objective_ratio", wanted.availability, *ref, "availability")
            into.put("tidegate_slo_objective_ratio", wanted.ttft, *ref, "ttft")
