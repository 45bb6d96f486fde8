"""The rules for names of metrics. `faults_of` says in words what is wrong with a declaration."""

import re
from collections.abc import Iterator

from tidegate.observability.metric import PREFIX, Label, Metric

RESERVED_LABELS = frozenset({"le", "quantile", "job", "instance", "severity", "alertname"})
NEVER_LABELS = frozenset(
    {"request_id", "user", "url", "path", "error", "message", "run_id", "release_id", "digest", "prompt"}
)
"""Each new value would be a new series for ever."""
VERSION_LABELS = frozenset({"model", "version"})
MAX_SERIES = 15_000
"""Of one metric. A whole installation is meant to stay within one small Prometheus."""

_NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
_UNIT_WORDS = frozenset({"seconds", "bytes", "ratio", "celsius", "joules", "usd"})
_FOREIGN_UNITS = frozenset(
    {
        "ms",
        "milliseconds",
        "minutes",
        "hours",
        "days",
        "percent",
        "kb",
        "mb",
        "gb",
        "mib",
        "gib",
        "kib",
        "watts",
    }
)


def faults_of(metric: Metric) -> list[str]:
    """What breaks the rules, one sentence each; empty for a good declaration."""
    return [*_name_faults(metric), *_unit_faults(metric), *_type_faults(metric), *_label_faults(metric)]


def _name_faults(metric: Metric) -> Iterator[str]:
    if not metric.name.startswith(PREFIX):
        yield f"it does not begin with {PREFIX}"
    if not _NAME.match(metric.name):
        yield "it is not lower-case words joined by single underscores"
    if metric.name.endswith("_total") != (metric.type == "counter"):
        yield "`_total` is the end of a counter's name, and of nothing else"
    if metric.name.endswith(("_bucket", "_sum", "_count", "_created")):
        yield "it ends like a part of a histogram"
    if re.search(r"_age(_|$)", metric.name):
        yield "an age grows by itself: export the time of the last event (`_timestamp_seconds`)"
    if not metric.help.endswith("."):
        yield "its help is not a sentence"


def _unit_faults(metric: Metric) -> Iterator[str]:
    words = metric.name.removesuffix("_total").split("_")
    if foreign := _FOREIGN_UNITS.intersection(words):
        yield f"{min(foreign)} is no base unit"
    if metric.unit and not metric.name.removesuffix("_total").endswith(f"_{metric.unit}"):
        yield f"it is in {metric.unit}, and does not end so"
    if not metric.unit and _UNIT_WORDS.intersection(words[-1:]):
        yield f"it ends with {words[-1]}, and declares no unit"


def _type_faults(metric: Metric) -> Iterator[str]:
    if (metric.type == "histogram") != bool(metric.buckets):
        yield "a histogram has buckets, and nothing else has"
    if list(metric.buckets) != sorted(set(metric.buckets)):
        yield "its buckets do not rise"
    if metric.name.endswith("_info") and metric.type != "gauge":
        yield "`_info` is a gauge that is always 1"
    if metric.unit == "ratio" and metric.type == "histogram" and max(metric.buckets, default=0) > 1:
        yield "a ratio is between 0 and 1"


def _label_faults(metric: Metric) -> Iterator[str]:
    names = metric.label_names
    if len(set(names)) != len(names):
        yield "it has a label twice"
    for label in metric.labels:
        yield from _one_label(metric, label)
    if metric.max_series > MAX_SERIES:
        yield f"it may have {metric.max_series} series, more than {MAX_SERIES}"


def _one_label(metric: Metric, label: Label) -> Iterator[str]:
    if not _NAME.match(label.name) or label.name in RESERVED_LABELS:
        yield f"label {label.name}: the name is not allowed"
    if label.name == metric.name.removeprefix(PREFIX):
        yield f"label {label.name} is named like the metric"
    if label.name in NEVER_LABELS:
        yield f"label {label.name} grows without end"
    if label.is_closed == bool(label.open_set):
        yield f"label {label.name} is neither a closed set nor a named open one"
    if not label.is_closed and label.budget < 1:
        yield f"label {label.name} is an open set without a budget"
    is_about_versions = metric.name.endswith("_info") or "_eval_" in metric.name
    if label.name in VERSION_LABELS and not is_about_versions:
        yield f"label {label.name} belongs on `_info` and on eval metrics only"
