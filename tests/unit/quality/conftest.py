"""Banks of other tools, as small files of our own."""

from pathlib import Path

import pytest


@pytest.fixture
def examples() -> Path:
    return Path(__file__).parents[2] / "data" / "banks"
