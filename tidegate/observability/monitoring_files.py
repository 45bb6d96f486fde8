"""The files that Prometheus and Alertmanager read, as text, beside what stays as it is (rules, templates)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tidegate.domain import InvalidInput
from tidegate.observability.alertmanager_config import alertmanager_config
from tidegate.observability.monitoring_settings import MonitoringSettings
from tidegate.observability.prometheus_config import prometheus_config

STANDING = ("prometheus/rules/*.yml", "alertmanager/templates/*.tmpl")
"""Files of `deployments/monitoring` that are the same in every installation."""

_HEADER = """\
# Written by `tidegate monitoring render`; a change here is lost. Change monitoring.yaml or the organizations instead.
"""


@dataclass(frozen=True)
class MonitoringFiles:
    """Paths below the chosen folder -> whole text."""

    texts: dict[str, str]

    def differing(self, folder: Path) -> list[str]:
        """Which of them are missing there, or other."""
        return [name for name, text in self.texts.items() if _text_of(folder / name) != text]

    def write(self, folder: Path) -> list[str]:
        """Write those that differ, and return their names."""
        changed = self.differing(folder)
        for name in changed:
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.texts[name], encoding="utf-8")
        return changed


def render_monitoring(
    settings: MonitoringSettings, organizations: Iterable[str], standing: Path
) -> MonitoringFiles:
    """Everything that both read. `standing` is the folder `deployments/monitoring`.

    Raises:
        InvalidInput: someone is on call for an organization that does not exist: her pages would go nowhere.
    """
    known = set(organizations)
    if unknown := sorted(set(settings.on_call.organizations) - known):
        raise InvalidInput(
            f"on_call.organizations names '{unknown[0]}', which is no organization.",
            remedy=f"Use one of: {', '.join(sorted(known))}.",
            field="on_call.organizations",
        )
    texts = {
        "prometheus/prometheus.yml": _yaml(prometheus_config(settings)),
        "alertmanager/alertmanager.yml": _yaml(alertmanager_config(settings, known)),
    }
    for pattern in STANDING:
        for file in sorted(standing.glob(pattern)):
            texts[file.relative_to(standing).as_posix()] = file.read_text(encoding="utf-8")
    return MonitoringFiles(texts)


def _yaml(content: dict[str, Any]) -> str:
    return _HEADER + yaml.dump(content, Dumper=_Plain, sort_keys=False, width=200)


class _Plain(yaml.SafeDumper):
    """No anchors: a reader should not have to look elsewhere for what a receiver does."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_of(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
