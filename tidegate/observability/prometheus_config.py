"""`prometheus.yml`: what is scraped, which rules are read, where alerts go. Pure."""

from typing import Any

from tidegate.observability.monitoring_settings import MonitoringSettings

EXPORTER_JOB = "tidegate"
"""The job that ExporterDown watches."""

_ENGINE_NAMES = (("llamacpp:(.*)", "llamacpp_${1}"), ("vllm:(.*)", "vllm_${1}"))
"""Colons are for recording rules; engines use them all the same."""


def prometheus_config(settings: MonitoringSettings) -> dict[str, Any]:
    jobs = [
        # The exporter keeps its answer for a few seconds; asking more often shows nothing new.
        _job(EXPORTER_JOB, settings.exporter, scrape_interval="5s"),
        _job("prometheus", settings.prometheus),
        _job("alertmanager", settings.alertmanager),
    ]
    if settings.engine_targets is not None:
        jobs.append(_engines(settings.engine_targets))
    return {
        "global": {"scrape_interval": "15s", "scrape_timeout": "4s", "evaluation_interval": "15s"},
        "rule_files": ["rules/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [settings.alertmanager]}]}]},
        "scrape_configs": jobs,
    }


def _job(name: str, target: str, **more: Any) -> dict[str, Any]:
    return {"job_name": name, **more, "static_configs": [{"targets": [target]}]}


def _engines(url: str) -> dict[str, Any]:
    renames = [
        {"source_labels": ["__name__"], "regex": found, "target_label": "__name__", "replacement": ours}
        for found, ours in _ENGINE_NAMES
    ]
    return {"job_name": "engines", "http_sd_configs": [{"url": url}], "metric_relabel_configs": renames}
