"""Judging what an engine reported: pure functions, and a launcher that is faulty on purpose."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.validation.engine import DIGEST, JOB, POLICY, answer, judged, query, report, run
from tidegate.domain import Gate, NotFound, Policy, Verdict, fold
from tidegate.validation import (
    ENGINE_RESULTS,
    INFERENCE_CHECKS,
    ChildLimits,
    EngineJob,
    EngineRun,
    ValidationStatus,
    check_inference,
    evidence_of_results,
    judge_engine,
)
from tidegate.validation.confinement import OUT_OF_TIME
from tidegate.validation.inference import responses_of
from tidegate.validation.launching import engine_job

PASSED, FAILED, NOT_JUDGED = ValidationStatus.PASSED, ValidationStatus.FAILED, ValidationStatus.NOT_JUDGED


def _gate(said: dict[str, Any] | None, **other: Any) -> Verdict:
    rows = evidence_of_results(judge_engine(run(said, **other), POLICY), DIGEST)
    return fold(Gate.INFERENCE, rows, INFERENCE_CHECKS).verdict


def test_good_answers_pass_every_check():
    results = judged(report())
    assert {name: result.status for name, result in results.items()} == dict.fromkeys(ENGINE_RESULTS, PASSED)
    assert _gate(report()) is Verdict.PASS


def test_an_answer_cut_by_the_limit_still_passes():
    assert (
        _gate(report(answers=[answer(), answer("two", finish="length", text="It goes on.")])) is Verdict.PASS
    )


@pytest.mark.parametrize(
    "change",
    [
        {"is_finite": False},
        {"finish": "error"},
        {"finish": ""},
        {"problem": "the prompt has 900 tokens and does not fit"},
    ],
)
def test_an_answer_that_was_not_computed_fails(change: dict[str, Any]):
    said = report(answers=[answer(), answer("two", **change)])
    assert judged(said)["inference.answers"].status is FAILED
    assert _gate(said) is Verdict.FAIL


def test_a_machine_that_was_too_slow_for_the_questions_is_an_error_and_no_failure_of_the_model():
    late = answer("two", problem=OUT_OF_TIME)
    slow = judged(report(answers=[answer(), late]))["inference.answers"]
    assert slow.status is ValidationStatus.ERROR
    assert "engine_wall_s" in slow.remedy
    both = judged(report(answers=[answer(problem="the prompt does not fit"), late]))["inference.answers"]
    assert both.status is FAILED


def test_two_different_answers_to_one_question_fail():
    said = report(repeated=[answer(tokens=[5, 7])])
    assert judged(said)["inference.determinism"].status is FAILED


def test_missing_answers_never_pass():
    for said in (report(answers=[answer()]), report(answers=[]), report(problem="no context could be made")):
        assert judged(said)["inference.answers"].status is FAILED
    assert judged(report(repeated=[]))["inference.determinism"].status is NOT_JUDGED


def test_a_model_that_never_ends_an_answer_fails_unless_it_thinks_aloud():
    endless = [answer("one", finish="length"), answer("two", finish="length", text="And so on.")]
    stop = judged(report(answers=endless))["inference.stop"]
    assert stop.status is FAILED
    assert "256 tokens" in stop.message
    thinking = [
        answer("one", finish="length", text="<think> It is"),
        answer("two", finish="length", text="x y"),
    ]
    assert judged(report(answers=thinking))["inference.stop"].status is ValidationStatus.WARNING


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"is_finite": False}, FAILED),
        ({"problem": "the engine could not compute it"}, FAILED),
        ({"skipped": "2000 tokens would take 900 s of 60 s left"}, NOT_JUDGED),
    ],
)
def test_a_long_prompt_that_fails_or_was_not_tried_does_not_pass(
    change: dict[str, Any], status: ValidationStatus
):
    long = {"context_tokens": 256, "prompt_tokens": 230, "is_finite": True, **change}
    assert judged(report(long_prompts=[long]))["inference.long_prompt"].status is status
    assert judged(report(long_prompts=[]))["inference.long_prompt"].status is NOT_JUDGED


def test_another_file_than_the_registered_one_fails():
    assert judged(report(digest="b" * 64))["inference.load"].status is FAILED


def test_a_file_that_is_written_to_meanwhile_fails():
    results = judged(report(changed=True))
    assert results["inference.load"].status is FAILED
    assert "written to" in results["inference.load"].message
    assert results["inference.answers"].status is NOT_JUDGED


def test_a_file_that_loads_only_without_the_check_fails_that_check():
    results = judged(report(is_checked=False, answers=[]))
    assert results["inference.load"].status is PASSED
    assert results["inference.check_tensors"].status is FAILED
    assert results["latency.speed"].status is NOT_JUDGED


def test_a_file_that_does_not_load_fails():
    assert judged(report(loads=False, is_checked=False))["inference.load"].status is FAILED


@pytest.mark.parametrize(("code", "verdict"), [(-6, Verdict.FAIL), (-11, Verdict.FAIL), (-9, Verdict.ERROR), (3, Verdict.ERROR), (None, Verdict.ERROR)])  # fmt: skip
@pytest.mark.parametrize("stage", [0, 1])
def test_an_engine_that_dies_is_a_failure_of_the_file_or_an_error_but_never_a_pass(
    code: int | None, verdict: Verdict, stage: int
):
    assert _gate(None, problem="it was ended", code=code, stage=stage) is verdict
    assert set(judged(None, problem="it was ended", code=code, stage=stage)) == set(ENGINE_RESULTS)


def test_a_host_without_the_engine_is_an_error_not_a_failure_of_the_file():
    assert _gate({"missing_engine": "No module named 'llama_cpp'"}) is Verdict.ERROR


@pytest.mark.parametrize(
    "said",
    [
        {}, {"digest": DIGEST}, {"digest": DIGEST, "loads": True}, report(speed=[]), report(answers="yes"),
        report(speed=[{"prompt": "p"}]), {**report(), "verdict": "pass"}, report(load_seconds=float("inf")),
    ],
)  # fmt: skip
def test_a_report_with_holes_or_lies_never_passes(said: dict[str, Any]):
    assert _gate(said) is not Verdict.PASS
    assert set(judged(said)) == set(ENGINE_RESULTS)


def test_questions_and_answers_are_kept_for_the_report():
    queries, responses = responses_of(run(report()))
    assert [one.id for one in queries] == [one.id for one in responses] == ["one", "two"]
    assert responses[0].text == "It is Paris."


def test_the_deep_profile_asks_in_every_context_and_repeats_every_question():
    usual = engine_job(10**6, DIGEST, POLICY, 4096)
    deep = engine_job(10**6, DIGEST, POLICY, 4096, profile="deep")
    assert usual.contexts == (2048,)
    assert deep.contexts == (1024, 2048, 4096)
    assert sum(one.is_repeated for one in deep.queries) > sum(one.is_repeated for one in usual.queries)


@dataclass
class _Babbler:
    """A launcher whose engine writes nonsense."""

    run_: EngineRun
    limits: ChildLimits | None = None

    def run(self, descriptor: int, job: EngineJob, limits: ChildLimits) -> EngineRun:
        self.limits = limits
        return self.run_


def test_the_caller_can_pass_a_launcher_and_memory_bounds_the_child(tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(1000))
    launcher = _Babbler(run(None, problem="it wrote without end", code=-9, stage=0))
    rows = check_inference(path, DIGEST, launcher=launcher, max_memory_bytes=10**9)
    assert rows[0].verdict is Verdict.ERROR
    assert launcher.limits is not None
    assert 10**9 < launcher.limits.address_space_bytes < 3 * 10**9


def test_a_policy_can_soften_a_check_but_not_the_loading(tmp_path: Path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(1000))
    slow = report(speed=[{**report()["speed"][0], "tokens_per_second": 1.0}])
    policy = Policy.model_validate({"validation": {"checks": {"latency.speed": "warn"}}})
    rows = check_inference(path, DIGEST, policy=policy, launcher=_Babbler(run(slow)))
    assert fold(Gate.INFERENCE, rows, INFERENCE_CHECKS).verdict is Verdict.PASS
    with pytest.raises(ValueError, match="always fails"):
        Policy.model_validate({"validation": {"checks": {"inference.load": "warn"}}})
    with pytest.raises(ValueError, match="cannot be off"):
        Policy.model_validate({"validation": {"checks": {"latency.speed": "off"}}})


def test_a_missing_file_is_not_found(tmp_path: Path):
    with pytest.raises(NotFound):
        check_inference(tmp_path / "none.gguf", DIGEST)


def test_a_question_is_asked_only_where_it_can_be_answered():
    job = replace(JOB, queries=(query("one"),))
    assert judged(report(repeated=[]), job=job)["inference.determinism"].status is NOT_JUDGED
