"""Grafana's dashboards as code: boards are data, `drawing` makes Grafana's JSON of them.

`python -m deployments.monitoring.grafana --out deployments/monitoring/grafana/dashboards` writes them.
"""

from deployments.monitoring.grafana.boards import BOARDS
from deployments.monitoring.grafana.drawing import Places, draw
from deployments.monitoring.grafana.panel import Annotation, Board, Column, Panel, Query, Row

__all__ = ["BOARDS", "Annotation", "Board", "Column", "Panel", "Places", "Query", "Row", "draw"]
