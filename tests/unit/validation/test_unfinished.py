"""A process that a busy machine ended says nothing about the file: an error, which refuses, but never a failure."""

import pytest

from tidegate.domain import Policy
from tidegate.validation import Recommendation, ValidationResult, ValidationStatus, recommend
from tidegate.validation.artifact import structure_results
from tidegate.validation.confinement import ChildOutcome
from tidegate.validation.inspected import Inspected, read_outcome

LATE = ChildOutcome(None, -9, "it did not end within 300 s", "", 300.0, is_unfinished=True)
BY_ITSELF = ChildOutcome(None, -24, "it was ended by SIGXCPU", "", 30.0)
FACTS = {"source": "", "bos_token": "", "eos_token": ""}


def _judge(seen: Inspected) -> dict[str, ValidationResult]:
    seen.size_bytes = 10 * 1024**3
    return {result.check_name: result for result in structure_results(seen, Policy(), None)}


def test_a_reading_that_was_cut_short_from_outside_is_an_error_and_refuses():
    results = _judge(read_outcome(LATE))
    assert results["gguf.structure"].status is ValidationStatus.ERROR
    assert "300 s" in results["gguf.structure"].message
    assert "says nothing about the file" in results["gguf.structure"].remedy
    assert ValidationStatus.FAILED not in {result.status for result in results.values()}
    assert recommend(results.values()) is Recommendation.DO_NOT_DEPLOY


def test_a_file_that_uses_up_the_processor_time_fails():
    assert _judge(read_outcome(BY_ITSELF))["gguf.structure"].status is ValidationStatus.FAILED


@pytest.mark.parametrize(
    ("problem", "status"), [("late", ValidationStatus.ERROR), ("", ValidationStatus.PASSED)]
)
def test_a_rendering_that_was_cut_short_from_outside_is_no_fault_of_the_template(
    problem: str, status: ValidationStatus
):
    seen = Inspected(template=FACTS, unrendered=problem, is_rendered=not problem)
    assert _judge(seen)["gguf.template"].status is status
