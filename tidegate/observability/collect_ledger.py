"""Collector of the ledger: what stands now, and what was ever counted, with a zero for everything that may happen."""

import itertools
from collections.abc import Callable, Iterable, Sequence

from tidegate.domain import ReleaseState
from tidegate.domain.overview import Overview
from tidegate.domain.totals import (
    CANARY_SAMPLES,
    COST,
    EVAL_REGRESSION,
    GATE_DECISIONS,
    INTERRUPTIONS,
    LAST_TIME,
    LAST_VALUE,
    OUTPUT_FAULTS,
    PLATFORM_CALL_SECONDS,
    PLATFORM_CALLS,
    PROBE,
    REJECTED,
    RELEASES,
    REQUESTS,
    SET_LOAD_SECONDS,
    SET_OPERATION_SECONDS,
    SET_OPERATIONS,
    SET_READY_SECONDS,
    SET_REQUESTS,
    SUM,
    TIMED,
    TOKENS,
    WRONG_BYTES,
    Total,
)
from tidegate.observability.ledger_source import QUERY_LIMIT_S, Figures, Moments
from tidegate.observability.names import metric as declared
from tidegate.observability.registry import Buckets, Labels, Readings

INTERVAL_S = 5.0
PROBE_COUNTS_S = 3600.0
"""An older probe says nothing about now."""
ENGINE = "llama-server"

OF_SERVICES = (REQUESTS, TOKENS, INTERRUPTIONS, OUTPUT_FAULTS, CANARY_SAMPLES, REJECTED, RELEASES)
OF_PLATFORMS = (SET_OPERATIONS, SET_OPERATION_SECONDS)
OF_ENGINES = (SET_READY_SECONDS, SET_LOAD_SECONDS)
OF_CONTROL_PLANES = (PLATFORM_CALLS, PLATFORM_CALL_SECONDS)
ENDED_STATES = ("completed", "failed", "crashed", "cancelled")
BUSY_SLOTS = ("stable", "candidate")
"""Every service has histograms of these from the start; few have copies, and a histogram is 16 series."""

STANDING = (
    "tidegate_set_info",
    "tidegate_release_info",
    "tidegate_release_state",
    "tidegate_release_traffic_ratio",
    "tidegate_release_started_timestamp_seconds",
    "tidegate_release_state_since_timestamp_seconds",
    "tidegate_reconcile_drift",
    "tidegate_gateway_last_seen_timestamp_seconds",
    "tidegate_gateway_generations_behind",
    "tidegate_requests_in_flight",
    "tidegate_hold",
    "tidegate_quarantined_versions",
)
STORED = (
    *OF_SERVICES,
    *TIMED.values(),
    *OF_PLATFORMS,
    *OF_ENGINES,
    *OF_CONTROL_PLANES,
    SET_REQUESTS,
    GATE_DECISIONS,
    COST,
    PROBE,
    "tidegate_reconcile_last_success_timestamp_seconds",
    "tidegate_eval_score_ratio",
    "tidegate_eval_last_run_timestamp_seconds",
    EVAL_REGRESSION,
    WRONG_BYTES,
    "tidegate_pipeline_runs_total",
    "tidegate_pipeline_run_duration_seconds",
    "tidegate_pipeline_last_success_timestamp_seconds",
)


class LedgerCollector:
    """`platforms` have sets; `called` of them have a control plane that is asked over the network."""

    name = "ledger"
    interval_s = INTERVAL_S
    names = (*STANDING, *STORED)

    def __init__(
        self,
        figures: Figures,
        moments: Moments,
        *,
        platforms: Sequence[str],
        called: Sequence[str],
        flows: Sequence[str],
        clock: Callable[[], float],
    ):
        self._figures = figures
        self._moments = moments
        self._platforms = platforms
        self._called = called
        self._flows = flows
        self._clock = clock

    def collect(self, into: Readings) -> None:
        overview = self._moments.overview()
        show_standing(into, overview)
        show_totals(into, self._figures.totals(QUERY_LIMIT_S), overview, self._clock())
        self._zeros(into, overview)

    def _zeros(self, into: Readings, overview: Overview) -> None:
        for ref in self._moments.services():
            _zeros_of_service(into, *ref)
        for org in self._moments.organizations():
            zeros(into, GATE_DECISIONS, org)
            into.zero("tidegate_quarantined_versions", org)
        for platform in self._platforms:
            _zeros_of_platform(into, platform, is_called=platform in self._called)
        for flow, state in itertools.product(self._flows, ENDED_STATES):
            into.zero("tidegate_pipeline_runs_total", flow, state)
            into.zero("tidegate_pipeline_run_duration_seconds", flow)
        for one in overview.sets:
            into.zero(SET_REQUESTS, *one.ref, one.name)
        zeros(into, WRONG_BYTES)


def _zeros_of_service(into: Readings, org: str, service: str) -> None:
    for name in OF_SERVICES:
        zeros(into, name, org, service)
    for name, slot in itertools.product(TIMED.values(), BUSY_SLOTS):
        into.zero(name, org, service, slot)
    for name in ("tidegate_reconcile_drift", "tidegate_hold", EVAL_REGRESSION):
        into.zero(name, org, service)
    zeros(into, "tidegate_requests_in_flight", org, service)


def _zeros_of_platform(into: Readings, platform: str, *, is_called: bool) -> None:
    for name in OF_PLATFORMS:
        zeros(into, name, platform)
    for name in OF_ENGINES:
        into.zero(name, platform, ENGINE)
    for name in OF_CONTROL_PLANES if is_called else ():
        zeros(into, name, platform)


def zeros(into: Readings, name: str, *known: str) -> None:
    """A zero for every combination of the closed labels that follow the known ones."""
    rest = declared(name).labels[len(known) :]
    for values in itertools.product(*(sorted(label.values) for label in rest)):
        into.zero(name, *known, *values)


def show_standing(into: Readings, overview: Overview) -> None:
    """What is now."""
    for one in overview.sets:
        labels = *one.ref, one.name, one.platform, ENGINE, one.model or "unknown", one.version, one.slot
        into.put("tidegate_set_info", 1, *labels)
    for release in overview.releases:
        # Several may wait for one service; the oldest is the one that goes on.
        if (*release.ref, ReleaseState.REQUESTED) in into.families["tidegate_release_state"]:
            continue
        into.put("tidegate_release_info", 1, *release.ref, release.model, release.version)
        into.put_state("tidegate_release_state", ReleaseState, release.state, *release.ref)
        into.put("tidegate_release_started_timestamp_seconds", release.started_at.timestamp(), *release.ref)
        into.put("tidegate_release_state_since_timestamp_seconds", release.since.timestamp(), *release.ref)
    for route in overview.routes:
        for slot, share in route.shares.items():
            into.put("tidegate_release_traffic_ratio", share / 100, *route.ref, slot)
    for ref in overview.drifting:
        into.put("tidegate_reconcile_drift", 1, *ref)
    for ref in overview.held:
        into.put("tidegate_hold", 1, *ref)
    for org, count in overview.quarantined.items():
        into.put("tidegate_quarantined_versions", count, org)
    _show_gateways(into, overview)


def _show_gateways(into: Readings, overview: Overview) -> None:
    places = {one.name: (*one.ref, one.slot) for one in overview.sets}
    in_flight: dict[Labels, int] = {}
    for gateway in overview.gateways:
        if gateway.is_stopped:
            continue
        into.put("tidegate_gateway_last_seen_timestamp_seconds", gateway.seen_at.timestamp(), gateway.name)
        for route in overview.routes:
            seen = gateway.observed.get(str(route.ref), 0)
            into.put(
                "tidegate_gateway_generations_behind",
                float(seen < route.generation),
                gateway.name,
                *route.ref,
            )
        for name, count in gateway.in_flight.items():
            if name in places:
                in_flight[places[name]] = in_flight.get(places[name], 0) + count
    for labels, count in in_flight.items():
        into.put("tidegate_requests_in_flight", count, *labels)


def show_totals(into: Readings, totals: Iterable[Total], overview: Overview, now: float) -> None:
    """What was counted. A stored metric that nobody declares any more is left out."""
    present = {one.name for one in overview.sets}
    histograms: dict[tuple[str, Labels], tuple[dict[int, float], float]] = {}
    last: dict[tuple[str, Labels], dict[int, float]] = {}
    for name, labels, part, amount in totals:
        if name not in into.families or (name == SET_REQUESTS and labels[-1] not in present):
            continue
        kind = declared(name).type
        if kind == "gauge":
            last.setdefault((name, labels), {})[part] = amount
        elif kind == "counter":
            into.put(name, amount, *labels)
        else:
            counts, total = histograms.get((name, labels), ({}, 0.0))
            if part == SUM:
                total = amount
            else:
                counts[part] = amount
            histograms[name, labels] = counts, total
    for (name, labels), (counts, total) in histograms.items():
        into.put_buckets(name, Buckets(counts, total), *labels)
    for (name, labels), parts in last.items():
        if name != PROBE or now - parts.get(LAST_TIME, 0.0) <= PROBE_COUNTS_S:
            into.put(name, parts[LAST_VALUE], *labels)
