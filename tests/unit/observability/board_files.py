"""The committed dashboards, and what stands in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MONITORING = Path(__file__).resolve().parents[3] / "deployments" / "monitoring"
DASHBOARDS = MONITORING / "grafana" / "dashboards"
FILES = sorted(DASHBOARDS.glob("*.json"))


def load(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def panels(file: Path) -> list[dict[str, Any]]:
    return [panel for panel in load(file)["panels"] if panel["type"] != "row"]


def everything_in(content: Any, key: str) -> Iterator[Any]:
    """Every value under this key, at any depth."""
    if isinstance(content, dict):
        for name, inner in content.items():
            if name == key:
                yield inner
            yield from everything_in(inner, key)
    elif isinstance(content, list):
        for inner in content:
            yield from everything_in(inner, key)
