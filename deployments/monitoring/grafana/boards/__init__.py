"""The boards, in the order in which a person at night opens them."""

from deployments.monitoring.grafana.boards.cost import COST
from deployments.monitoring.grafana.boards.engines import ENGINES
from deployments.monitoring.grafana.boards.overview import OVERVIEW
from deployments.monitoring.grafana.boards.pipeline import PIPELINE
from deployments.monitoring.grafana.boards.quality import QUALITY
from deployments.monitoring.grafana.boards.release import RELEASE
from deployments.monitoring.grafana.boards.serving import SERVING

BOARDS = (OVERVIEW, RELEASE, SERVING, ENGINES, QUALITY, COST, PIPELINE)
