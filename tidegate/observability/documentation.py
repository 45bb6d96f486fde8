"""`docs/metrics.md`, made from the declarations: `python -m tidegate.observability.documentation` writes it."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from tidegate.observability.declared_running import RUNNING
from tidegate.observability.declared_serving import SERVING
from tidegate.observability.later import WHY_LATER
from tidegate.observability.metric import Label, Metric
from tidegate.observability.names import BY_NAME, METRICS

FORMER_WORDS: Mapping[str, str] = MappingProxyType({"deployment": "set", "rollout": "release"})
"""Words of the list of requirements -> words of Tidegate."""
FORMER_LABELS: Mapping[str, str] = MappingProxyType({"endpoint": "service", "deployment": "set"})
RENAMED: tuple[str, ...] = (
    "tidegate_deployment_info",
    "tidegate_deployment_state",
    "tidegate_deployment_replicas",
    "tidegate_deployment_operations_total",
    "tidegate_deployment_operation_duration_seconds",
    "tidegate_deployment_ready_duration_seconds",
    "tidegate_deployment_requests_total",
    "tidegate_rollout_traffic_ratio",
    "tidegate_rollout_started_timestamp_seconds",
    "tidegate_rollouts_total",
)
"""Names of that list that are other ones here; the rest have the same name."""

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "ledger": "the ledger",
        "gateway": "what gateways measured, through the ledger",
        "platform": "the platform, asked every 15 s",
        "host": "the host of the exporter",
        "store": "the store",
        "prefect": "Prefect's server; ended runs through the ledger",
        "exporter": "the exporter itself",
        "later": "nothing yet",
    }
)

HEAD = """\
# Metrics

<!-- Written by `python -m tidegate.observability.documentation`; a test compares it with the code. -->

`tidegate exporter` shows them at `http://127.0.0.1:8091/metrics`; `tidegate up` runs one. They are declared once, in
`tidegate/observability`: exporter, alert rules and dashboards use no other name, and a collector that shows another
label or more label sets than the budget is refused. What is refused is counted in
`tidegate_collector_errors_total{collector="cardinality"}` and folded into the label value `other`.

- Durations are seconds, sizes bytes, ratios between 0 and 1, times Unix seconds. A counter only rises: its total is
  kept in the ledger, also when the rows that it counted are gone.
- What may happen has a 0 from the start. What nobody knows is absent.
- A request that broke off after a good status, or in which a set refused the gateway, is a `5xx`; one whose client left
  is `cancelled`. Requests are counted within two seconds of their end.
- `slot` is `candidate` for the set that an open release tries out, `shadow` for copies, else `stable`.
- Each place is asked in a thread of its own. One that hangs or fails keeps its last values for a minute (at least six
  intervals), then its metrics disappear; `tidegate_collector_last_success_timestamp_seconds` stays and tells since when.

## Engines

`llama-server` has figures of its own, behind its key, and two of its gauges are averages since whoever asked last. So
the exporter asks each engine once and gives Prometheus the same answer: `/sd/engines` lists the engines for
`http_sd_configs` (`engine_targets: http://127.0.0.1:8091/sd/engines` in `deployments/monitoring/monitoring.yaml`), and
each is scraped at `/engines/SET/metrics` of the exporter. Never scrape an engine itself. Names there begin with
`llamacpp_`, as relabelling would make them.

## GPUs

`tidegate exporter --gpu-host` on a machine with GPUs shows `tidegate_host_gpu_*` through NVIDIA's library (extra `gpu`),
without a ledger; `tidegate exporter --gpus` shows them beside everything else. GPUs of a vendor's machines are told by
its interface, as far as it tells them.
"""


def document() -> str:
    """The whole page."""
    return "\n".join(
        [
            HEAD,
            *_table("Sets, releases, requests, GPUs, quality", SERVING),
            *_table("Cost, runs, stores, notices, health, the exporter", RUNNING),
            *_budgets(),
            *_reserved(),
            *_former(),
        ]
    )


def _table(title: str, metrics: Iterable[Metric]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| metric | type | labels | meaning | from | most label sets |"
    yield "|---|---|---|---|---|---|"
    for one in metrics:
        if one.source == "later":
            continue
        labels = ", ".join(f"`{name}`" for name in one.label_names) or "–"
        text = f"{one.help} Up to {_edges(one)}." if one.buckets else one.help
        yield (
            f"| `{one.name}` | {one.type} | {labels} | {text} | {SOURCES[one.source]} | {one.max_label_sets} |"
        )
    yield ""


def _edges(one: Metric) -> str:
    return ", ".join(f"{edge:g}" for edge in one.buckets) + " s"


def _budgets() -> Iterator[str]:
    yield "## Labels\n"
    yield "| label | values |"
    yield "|---|---|"
    seen: set[tuple[str, str]] = set()
    for label in sorted({label for one in METRICS for label in one.labels}, key=_order):
        told = _values(label)
        if (label.name, told) not in seen:
            seen.add((label.name, told))
            yield f"| `{label.name}` | {told} |"
    yield ""


def _order(label: Label) -> tuple[str, str]:
    return label.name, _values(label)


def _values(label: Label) -> str:
    if label.is_closed:
        return ", ".join(f"`{value}`" for value in sorted(label.values))
    return f"{label.open_set}, at most {label.budget}"


def _reserved() -> Iterator[str]:
    yield "## Reserved names\n"
    yield "Nothing measures these yet.\n"
    yield "| metric | why not |"
    yield "|---|---|"
    for name, why in WHY_LATER.items():
        yield f"| `{name}` | {why} |"
    yield ""


def _former() -> Iterator[str]:
    yield "## Names of the list of requirements\n"
    yield "It said *deployment* for a set, *rollout* for a release and *endpoint* for a service. The other names are the same.\n"
    yield "| there | here |"
    yield "|---|---|"
    for name in RENAMED:
        yield f"| `{name}` | `{present_name(name)}` |"
    for there, here in FORMER_LABELS.items():
        yield f"| label `{there}` | label `{here}` |"
    yield ""


def present_name(former: str) -> str:
    """The name here of one of that list. Raises: KeyError when there is none."""
    name = former
    for there, here in FORMER_WORDS.items():
        name = name.replace(f"_{there}", f"_{here}")
    return BY_NAME[name].name


def main(path: Path) -> None:
    path.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/metrics.md"))
