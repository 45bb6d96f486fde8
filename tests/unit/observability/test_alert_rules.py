"""What every alert must have, and that rules, tests and runbooks speak of the same things."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.observability.promql import selectors
from tidegate.observability import BY_NAME, SERIES_NAMES, Metric
from tidegate.observability.alertmanager_config import INHIBITIONS, INSTALLATION, PAGE, TICKET
from tidegate.observability.edges import TTFT_OBJECTIVE_S
from tidegate.observability.prometheus_config import EXPORTER_JOB

ROOT = Path(__file__).resolve().parents[3]
PROMETHEUS = ROOT / "deployments" / "monitoring" / "prometheus"
RUNBOOKS = ROOT / "docs" / "operations" / "runbooks"
OF_PROMETHEUS = frozenset({"up"})


def rules() -> Iterator[dict[str, Any]]:
    for file in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


RULES = list(rules())
ALERTS = [rule for rule in RULES if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
RECORDED = {rule["record"] for rule in RULES if "record" in rule}


def expectations() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each expectation with the test that it stands in."""
    for file in sorted((PROMETHEUS / "tests").glob("*.yml")):
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for expected in test["alert_rule_test"]:
                yield test, expected


EXPECTATIONS = list(expectations())


def metric_of(series: str) -> Metric | None:
    """The declaration behind a stored name: a histogram is stored under three."""
    return BY_NAME.get(series) or BY_NAME.get(re.sub(r"_(bucket|sum|count)$", "", series))


def label_faults(series: str, matchers: tuple[tuple[str, str], ...]) -> Iterator[str]:
    declared = metric_of(series)
    if declared is None:
        return
    labels = {label.name: label for label in declared.labels}
    for name, value in matchers:
        if name == "le" and declared.type == "histogram":
            if value not in {*(str(edge) for edge in declared.buckets), "+Inf"}:
                yield f"{series} has no bucket {value}"
        elif name not in labels:
            yield f"{series} has no label {name}"
        elif labels[name].is_closed and value not in labels[name].values:
            yield f"{name} of {series} is never '{value}'"


def identity(rule: dict[str, Any]) -> str:
    return f"{rule.get('alert') or rule.get('record')} {rule.get('labels', {}).get('window', '')}".strip()


def test_there_are_alerts_for_everything_that_an_operator_is_promised() -> None:
    assert len(ALERTS) >= 50
    assert len(NAMES) >= 45


@pytest.mark.parametrize("rule", ALERTS, ids=identity)
def test_an_alert_says_how_bad_it_is_and_whose_it_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {PAGE, TICKET, "none"}
    # Whose it is stands in the series, or it is the installation's.
    kept = re.search(r"\bby \(org\b|\bby \(gateway, org\b|\(org, service\)|org:", rule["expr"])
    assert kept or rule["labels"].get("org") == INSTALLATION
    assert not (kept and "org" in rule["labels"]), "a label of the rule would hide whose it is"


@pytest.mark.parametrize("rule", ALERTS, ids=identity)
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    assert set(said) - {"release"} == {"summary", "description", "runbook_url"}
    assert all(text.strip() for text in said.values())
    assert len(said["summary"]) < 160
    runbook = ROOT / said["runbook_url"]
    assert runbook.is_relative_to(RUNBOOKS)
    assert runbook.is_file()
    assert runbook.stem == rule["alert"]


@pytest.mark.parametrize("rule", ALERTS, ids=identity)
def test_an_alert_about_a_service_names_it_and_its_release(rule: dict[str, Any]) -> None:
    is_about_a_service = "{{ $labels.service }}" in rule["annotations"]["summary"]

    assert is_about_a_service == ("release" in rule["annotations"]) or rule["alert"] == "IdleSpend"
    assert is_about_a_service == (re.search(r"\b(by|on) \([^)]*\bservice\b", rule["expr"]) is not None)


@pytest.mark.parametrize("rule", RULES, ids=identity)
def test_a_rule_asks_only_for_metrics_labels_and_values_that_are_declared(rule: dict[str, Any]) -> None:
    found = list(selectors(rule["expr"]))

    assert {one.name for one in found} - SERIES_NAMES - RECORDED - OF_PROMETHEUS == set()
    assert [fault for one in found for fault in label_faults(one.name, one.matchers)] == []


def test_the_tests_feed_only_series_that_the_exporter_could_give() -> None:
    fed = [one for test, _ in EXPECTATIONS for one in test.get("input_series", ())]
    found = [selector for one in fed for selector in selectors(one["series"])]

    assert {one.name for one in found} - SERIES_NAMES - OF_PROMETHEUS == set()
    assert sorted({fault for one in found for fault in label_faults(one.name, one.matchers)}) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_is_tested_firing_and_silent(name: str) -> None:
    outcomes = [expected["exp_alerts"] for _, expected in EXPECTATIONS if expected["alertname"] == name]

    assert any(outcomes)
    assert name == "Watchdog" or not all(outcomes)


@pytest.mark.parametrize("rule", ALERTS, ids=identity)
def test_each_rule_of_an_alert_is_seen_firing_with_its_own_severity(rule: dict[str, Any]) -> None:
    fired = [
        alert["exp_labels"]
        for _, expected in EXPECTATIONS
        if expected["alertname"] == rule["alert"]
        for alert in expected["exp_alerts"]
    ]

    assert any(labels.items() >= rule["labels"].items() for labels in fired)


def test_every_runbook_is_of_an_alert() -> None:
    assert sorted(file.stem for file in RUNBOOKS.glob("*.md") if file.stem != "README") == NAMES


def test_the_rules_read_the_bucket_of_the_objective() -> None:
    edges = {
        value
        for rule in RULES
        for one in selectors(rule["expr"])
        for label, value in one.matchers
        if label == "le"
    }

    assert edges == {str(TTFT_OBJECTIVE_S)}


def test_inhibitions_speak_of_alerts_that_exist() -> None:
    named = {name for cause, effect, _ in INHIBITIONS for name in (*cause.split("|"), *effect.split("|"))}

    assert named - set(NAMES) == set()


def test_the_watched_exporter_is_the_one_that_is_scraped() -> None:
    expression = next(rule["expr"] for rule in ALERTS if rule["alert"] == "ExporterDown")

    assert f'job="{EXPORTER_JOB}"' in expression
