"""What a dashboard's file asks, as Grafana would ask it: its variables put in, and sent to a real Prometheus."""

import json
import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.observability.processes import get

DASHBOARDS = Path(__file__).resolve().parents[3] / "deployments" / "monitoring" / "grafana" / "dashboards"
FILES = sorted(DASHBOARDS.glob("*.json"))
EVERYTHING = {"org": ".*", "service": ".*"}


@dataclass(frozen=True)
class Question:
    """One expression of a file."""

    panel: str
    expr: str
    wanted: frozenset[str] = frozenset()
    """Labels that the panel shows: its legend's, or columns of its table."""


def load(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def panels(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in content["panels"] if panel["type"] != "row")


def questions(content: Mapping[str, Any]) -> Iterator[Question]:
    for panel in panels(content):
        for target in panel["targets"]:
            legend = re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))
            yield Question(panel["title"], target["expr"], frozenset(legend))
    for annotation in content.get("annotations", {}).get("list", ()):
        labels = re.findall(r"\{\{(\w+)\}\}", annotation["textFormat"])
        yield Question(annotation["name"], annotation["expr"], frozenset(labels))


def columns(panel: Mapping[str, Any]) -> set[str]:
    """Labels that a table shows: what it orders and is no value."""
    (organize,) = [one["options"] for one in panel["transformations"] if one["id"] == "organize"]
    return {name for name in organize["indexByName"] if not name.startswith("Value")}


def asked(expr: str, chosen: Mapping[str, str] = EVERYTHING) -> str:
    """With Grafana's variables put in."""
    for name, text in {**chosen, "__rate_interval": "30s", "__interval": "15s", "__range": "1h"}.items():
        expr = re.sub(rf"\$(\{{{name}\}}|{name}\b)", lambda _, text=text: text, expr)
    assert not re.search(r"\$[a-z_{]", expr), f"a variable is left in: {expr}"
    return expr


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    address: str

    def series(self, expr: str) -> list[dict[str, Any]]:
        """Raises: AssertionError when it does not understand the expression."""
        body = get(f"http://{self.address}/api/v1/query?{urllib.parse.urlencode({'query': expr})}")
        assert body is not None, f"Prometheus refuses {expr}"
        answer = json.loads(body)
        assert answer["status"] == "success", answer
        result = answer["data"]["result"]
        return result if answer["data"]["resultType"] == "vector" else [{"metric": {}, "value": result}]

    def values(self, label: str, match: str) -> list[str]:
        query = urllib.parse.urlencode({"match[]": match})
        body = get(f"http://{self.address}/api/v1/label/{label}/values?{query}")
        return json.loads(body or b'{"data": []}')["data"]


def is_number(series: Mapping[str, Any]) -> bool:
    return math.isfinite(float(series["value"][1]))
