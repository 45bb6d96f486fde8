"""The little reader of PromQL that the tests of the alert rules rest on."""

import pytest

from tests.unit.observability.promql import Selector, selectors


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("vector(1)", []),
        ("up", ["up"]),
        ("time() - max by (org) (a_seconds) > 3 * 3600", ["a_seconds"]),
        ("sum(rate(a_total[5m])) / sum(rate(b_total[5m] offset 1d)) > 0.05", ["a_total", "b_total"]),
        ("service:errors:ratio_rate1h > on (org, service) 2 * x:y", ["service:errors:ratio_rate1h", "x:y"]),
        ("a and on (org) group_left (b) c unless d or e", ["a", "c", "d", "e"]),
        ('label_replace(sum by (org) (a) > 20, "org", "_installation", "org", "")', ["a"]),
    ],
)
def test_metrics_are_found_and_nothing_else(expression: str, names: list[str]) -> None:
    assert [one.name for one in selectors(expression)] == names


def test_values_of_matchers_are_found_one_by_one() -> None:
    assert list(selectors('a{state=~"hold|parked", slot!="shadow"} == 1')) == [
        Selector("a", (("state", "hold"), ("state", "parked"), ("slot", "shadow")))
    ]
