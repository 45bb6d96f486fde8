"""Collector of one platform: states, memory, GPUs and cost of its sets, and the figures of their engines.

Engines are asked here and nowhere else: two of their gauges are averages since whoever asked last. Prometheus gets the
same answers from the exporter.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tidegate.domain import SetState, SetStatus
from tidegate.domain.overview import StandingSet
from tidegate.domain.totals import COST, OPERATION_S, SET_LOAD_SECONDS, Gain, observed
from tidegate.observability.collect_ledger import ENGINE
from tidegate.observability.ledger_source import Moments, TotalsWriter
from tidegate.observability.registry import Readings

INTERVAL_S = 15.0
LONGEST_STEP_S = 300.0
"""What a set cost is its price times the time since the last look, at most this long: after a longer pause nobody
knows what ran."""
LEAVING = frozenset({"left", "deleted"})
ENGINE_PREFIX = "llamacpp_"

_PLAIN_NAME = re.compile(r"^[a-z][a-z0-9_]{0,79}$")
_OF_GPU = re.compile(r"^gpu(\d{1,2})_([a-z_]+)$")
_GPU_GAUGES = {
    # What a platform calls it, our metric, what one of theirs is in ours.
    "utilization": ("tidegate_gpu_utilization_ratio", 0.01),
    "memory_used_bytes": ("tidegate_gpu_memory_used_bytes", 1.0),
    "memory_total_bytes": ("tidegate_gpu_memory_total_bytes", 1.0),
    "temperature_celsius": ("tidegate_gpu_temperature_celsius", 1.0),
    "energy_joules": ("tidegate_gpu_energy_joules_total", 1.0),
}
_GPU_FAULTS = {"xid_faults": "xid", "ecc_faults": "ecc", "row_remap_faults": "row_remap"}


class PlatformView(Protocol):
    """What the collector asks of a platform. Each call has its own time limit."""

    @property
    def name(self) -> str: ...

    def list_owned(self) -> Sequence[SetStatus]: ...
    def metrics(self, name: str) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class EnginePage:
    """What the engine of a set said last."""

    of: StandingSet
    figures: Mapping[str, float]
    at: float

    @property
    def text(self) -> str:
        """In Prometheus' format, with the engine's own names; a colon is for rules."""
        lines: list[str] = []
        for name, value in sorted(self.figures.items()):
            if not _PLAIN_NAME.match(name):
                # With labels, which may hold a text of a stranger.
                continue
            full = f"{ENGINE_PREFIX}{name}"
            lines += [f"# TYPE {full} {'counter' if name.endswith('_total') else 'gauge'}", f"{full} {value}"]
        return "\n".join(lines) + "\n" if lines else ""


class EnginePages:
    """Newest page of each engine, for all platforms."""

    def __init__(self) -> None:
        self._pages: dict[str, dict[str, EnginePage]] = {}
        self._lock = threading.Lock()

    def replace(self, platform: str, pages: dict[str, EnginePage]) -> None:
        with self._lock:
            self._pages[platform] = pages

    def all(self) -> dict[str, EnginePage]:
        """By name of the set."""
        with self._lock:
            return {name: page for pages in self._pages.values() for name, page in pages.items()}


class PlatformCollector:
    """One platform. When it hangs, its metrics grow old; those of others do not."""

    interval_s = INTERVAL_S
    names = (
        "tidegate_set_state",
        "tidegate_set_replicas",
        "tidegate_set_memory_bytes",
        "tidegate_set_restarts_total",
        "tidegate_engine_oom_total",
        "tidegate_cost_usd_per_hour",
        "tidegate_orphan_resources",
        "tidegate_kv_cache_utilization_ratio",
        "tidegate_prefix_cache_tokens_total",
        "tidegate_gpu_faults_total",
        *(name for name, _ in _GPU_GAUGES.values()),
    )

    def __init__(
        self,
        platform: PlatformView,
        moments: Moments,
        writer: TotalsWriter,
        pages: EnginePages,
        *,
        clock: Callable[[], float] = time.time,
    ):
        self.name = f"platform-{platform.name}"
        self._platform = platform
        self._moments = moments
        self._writer = writer
        self._pages = pages
        self._clock = clock
        self._began_at = clock()
        self._priced_at: float | None = None
        self._loaded: set[tuple[str, float]] = set()

    def collect(self, into: Readings) -> None:
        owned = {status.name: status for status in self._platform.list_owned()}
        recorded = {one.name: one for one in self._moments.sets_of(self._platform.name)}
        now = self._clock()
        pages: dict[str, EnginePage] = {}
        for one in recorded.values():
            status = owned.get(one.name, SetStatus.absent(one.name))
            _show_set(into, one, status)
            if status.is_ready and (figures := dict(self._platform.metrics(one.name))):
                _show_engine(into, one, figures)
                pages[one.name] = EnginePage(one, figures, now)
        self._pages.replace(self._platform.name, pages)
        into.put("tidegate_orphan_resources", len(owned.keys() - recorded.keys()), self._platform.name, "set")
        self._show_cost(into, recorded, owned, now)
        self._count_loads(recorded, owned)

    def _show_cost(
        self,
        into: Readings,
        recorded: Mapping[str, StandingSet],
        owned: Mapping[str, SetStatus],
        now: float,
    ) -> None:
        """A set that nobody recorded costs too, and belongs to no service: it is an orphan, told apart."""
        rates: dict[tuple[str, str, str], float] = {}
        for name, status in owned.items():
            if name in recorded and status.usd_per_hour is not None:
                ref = recorded[name].ref
                labels = ref.org, ref.service, self._platform.name
                rates[labels] = rates.get(labels, 0.0) + status.usd_per_hour
        for labels, rate in rates.items():
            into.put("tidegate_cost_usd_per_hour", rate, *labels)
        passed_s = 0.0 if self._priced_at is None else min(now - self._priced_at, LONGEST_STEP_S)
        if rates and passed_s > 0:
            self._writer.add_totals([Gain(COST, one, rate * passed_s / 3600) for one, rate in rates.items()])
        self._priced_at = now

    def _count_loads(self, recorded: Mapping[str, StandingSet], owned: Mapping[str, SetStatus]) -> None:
        """A model that was loaded since the exporter runs, once. Before that somebody else has counted it."""
        gains: list[Gain] = []
        for name, status in owned.items():
            if name not in recorded or status.load_seconds is None or status.since is None:
                continue
            load = name, status.since.timestamp()
            if load not in self._loaded and load[1] >= self._began_at:
                labels = self._platform.name, ENGINE
                gains += observed(SET_LOAD_SECONDS, labels, status.load_seconds, OPERATION_S)
            self._loaded.add(load)
        self._loaded = {load for load in self._loaded if load[0] in owned}
        if gains:
            self._writer.add_totals(gains)


def _show_set(into: Readings, one: StandingSet, status: SetStatus) -> None:
    labels = *one.ref, one.name
    into.put_state("tidegate_set_state", SetState, status.state, *labels, one.slot)
    into.put("tidegate_set_replicas", float(one.state not in LEAVING), *labels, one.slot, "desired")
    into.put("tidegate_set_replicas", float(status.is_ready), *labels, one.slot, "ready")
    into.put("tidegate_set_restarts_total", status.restarts, *labels)
    if status.memory_deaths is not None:
        into.put("tidegate_engine_oom_total", status.memory_deaths, *labels)
    if status.memory_bytes is not None:
        into.put("tidegate_set_memory_bytes", status.memory_bytes, *labels)


def _show_engine(into: Readings, one: StandingSet, figures: Mapping[str, float]) -> None:
    """What of an engine's own figures has a name of ours. What it does not tell is absent, not 0."""
    labels = *one.ref, one.name
    for theirs, result in (("prompt_tokens_cached_total", "hit"), ("prompt_tokens_total", "miss")):
        if theirs in figures:
            into.put("tidegate_prefix_cache_tokens_total", figures[theirs], *labels, result)
    if "kv_cache_usage_ratio" in figures:
        into.put("tidegate_kv_cache_utilization_ratio", figures["kv_cache_usage_ratio"], *labels)
    for name, value in figures.items():
        found = _OF_GPU.match(name)
        if found is None:
            continue
        number, figure = found.groups()
        if figure in _GPU_GAUGES:
            ours, scale = _GPU_GAUGES[figure]
            into.put(ours, value * scale, *labels, number)
        elif figure in _GPU_FAULTS:
            into.put("tidegate_gpu_faults_total", value, *labels, _GPU_FAULTS[figure])
