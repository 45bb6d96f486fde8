"""What a check of another package may say, and what becomes of one that crashes or lies."""

from typing import Any

import pytest

from tidegate.domain import Policy
from tidegate.validation import ValidationCategory, ValidationStatus
from tidegate.validation.checks import CheckContext
from tidegate.validation.confinement import ChildOutcome
from tidegate.validation.levels import at_level
from tidegate.validation.registry import judge_plugin, run_plugins

NAME = "acme.licence"
SIZE = ValidationCategory.SIZE


def _row(**changes: Any) -> dict[str, Any]:
    return {"category": "size", "check_name": NAME, "status": "passed", "message": "Fine.", **changes}


def _said(*rows: dict[str, Any], **changes: Any) -> ChildOutcome:
    return ChildOutcome({"id": NAME, "category": "size", "results": list(rows), **changes}, 0, "", "", 0.1)


def _judge(outcome: ChildOutcome) -> list[ValidationStatus]:
    return [result.status for result in judge_plugin(NAME, outcome, tuple(ValidationCategory))]


def test_results_of_its_own_name_and_category_count():
    results = judge_plugin(NAME, _said(_row(), _row(check_name=f"{NAME}.year", status="failed")), (SIZE,))
    assert [result.check_name for result in results] == [NAME, f"{NAME}.year"]


@pytest.mark.parametrize(
    "outcome",
    [
        ChildOutcome(None, -11, "it was ended by SIGSEGV", "", 0.1),
        ChildOutcome(None, None, "it did not end within 30 s", "", 30.0),
        ChildOutcome({"problem": "it raised ValueError: x"}, 0, "", "", 0.1),
        ChildOutcome({}, 0, "", "", 0.1),
        _said(),
        _said(_row(check_name="gguf.structure")),
        _said(_row(check_name="acme.licences")),
        _said(_row(category="format")),
        _said(_row(status="splendid")),
        _said(_row(), _row()),
        _said(_row(), id="acme.other"),
        _said(_row(), category="nonsense"),
        _said(*(_row(check_name=f"{NAME}.{number}") for number in range(101))),
        ChildOutcome({"id": NAME, "category": "size", "results": "none"}, 0, "", "", 0.1),
    ],
)
def test_a_check_that_crashes_or_lies_is_an_error(outcome: ChildOutcome):
    assert _judge(outcome) == [ValidationStatus.ERROR]


def test_a_check_that_is_not_part_of_the_profile_says_nothing():
    assert _judge(_said(skipped=True)) == []


def test_nobody_speaks_under_a_name_of_ours():
    policy = Policy.model_validate({"validation": {"plugins": ["gguf.better"]}}).validation
    (result,) = run_plugins(policy, CheckContext(model_path="/m"), (SIZE,))
    assert result.status is ValidationStatus.ERROR
    assert "our own" in result.message


def test_the_policy_turns_a_check_off_or_hardens_it():
    policy = Policy.model_validate(
        {
            "validation": {
                "plugins": [NAME],
                "checks": {NAME: "off", "response.script": "fail", "latency.ttft": "off"},
            }
        }
    ).validation
    assert run_plugins(policy, CheckContext(model_path="/m")) == []
    (result,) = judge_plugin(NAME, _said(_row(check_name=NAME, status="warning")), (SIZE,))
    hardened = at_level(result.model_copy(update={"check_name": "response.script"}), policy)
    assert hardened.status is ValidationStatus.FAILED
    off = at_level(result.model_copy(update={"check_name": "latency.ttft"}), policy)
    assert off.status is ValidationStatus.NOT_JUDGED
    assert not off.is_needed
