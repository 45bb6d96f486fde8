"""docs/health.md says what the code does: kinds, times and limits."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tidegate.domain.health import Health
from tidegate.observability.health import CHECKS, Thresholds, load_thresholds
from tidegate.observability.labels import HEALTH

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "health.md").read_text()


def rows(pattern: str) -> dict[str, tuple[str, ...]]:
    return {found[0]: found[1:] for found in re.findall(pattern, TEXT, re.MULTILINE)}


def seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"s": 1, "min": 60}[unit]


def test_every_check_is_documented_with_its_times():
    told = rows(r"^\| `([a-z-]+)` \| [^|]+ \| (\d+ \w+) \| (\d+ \w+) \|")
    assert {name: tuple(map(seconds, times)) for name, times in told.items()} == {
        name: (kind.interval_s, kind.timeout_s) for name, kind in CHECKS.items()
    }


def test_every_limit_is_documented_with_its_default():
    told = {name: float(value) for name, (value,) in rows(r"^\| `([a-z_]+\.[a-z_]+)` \| ([\d.]+) \|").items()}
    wanted = {
        f"{part}.{name}": float(value)
        for part, values in Thresholds().model_dump().items()
        for name, value in values.items()
    }
    assert told == wanted


def test_the_file_that_is_shipped_changes_nothing():
    file = ROOT / "deployments" / "health.yaml"
    assert yaml.safe_load(file.read_text()) is None
    assert load_thresholds(file) == Thresholds()


def test_states_are_those_of_the_metric():
    assert HEALTH.values == frozenset(Health)


def _operations_docs() -> ModuleType:
    """How commands in documents are checked; test folders are no packages."""
    file = ROOT / "tests" / "unit" / "cli" / "test_operations_docs.py"
    spec = importlib.util.spec_from_file_location("operations_docs", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["health.md", "backups.md"])
def test_every_quoted_command_exists(name: str):
    docs, text = _operations_docs(), (ROOT / "docs" / name).read_text()
    found = [line.partition(" #")[0] for line in docs.commands(text)]
    assert len(found) > 3
    assert [fault for line in found if (fault := docs.fault_of(line))] == []
