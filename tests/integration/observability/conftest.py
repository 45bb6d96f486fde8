"""The real Prometheus and Alertmanager, fetched by `make setup-dev`; a test that misses them says how to get them."""

import pytest

from deployments.setup.errors import SetupError
from deployments.setup.monitoring import MonitoringTools, require_tools


@pytest.fixture(scope="session")
def tools() -> MonitoringTools:
    try:
        return require_tools()
    except SetupError as error:
        pytest.fail(f"{error.message} {error.remedy}", pytrace=False)
