"""Judging what an engine reported: pure functions, and a launcher that is faulty on purpose."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain import Evidence, Gate, NotFound, Verdict, fold
from tidegate.validation import (
    INFERENCE_CHECKS,
    ChildLimits,
    InferenceJob,
    InferenceRun,
    check_inference,
    judge_inference,
)
from tidegate.validation.confinement import ChildOutcome
from tidegate.validation.inference import answer_trouble

DIGEST = "a" * 64
JOB = InferenceJob("/m.gguf", DIGEST, ("One?", "Two?"), 256)
GOOD: dict[str, Any] = {
    "prompt": "One?", "problem": "", "text": "Paris.", "finish": "stop", "tokens": [5, 6], "is_finite": True,
    "controls": [], "tokens_per_second": 900.0,
}  # fmt: skip


def _report(
    *answers: dict[str, Any], again: list[dict[str, Any]] | None = None, **other: Any
) -> dict[str, Any]:
    first = list(answers) or [GOOD, GOOD]
    return {
        "digest": DIGEST, "loads": True, "is_checked": True, "load_seconds": 0.1, "problem": "", "log": [],
        "rounds": [first, again or first], **other,
    }  # fmt: skip


def _run(
    report: dict[str, Any] | None, *, problem: str = "", code: int | None = 0, stage: int = 2
) -> InferenceRun:
    return InferenceRun(ChildOutcome(report, code, problem, "", 1.0), stage)


def _verdicts(rows: list[Evidence]) -> dict[str, str]:
    return {row.check: row.verdict.value for row in rows}


def _judge(report: dict[str, Any] | None, **other: Any) -> Verdict:
    return fold(Gate.INFERENCE, judge_inference(_run(report, **other), JOB), INFERENCE_CHECKS).verdict


def test_good_answers_pass_every_check():
    rows = judge_inference(_run(_report()), JOB)
    assert _verdicts(rows) == dict.fromkeys(INFERENCE_CHECKS, "pass")


def test_an_answer_cut_by_the_limit_still_passes():
    assert _judge(_report(GOOD, {**GOOD, "finish": "length"})) is Verdict.PASS


@pytest.mark.parametrize(
    "change",
    [
        {"text": ""},
        {"text": " \n"},
        {"text": "\x00\x01"},
        {"text": "caf\ufffd"},
        {"text": "<|assistant|> hello"},
        {"text": "done</s>"},
        {"controls": ["<|user|>"]},
        {"is_finite": False},
        {"finish": "error"},
        {"finish": None},
        {"finish": "length", "tokens": [7] * 40, "text": "aaaa"},
        {"problem": "the prompt has 900 tokens and does not fit"},
    ],
)
def test_an_answer_that_is_no_answer_fails(change: dict[str, Any]):
    bad = {**GOOD, **change}
    assert answer_trouble(bad)
    assert _judge(_report(GOOD, bad)) is Verdict.FAIL


def test_two_different_answers_to_one_question_fail():
    assert _judge(_report(again=[GOOD, {**GOOD, "tokens": [5, 7]}])) is Verdict.FAIL


def test_missing_answers_fail():
    assert _judge(_report(GOOD)) is Verdict.FAIL
    assert _judge(_report(rounds=[])) is Verdict.FAIL
    assert _judge(_report(problem="no context could be made")) is Verdict.FAIL


def test_another_file_than_the_registered_one_fails():
    assert _judge(_report(digest="b" * 64)) is Verdict.FAIL


def test_a_file_that_loads_only_without_the_check_fails_that_check():
    rows = _verdicts(judge_inference(_run(_report(is_checked=False)), JOB))
    assert rows == {
        "inference.load": "pass",
        "inference.check_tensors": "fail",
        "inference.answers": "not_judged",
    }


def test_a_file_that_does_not_load_fails():
    rows = _verdicts(judge_inference(_run(_report(loads=False, is_checked=False)), JOB))
    assert rows["inference.load"] == "fail"


@pytest.mark.parametrize(("code", "verdict"), [(-6, Verdict.FAIL), (-11, Verdict.FAIL), (-9, Verdict.ERROR), (3, Verdict.ERROR), (None, Verdict.ERROR)])  # fmt: skip
@pytest.mark.parametrize("stage", [0, 1])
def test_an_engine_that_dies_is_a_failure_of_the_file_or_an_error_but_never_a_pass(
    code: int | None, verdict: Verdict, stage: int
):
    rows = judge_inference(_run(None, problem="it was ended", code=code, stage=stage), JOB)
    assert fold(Gate.INFERENCE, rows, INFERENCE_CHECKS).verdict is verdict
    assert {row.check for row in rows} == INFERENCE_CHECKS


def test_a_host_without_the_engine_is_an_error_not_a_failure_of_the_file():
    assert _judge({"missing_engine": "No module named 'llama_cpp'"}) is Verdict.ERROR


@pytest.mark.parametrize("report", [{}, {"digest": DIGEST}, {"digest": DIGEST, "loads": True}])
def test_a_report_with_holes_never_passes(report: dict[str, Any]):
    assert _judge(report) is not Verdict.PASS


@dataclass
class _Babbler:
    """A launcher whose engine writes nonsense."""

    outcome: ChildOutcome
    limits: ChildLimits | None = None

    def run(self, job: InferenceJob, limits: ChildLimits) -> InferenceRun:
        self.limits = limits
        return InferenceRun(self.outcome, 0)


def test_the_caller_can_pass_a_launcher_and_memory_bounds_the_child(tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(1000))
    launcher = _Babbler(replace(_run(None).outcome, problem="it wrote without end", exit_code=-9))
    rows = check_inference(path, DIGEST, launcher=launcher, max_memory_bytes=10**9)
    assert rows[0].verdict is Verdict.ERROR
    assert launcher.limits is not None
    assert 10**9 < launcher.limits.address_space_bytes < 3 * 10**9


def test_a_missing_file_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound):
        check_inference(tmp_path / "none.gguf", DIGEST)
