"""Tables of several queries: Grafana joins their rows by the labels that they share, and shows what is named."""

from typing import Any

from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

from deployments.monitoring.grafana.panel import Panel


def value_names(panel: Panel) -> dict[str, str]:
    """How Grafana calls the value of each query -> the column's title; empty for one that is not shown."""
    is_alone = len(panel.queries) == 1
    return {
        "Value" if is_alone else f"Value #{chr(ord('A') + place)}": query.legend
        for place, query in enumerate(panel.queries)
    }


def transformations(panel: Panel) -> list[DataTransformerConfig]:
    """Join, then order, name and leave out."""
    values = value_names(panel)
    field_of = {title: name for name, title in values.items() if title}
    titles = [column.title for column in panel.columns]
    hidden = ["Time", *(name for name, title in values.items() if not title)]
    organize: dict[str, Any] = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {field_of.get(title, title): place for place, title in enumerate(titles)},
        "renameByName": {name: title for title, name in field_of.items()},
    }
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(id_val="organize", options=organize),
    ]
