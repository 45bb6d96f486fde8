"""What a metric is before anything measures it: name, type, labels and how many series it may ever have."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

MetricType = Literal["counter", "gauge", "histogram"]
Unit = Literal["seconds", "bytes", "ratio", "celsius", "joules", "usd", "usd_per_hour", ""]
"""Base unit, which is also the end of the name; empty for a plain number."""

PREFIX = "tidegate_"
"""How every name of ours begins."""

Source = Literal["ledger", "gateway", "platform", "host", "store", "prefect", "exporter", "later"]
"""Where the exporter reads it. `later`: the name is reserved, nothing measures it yet."""


@dataclass(frozen=True)
class Label:
    """One label. Its values are a closed set, or come from a named set of this installation with a budget."""

    name: str
    values: frozenset[str] = frozenset()
    """All values that it can ever have; empty for an open set."""
    open_set: str = ""
    """What an open set is made of, in words: `organizations`."""
    budget: int = 0
    """How many values an open set may have in all; the next one becomes `other`."""
    implies: frozenset[str] = frozenset()
    """Labels that have one value for each value of this one: a service has one organization."""

    @property
    def is_closed(self) -> bool:
        return bool(self.values)

    @property
    def most_values(self) -> int:
        return len(self.values) or self.budget


def closed(name: str, *values: str) -> Label:
    """A label whose values are all known now."""
    return Label(name, values=frozenset(values))


def open_label(name: str, of: str, budget: int, implies: Iterable[str] = ()) -> Label:
    """A label whose values are the names of things of this installation."""
    return Label(name, open_set=of, budget=budget, implies=frozenset(implies))


@dataclass(frozen=True)
class Metric:
    """One declared metric. The exporter measures nothing else; alerts and dashboards ask for nothing else."""

    name: str
    type: MetricType
    help: str
    labels: tuple[Label, ...] = ()
    unit: Unit = ""
    buckets: tuple[float, ...] = ()
    """Upper edges of a histogram without infinity; those of objectives are among them exactly."""
    source: Source = "ledger"
    ceiling: int = field(default=0, compare=False)
    """Most label sets where the product of the labels would be far more than there can be."""

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def series_names(self) -> tuple[str, ...]:
        """The names that Prometheus stores it under."""
        if self.type == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)

    @property
    def max_label_sets(self) -> int:
        """The budget: one more is refused, counted and folded into `other`."""
        implied = frozenset[str]().union(*(label.implies for label in self.labels))
        product = math.prod(label.most_values for label in self.labels if label.name not in implied)
        return min(product, self.ceiling) if self.ceiling else product

    @property
    def max_series(self) -> int:
        each = len(self.buckets) + 3 if self.type == "histogram" else 1
        return self.max_label_sets * each


def counter(
    name: str,
    text: str,
    labels: tuple[Label, ...] = (),
    *,
    unit: Unit = "",
    source: Source = "ledger",
    ceiling: int = 0,
) -> Metric:
    """It only rises; `increase` and `rate` are what one asks it for."""
    return Metric(f"{PREFIX}{name}", "counter", text, labels, unit=unit, source=source, ceiling=ceiling)


def gauge(
    name: str,
    text: str,
    labels: tuple[Label, ...] = (),
    *,
    unit: Unit = "",
    source: Source = "ledger",
    ceiling: int = 0,
) -> Metric:
    """A value now; absent where nobody knows it."""
    return Metric(f"{PREFIX}{name}", "gauge", text, labels, unit=unit, source=source, ceiling=ceiling)


def histogram(
    name: str,
    text: str,
    labels: tuple[Label, ...],
    buckets: tuple[float, ...],
    *,
    source: Source = "ledger",
    ceiling: int = 0,
) -> Metric:
    """Durations in seconds, counted by upper edges."""
    full = f"{PREFIX}{name}"
    return Metric(full, "histogram", text, labels, "seconds", buckets, source, ceiling)
