"""Families of metrics as prometheus-client has them, and the text that Prometheus reads."""

import os
from collections.abc import Iterable, Mapping

# Read when the library is imported: creation times would double the series of every counter and histogram.
os.environ.setdefault("PROMETHEUS_DISABLE_CREATED_SERIES", "true")

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString  # pyright: ignore[reportUnknownVariableType]

from tidegate.observability.metric import Metric
from tidegate.observability.registry import Buckets, Family, Labels, Value


def family_of(one: Metric, values: Family) -> MetricFamily:
    """Values of one metric in the library's shape, in a stable order."""
    names = list(one.label_names)
    if one.type == "histogram":
        histogram = HistogramMetricFamily(one.name, one.help, labels=names)
        for labels, value in sorted(values.items(), key=lambda item: item[0]):
            assert isinstance(value, Buckets), "the registry holds types"
            histogram.add_metric(list(labels), buckets=_cumulated(one, value), sum_value=value.total)
        return histogram
    kind = CounterMetricFamily if one.type == "counter" else GaugeMetricFamily
    family = kind(one.name, one.help, labels=names)
    for labels, value in sorted(values.items(), key=lambda item: item[0]):
        assert isinstance(value, float), "the registry holds types"
        family.add_metric(list(labels), value)
    return family


def _cumulated(one: Metric, value: Buckets) -> list[tuple[str, float]]:
    seen, found = 0.0, list[tuple[str, float]]()
    for number, edge in enumerate((*one.buckets, float("inf"))):
        seen += value.counts.get(number, 0)
        found.append((floatToGoString(edge), seen))
    return found


class _Families(Collector):
    def __init__(self, families: Iterable[MetricFamily]):
        self._families = families

    def collect(self) -> Iterable[MetricFamily]:
        return self._families


def text_of(families: Iterable[MetricFamily]) -> bytes:
    """The whole text of these families."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return generate_latest(registry)


def lines_of(one: Metric, labels: Labels, value: Value) -> bytes:
    """The lines of one label set: what `text_of` would write, in a tenth of the time. The registry has seen to it that no
    label value needs an escape; a test compares both for every metric."""
    pairs = dict(zip(one.label_names, labels, strict=True))
    if not isinstance(value, Buckets):
        return f"{one.name}{_braced(pairs)} {floatToGoString(value)}\n".encode()
    edges = _cumulated(one, value)
    lines = [f"{one.name}_bucket{_braced({**pairs, 'le': edge})} {floatToGoString(n)}\n" for edge, n in edges]
    place = _braced(pairs)
    lines.append(f"{one.name}_count{place} {floatToGoString(edges[-1][1])}\n")
    lines.append(f"{one.name}_sum{place} {floatToGoString(value.total)}\n")
    return "".join(lines).encode()


def _braced(pairs: Mapping[str, str]) -> str:
    """In the order of names, as the library has them."""
    if not pairs:
        return ""
    return "{" + ",".join(f'{name}="{pairs[name]}"' for name in sorted(pairs)) + "}"


def head_of(one: Metric) -> bytes:
    """HELP and TYPE of a metric."""
    lines = text_of([family_of(one, {})]).splitlines(keepends=True)
    return b"".join(line for line in lines if line.startswith(b"#"))


def page_of(heads: Mapping[str, bytes], bodies: Mapping[str, list[bytes]]) -> bytes:
    """Metrics that have samples, in the order of their declaration."""
    parts: list[bytes] = []
    for name, head in heads.items():
        if found := [body for body in bodies.get(name, ()) if body]:
            parts += [head, *found]
    return b"".join(parts)
