"""A stand-in for the exporter: every declared metric with plausible values, which go on as time does.

Four services. One is hurt: its candidate fails. One is healthy. One has no errors, so that its series of errors do not
even exist. One is idle: it costs, and nobody asks it anything.
"""

import itertools
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tidegate.observability import METRICS, Metric

Labels = Mapping[str, str]

HURT = ("swaggystacks", "support-chat")
HEALTHY = ("northwind", "assistant")
FLAWLESS = ("scientiacapital", "research-desk")
IDLE = ("scientiacapital", "archive")
SERVICES = (HURT, HEALTHY, FLAWLESS, IDLE)
ORGANIZATIONS = tuple(sorted({org for org, _ in SERVICES}))
OPEN_RELEASES = {HURT: "baking", FLAWLESS: "hold"}
DAY_S = 86_400.0

ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "platform": ("local", "runpod"),
    "engine": ("llama-server",),
    "model": ("pipit",),
    "version": ("v4",),
    "gpu": ("0", "1"),
    "gateway": ("gateway-1", "gateway-2"),
    "process": ("prefect", "gateway", "exporter", "console"),
    "pool": ("control", "gpu"),
    "flow": ("release", "nightly-regression", "reconcile"),
    "task": ("deploy", "probe"),
    "channel": ("mail", "chat"),
    "collector": ("ledger", "prefect", "cardinality"),
    "code": ("TG-1001", "TG-2003"),
    "check": ("ledger", "disk", "gateways"),
    "store": ("models",),
    "suite": ("capitals", "style"),
    "metric": ("accuracy",),
}
"""Sample values of labels that are not closed."""

GAUGES: Mapping[str, float] = {
    "tidegate_process_up": 1,
    "tidegate_probe_success": 1,
    "tidegate_reconcile_drift": 0,
    "tidegate_eval_regression": 0,
    "tidegate_gateway_generations_behind": 0,
    "tidegate_slo_objective_ratio": 0.99,
    "tidegate_budget_usd": 100,
    "tidegate_budget_spent_usd": 40,
    "tidegate_store_capacity_bytes": 100e9,
    "tidegate_store_used_bytes": 60e9,
    "tidegate_gpu_memory_total_bytes": 80e9,
    "tidegate_gpu_memory_used_bytes": 60e9,
    "tidegate_host_gpu_memory_total_bytes": 80e9,
    "tidegate_host_gpu_memory_used_bytes": 60e9,
    "tidegate_set_memory_bytes": 6e9,
    "tidegate_pipeline_expected_interval_seconds": DAY_S,
    "tidegate_gpu_temperature_celsius": 64,
}
OF_HURT: Mapping[str, float] = {
    "tidegate_probe_success": 0,
    "tidegate_eval_regression": 1,
    "tidegate_reconcile_drift": 1,
    "tidegate_gateway_generations_behind": 1,
    "tidegate_kv_cache_utilization_ratio": 0.98,
}
SLOW_OF_HURT_S, QUICK_S = 3.0, 0.4


@dataclass(frozen=True)
class Place:
    """One set of one service."""

    org: str
    service: str
    set: str
    slot: str
    version: str

    @property
    def ref(self) -> tuple[str, str]:
        return self.org, self.service


def places() -> Iterator[Place]:
    for org, service in SERVICES:
        yield Place(org, service, f"{service}-v3", "stable", "v3")
        if (org, service) in OPEN_RELEASES:
            yield Place(org, service, f"{service}-v4", "candidate", "v4")


def label_sets(metric: Metric) -> Iterator[dict[str, str]]:
    """Every label set that there is a series for."""
    names = metric.label_names
    if "set" in names or {"service", "slot"} <= set(names):
        owners = [vars(place) for place in places()]
    elif "service" in names:
        owners = [{"org": org, "service": service, "version": "v4"} for org, service in SERVICES]
    elif "org" in names:
        owners = [{"org": org} for org in ORGANIZATIONS]
    else:
        owners = [{}]
    seen: set[tuple[str, ...]] = set()
    for owner in owners:
        free = [label for label in metric.labels if label.name not in owner]
        if "set" in names:
            free = [label for label in free if label.name not in ("platform", "engine", "model")]
            owner = {**owner, "platform": "local", "engine": "llama-server", "model": "pipit"}
        values = [sorted(label.values) or list(ELSEWHERE[label.name]) for label in free]
        for chosen in itertools.product(*values):
            found = {**owner, **{label.name: value for label, value in zip(free, chosen, strict=True)}}
            labels = {name: found[name] for name in names}
            if tuple(labels.values()) not in seen:
                seen.add(tuple(labels.values()))
                yield labels


def exists(metric: Metric, labels: Labels) -> bool:
    """Whether the exporter would have it: no release, no series of a release; no error yet, no series of errors."""
    ref = labels.get("org", ""), labels.get("service", "")
    if metric.name.startswith("tidegate_release_") and metric.name != "tidegate_release_traffic_ratio":
        return ref in OPEN_RELEASES
    is_fault = labels.get("code_class") in ("5xx", "timeout") or metric.name in (
        "tidegate_stream_interruptions_total",
        "tidegate_output_validation_failures_total",
    )
    return not (ref == FLAWLESS and is_fault)


def value(metric: Metric, labels: Labels, now: float, since: float) -> float:
    ref = labels.get("org", ""), labels.get("service", "")
    if metric.type == "counter":
        return _counted(metric, labels, ref, since)
    if "state" in labels and metric.name != "tidegate_workers" and "pipeline" not in metric.name:
        return float(labels["state"] == _present(metric, labels, ref))
    if metric.name == "tidegate_expiry_timestamp_seconds":
        return now + 30 * DAY_S
    if metric.unit == "seconds" and "timestamp" in metric.name:
        return now - (4000 if ref == FLAWLESS else 200)
    if metric.name == "tidegate_release_traffic_ratio":
        return {"stable": 0.75, "candidate": 0.25}[labels["slot"]] if ref in OPEN_RELEASES else 1.0
    if metric.name == "tidegate_eval_score_ratio":
        return 0.9 if labels["role"] == "baseline" else 0.8 if ref == HURT else 0.91
    if ref == HURT and metric.name in OF_HURT:
        return OF_HURT[metric.name]
    if metric.name == "tidegate_budget_spent_usd" and labels["org"] == HURT[0]:
        return 120
    return GAUGES.get(metric.name, 0.5 if metric.unit == "ratio" else 1)


def _present(metric: Metric, labels: Labels, ref: tuple[str, str]) -> str:
    if metric.name == "tidegate_release_state":
        return OPEN_RELEASES[ref]
    if metric.name == "tidegate_health_check_state":
        return "warning" if labels["check"] == "disk" else "ok"
    return "degraded" if ref == HURT and labels["slot"] == "candidate" else "ready"


FAULTS = ("tidegate_gpu_faults_total", "tidegate_engine_oom_total", "tidegate_set_restarts_total")


def _counted(metric: Metric, labels: Labels, ref: tuple[str, str], since: float) -> float:
    if metric.name in FAULTS and ref != HURT:
        return 0
    if ref == IDLE and metric.source in ("gateway", "later"):
        return 0
    rate = 2.0
    if labels.get("code_class") in ("5xx", "timeout"):
        rate = 2.0 if ref == HURT and labels.get("slot") == "candidate" else 0.01
    elif labels.get("code_class") == "2xx":
        rate = 20.0
    return 100 + rate * since


def _histogram(metric: Metric, labels: Labels, since: float) -> Iterator[tuple[str, str, float]]:
    ref = labels.get("org", ""), labels.get("service", "")
    total = 0 if ref == IDLE and metric.source == "gateway" else math.floor(100 + 20 * since)
    is_slow = ref == HURT and labels.get("slot") == "candidate"
    typical = min(SLOW_OF_HURT_S if is_slow else QUICK_S, metric.buckets[-2])
    for edge in metric.buckets:
        below = 1.0 if edge >= typical * 2 else 0.5 if edge >= typical else 0.0
        yield "_bucket", str(edge), math.floor(total * below)
    yield "_bucket", "+Inf", total
    yield "_sum", "", total * typical
    yield "_count", "", total


SERIES = [(metric, [labels for labels in label_sets(metric) if exists(metric, labels)]) for metric in METRICS]


def page(now: float, since: float) -> str:
    """What the exporter would say."""
    lines: list[str] = []
    for metric, sets in SERIES:
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.type}"]
        for labels in sets:
            if metric.type != "histogram":
                lines.append(_line(metric.name, labels, value(metric, labels, now, since)))
                continue
            for part, edge, amount in _histogram(metric, labels, since):
                lines.append(_line(metric.name + part, {**labels, "le": edge} if edge else labels, amount))
    return "\n".join(lines) + "\n"


def _line(name: str, labels: Labels, amount: float) -> str:
    inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {amount}"


@contextmanager
def standing_in() -> Iterator[str]:
    """Address of an exporter of this world."""
    began = time.time()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = time.time()
            body = page(now, now - began).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            with suppress(ConnectionError):  # a busy machine: Prometheus waits no longer
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
