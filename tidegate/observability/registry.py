"""What collectors found, held against the declarations: names, labels and the budget of every metric.

A collector that says too much must not take the installation's Prometheus down, nor carry a text of a stranger into it.
"""

import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tidegate.access.secret_shapes import without_secrets
from tidegate.domain import InvalidInput
from tidegate.observability.labels import OTHER
from tidegate.observability.metric import Metric
from tidegate.observability.names import metric as declared

Labels = tuple[str, ...]

CARDINALITY = "cardinality"
"""The collector in whose name refused label sets are counted."""
_ADDED_UNITS = frozenset({"bytes", "usd", "usd_per_hour"})
"""Gauges whose sum over label sets means something; of the others the highest stands for all."""
_VALUE = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._:+@/-]{0,119}$")


@dataclass(frozen=True)
class Buckets:
    """A histogram: counts by number of the edge, one more than there are edges for what is longer."""

    counts: Mapping[int, float] = field(default_factory=dict[int, float])
    total: float = 0.0
    """Sum of the values."""

    def plus(self, other: "Buckets") -> "Buckets":
        edges = self.counts.keys() | other.counts.keys()
        added = {edge: self.counts.get(edge, 0) + other.counts.get(edge, 0) for edge in edges}
        return Buckets(added, self.total + other.total)


Value = float | Buckets
Family = dict[Labels, Value]


class Readings:
    """One look of one collector."""

    def __init__(self, collector: str, names: Iterable[str]):
        self.collector = collector
        self.families: dict[str, Family] = {name: {} for name in names}

    def put(self, name: str, value: float, *labels: str) -> None:
        """A gauge, or the present amount of a counter. Not a number: nobody knows it, and it is left out.

        Raises: InvalidInput for a metric that this collector does not own, or with other labels: a defect.
        """
        self._check(name, labels, is_histogram=False)
        if math.isfinite(value):
            self.families[name][labels] = float(value)

    def put_buckets(self, name: str, value: Buckets, *labels: str) -> None:
        """A histogram. Raises: as `put`."""
        self._check(name, labels, is_histogram=True)
        self.families[name][labels] = value

    def put_state(self, name: str, states: Iterable[str], present: str, *labels: str) -> None:
        """A state set: 1 for the present state, 0 for the others. The state is the last label."""
        for state in states:
            self.put(name, float(state == present), *labels, state)

    def zero(self, name: str, *labels: str) -> None:
        """Something exists of which nothing has happened yet; what was put already stays."""
        if labels not in self.families.get(name, {}):
            if declared(name).type == "histogram":
                self.put_buckets(name, Buckets(), *labels)
            else:
                self.put(name, 0.0, *labels)

    def _check(self, name: str, labels: Labels, *, is_histogram: bool) -> None:
        if name not in self.families:
            raise InvalidInput(
                f"Collector {self.collector} does not own {name}.",
                remedy="Name it in the metrics of this collector.",
                field="metric",
            )
        wanted = declared(name)
        if len(labels) != len(wanted.labels) or (wanted.type == "histogram") != is_histogram:
            raise InvalidInput(
                f"{name} is a {wanted.type} with the labels {', '.join(wanted.label_names)}.",
                remedy="Give the labels that are declared, or declare others.",
                field="labels",
            )


class Register:
    """Which label sets of each metric are admitted. Those that were there before stay; a newcomer beyond the budget
    is folded into `other` for as long as there is no room, and counted each time."""

    def __init__(self, budgets: Callable[[Metric], int] = lambda one: one.max_label_sets):
        self._budgets = budgets
        self._admitted: dict[str, dict[str, frozenset[Labels]]] = {}
        self._lock = threading.Lock()
        self.refused = 0
        """Label sets refused so far, each time they were."""

    def settle(self, readings: Readings) -> dict[str, Family]:
        """What may be shown of a look."""
        with self._lock:
            return {
                name: self._settled(declared(name), readings.collector, family)
                for name, family in readings.families.items()
            }

    def _settled(self, one: Metric, collector: str, family: Family) -> Family:
        shown: Family = {}
        allowed = self._allowed(one, family, shown)
        owners = self._admitted.setdefault(one.name, {})
        before = owners.get(collector, frozenset())
        room = self._budgets(one) - sum(len(sets) for owner, sets in owners.items() if owner != collector)
        in_turn = sorted(allowed, key=lambda labels: labels not in before)
        admitted = in_turn[: max(0, room)]
        for labels in in_turn[max(0, room) :]:
            self.refused += 1
            _fold(one, shown, labels, allowed[labels])
        owners[collector] = frozenset(admitted)
        return {labels: allowed[labels] for labels in admitted} | shown

    def _allowed(self, one: Metric, family: Family, shown: Family) -> Family:
        """Without a label that no closed set knows, and without a value that is no name."""
        allowed: Family = {}
        for labels, value in family.items():
            faults = [
                label
                for label, text in zip(one.labels, labels, strict=True)
                if (label.is_closed and text not in label.values)
                or (not label.is_closed and not is_name(text))
            ]
            if not faults:
                allowed[labels] = value
                continue
            self.refused += 1
            if all(not label.is_closed or OTHER in label.values for label in faults):
                _fold(one, shown, labels, value)
        return allowed


@lru_cache(maxsize=10_000)
def is_name(text: str) -> bool:
    """Whether a label may have this value: names and numbers, no address, no sentence, no key."""
    return (
        bool(_VALUE.match(text)) and "://" not in text and "@" not in text and without_secrets(text) == text
    )


def _fold(one: Metric, into: Family, labels: Labels, value: Value) -> None:
    """Open labels become `other`; closed ones keep what they say, when they may say it."""
    folded = tuple(
        text if label.is_closed and text in label.values else OTHER
        for label, text in zip(one.labels, labels, strict=True)
    )
    present = into.get(folded)
    into[folded] = value if present is None else _joined(one, present, value)


def _joined(one: Metric, first: Value, second: Value) -> Value:
    if isinstance(first, Buckets) and isinstance(second, Buckets):
        return first.plus(second)
    assert isinstance(first, float), "one metric has one type"
    assert isinstance(second, float), "one metric has one type"
    if one.type == "counter" or one.unit in _ADDED_UNITS:
        return first + second
    return max(first, second)
