"""All metrics, one declaration each. Nothing measures, alerts on or draws a metric that is not in `METRICS`.

Alert rules rely on zeros: for each thing that exists (a service, a pool, a flow) every value of its closed labels has a
series from the start. A counter that is born with 1 hides its first event; a pool without workers must say 0.
"""

from collections.abc import Mapping
from types import MappingProxyType

from tidegate.domain import NotFound
from tidegate.observability.declared_running import RUNNING
from tidegate.observability.declared_serving import SERVING
from tidegate.observability.metric import Metric

METRICS: tuple[Metric, ...] = (*SERVING, *RUNNING)
BY_NAME: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in METRICS})
SERIES_NAMES: frozenset[str] = frozenset(name for metric in METRICS for name in metric.series_names)
"""What a query may name: a histogram is stored under three names."""


def metric(name: str) -> Metric:
    """The declaration of a metric.

    Raises:
        NotFound: for a name that nobody declared.
    """
    try:
        return BY_NAME[name]
    except KeyError:
        raise NotFound(
            f"No metric is named '{name}'.",
            remedy="Declare it in tidegate/observability first, or take one of docs/metrics.md.",
            field="metric",
        ) from None
