from pathlib import Path

import pytest

from deployments.demo.export import from_gguf
from deployments.demo.training import Trained

MODELS = Path(__file__).parents[3] / "deployments" / "demo" / "models"


@pytest.fixture(scope="session")
def models() -> Path:
    return MODELS


@pytest.fixture(scope="session", params=["pipit", "tern"])
def model_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def good_file(model_name: str) -> Path:
    return MODELS / f"{model_name}-v2.gguf"


@pytest.fixture(scope="session")
def good_model(good_file: Path) -> Trained:
    return from_gguf(good_file)
