"""docs/health.md says what the code does: kinds, times and limits."""

import re
from pathlib import Path

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
