"""Rules for the names, labels and budgets of all metrics, and that the declared ones keep them."""

from dataclasses import replace

import pytest

from tidegate.domain import NotFound, ReleaseState, SetState
from tidegate.observability import BY_NAME, METRICS, SERIES_NAMES, Metric, metric
from tidegate.observability.edges import TTFT_OBJECTIVE_S
from tidegate.observability.labels import CODE_CLASS, ORG, SERVICE, SET, SLOT
from tidegate.observability.metric import closed, gauge, histogram, open_label
from tidegate.observability.naming import MAX_SERIES, faults_of

ALL_SERIES = 100_000
"""What one small Prometheus holds easily, if every budget were used up at once."""


@pytest.mark.parametrize("declared", METRICS, ids=lambda one: one.name)
def test_every_declared_metric_keeps_the_rules(declared: Metric) -> None:
    assert faults_of(declared) == []


def test_no_name_is_declared_twice() -> None:
    assert len(BY_NAME) == len(METRICS)
    assert len(SERIES_NAMES) == sum(len(one.series_names) for one in METRICS)


def test_labels_of_one_name_agree_on_whether_they_are_closed() -> None:
    kinds: dict[str, set[bool]] = {}
    for declared in METRICS:
        for label in declared.labels:
            kinds.setdefault(label.name, set()).add(label.is_closed)
    assert {name for name, kind in kinds.items() if len(kind) > 1} == set()


def test_all_budgets_together_fit_into_one_small_prometheus() -> None:
    assert sum(one.max_series for one in METRICS) <= ALL_SERIES


def test_the_label_sets_of_a_service_are_not_multiplied_by_organizations() -> None:
    assert gauge("x", "X.", (ORG, SERVICE, SLOT)).max_label_sets == 200 * 3
    assert gauge("x", "X.", (ORG, SERVICE, SET, SLOT)).max_label_sets == 400
    assert gauge("x", "X.").max_label_sets == 1


def test_a_ceiling_bounds_what_the_labels_would_allow() -> None:
    assert gauge("x", "X.", (ORG, CODE_CLASS), ceiling=60).max_label_sets == 60


def test_the_objective_of_the_first_token_is_an_edge() -> None:
    assert TTFT_OBJECTIVE_S in metric("tidegate_time_to_first_token_seconds").buckets


def test_state_sets_name_every_state_of_the_domain() -> None:
    states = {one.name: label.values for one in METRICS for label in one.labels if label.name == "state"}
    assert states["tidegate_set_state"] == set(SetState)
    assert states["tidegate_release_state"] == set(ReleaseState)


def test_a_metric_that_nobody_declared_is_not_found() -> None:
    with pytest.raises(NotFound, match="tidegate_nothing"):
        metric("tidegate_nothing")


GOOD = gauge("queue_length", "Things that wait.", (ORG,))


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (replace(GOOD, name="queue_length"), "begin with"),
        (replace(GOOD, name="tidegate_queueLength"), "lower-case"),
        (replace(GOOD, name="tidegate_queue__length"), "single underscores"),
        (replace(GOOD, name="tidegate_requests_total"), "`_total`"),
        (replace(GOOD, type="counter"), "`_total`"),
        (replace(GOOD, name="tidegate_queue_count"), "part of a histogram"),
        (replace(GOOD, name="tidegate_backup_age_seconds", unit="seconds"), "an age grows"),
        (replace(GOOD, help="things"), "not a sentence"),
        (replace(GOOD, name="tidegate_latency_ms"), "no base unit"),
        (replace(GOOD, unit="bytes"), "does not end so"),
        (replace(GOOD, name="tidegate_queue_bytes"), "declares no unit"),
        (replace(GOOD, buckets=(1.0,)), "has buckets"),
        (histogram("wait_seconds", "A wait.", (ORG,), ()), "has buckets"),
        (histogram("wait_seconds", "A wait.", (ORG,), (2.0, 1.0)), "do not rise"),
        (histogram("build_info", "X.", (ORG,), (1.0,)), "`_info` is a gauge"),
        (replace(GOOD, labels=(ORG, ORG)), "label twice"),
        (replace(GOOD, labels=(closed("le", "1"),)), "not allowed"),
        (replace(GOOD, labels=(closed("Org", "a"),)), "not allowed"),
        (replace(GOOD, labels=(closed("queue_length", "1"),)), "named like the metric"),
        (replace(GOOD, labels=(open_label("request_id", "requests", 10),)), "grows without end"),
        (replace(GOOD, labels=(open_label("thing", "things", 0),)), "without a budget"),
        (replace(GOOD, labels=(closed("thing"),)), "neither a closed set"),
        (replace(GOOD, labels=(open_label("model", "models", 5),)), "on `_info`"),
        (replace(GOOD, labels=(open_label("thing", "things", MAX_SERIES + 1),)), "series"),
    ],
)
def test_a_broken_rule_is_told(broken: Metric, fault: str) -> None:
    assert any(fault in told for told in faults_of(broken))


def test_a_good_declaration_has_no_faults() -> None:
    assert faults_of(GOOD) == []
