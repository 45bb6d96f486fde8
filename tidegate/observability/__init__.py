"""What an installation says about itself: declared metrics, and what is made of them."""

from tidegate.observability.labels import OTHER
from tidegate.observability.metric import Label, Metric
from tidegate.observability.names import BY_NAME, METRICS, SERIES_NAMES, metric

__all__ = ["BY_NAME", "METRICS", "OTHER", "SERIES_NAMES", "Label", "Metric", "metric"]
