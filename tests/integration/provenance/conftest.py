"""Freshly made signers for every session; the folder is importable, for its own modules."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from house import House
from signing import Authority, KeySigner

from tidegate.settings import SOURCE_ROOT


@pytest.fixture(scope="session")
def model() -> Path:
    return SOURCE_ROOT / "deployments/demo/models/pipit-v1.gguf"


@pytest.fixture(scope="session")
def other_model() -> Path:
    return SOURCE_ROOT / "deployments/demo/models/pipit-v2.gguf"


@pytest.fixture(scope="session")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> KeySigner:
    return KeySigner(tmp_path_factory.mktemp("trainer"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> KeySigner:
    return KeySigner(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "Acme Root")


@pytest.fixture
def strict(tmp_path: Path, trainer: KeySigner, authority: Authority) -> House:
    """An organization that releases nothing without a signature of its training job."""
    block = {
        "required": True,
        "trusted_keys": [{"name": "acme-training", "path": str(trainer.public)}],
        "trusted_certificates": [{"name": "acme-ci", "path": str(authority.file)}],
    }
    return House(tmp_path, block)


@pytest.fixture
def lenient(tmp_path: Path, trainer: KeySigner) -> House:
    """An organization that likes to know who signed, and requires nothing."""
    keys = [{"name": "acme-training", "path": str(trainer.public)}]
    return House(tmp_path, {"trusted_keys": keys})
