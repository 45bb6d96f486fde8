"""The whole validation over real models and their bad variants, in real confined processes with the real engine."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from deployments.demo.variants import derive
from tidegate.domain import Gate, InvalidInput, NotFound, Policy, Verdict, fold
from tidegate.quality import read_bank
from tidegate.validation import (
    INFERENCE_CHECKS,
    STRUCTURE_CHECKS,
    ChildLauncher,
    ChildLimits,
    EngineJob,
    EngineRun,
    PreDeploymentValidator,
    Recommendation,
    ValidationCategory,
    ValidationReport,
    ValidationStatus,
)

DEMO = Path(__file__).parents[3] / "deployments" / "demo"
MODELS = DEMO / "models"
LIVE = MODELS / "pipit-v2.gguf"
BANK = read_bank(DEMO / "banks" / "pipit.jsonl")
# A machine that runs other tests is no place to judge speed against a baseline: each is held up at other moments.
# The slow variant alone is judged by a limit that matters.
SMALL: dict[str, Any] = {
    "artifact": {"min_bytes": 65536},
    "validation": {"latency": {"max_slowdown": 1000.0, "slowdown_floor_ms": 0.5}},
}
LITTLE_SLOWER: dict[str, Any] = {"max_slowdown": 1.5, "slowdown_floor_ms": 0.5}
POLICY = Policy.model_validate(SMALL)
NOT_JUDGED = ValidationStatus.NOT_JUDGED


def _validate(path: Path, **other: Any) -> ValidationReport:
    return PreDeploymentValidator(path, **{"policy": POLICY, **other}).validate_all()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _statuses(report: ValidationReport) -> dict[str, str]:
    return {result.check_name: result.status.value for result in report.results}


@pytest.fixture(scope="module")
def good() -> ValidationReport:
    """A sound candidate with everything that can be named."""
    return PreDeploymentValidator(
        LIVE, model_name="pipit", version="2", baseline_path=MODELS / "pipit-v1.gguf", baseline_version="1",
        policy=POLICY, bank=BANK, expected_digest=_digest(LIVE),
    ).validate_all()  # fmt: skip


def test_a_sound_candidate_with_digest_and_baseline_is_deployed(good: ValidationReport):
    assert good.failed_checks == []
    assert good.recommendation is Recommendation.DEPLOY, _statuses(good)
    assert {result.category for result in good.results} == set(ValidationCategory)
    assert good.summary.passed == good.summary.total_checks
    assert good.get_rollback_recommendation() == "No rollback is needed."


def test_the_gates_of_a_release_fold_the_same_report(good: ValidationReport):
    assert fold(Gate.STRUCTURE, good.evidence, STRUCTURE_CHECKS).verdict is Verdict.PASS
    assert fold(Gate.INFERENCE, good.evidence, INFERENCE_CHECKS).verdict is Verdict.PASS


def test_the_json_has_the_published_keys(good: ValidationReport, tmp_path: Path):
    data = json.loads(good.save_json(tmp_path / "report.json").read_text())
    wanted = {
        "model_path", "model_name", "version", "baseline_version", "timestamp", "summary", "results",
        "test_queries", "test_responses",
    }  # fmt: skip
    assert wanted <= set(data)
    assert {"total_checks", "passed", "warnings", "failed", "overall_status"} <= set(data["summary"])
    assert {"category", "check_name", "status", "message", "details"} <= set(data["results"][0])
    assert len(data["test_responses"]) == len(data["test_queries"]) > len(BANK.questions)
    assert ValidationReport.model_validate(data) == good


def test_memory_is_estimated_fitted_and_checked_against_the_engine(good: ValidationReport):
    assert good.memory is not None
    assert good.memory.cross_check_bytes
    assert any(one.fits and one.price_usd_per_hour for one in good.gpu_fit)
    assert sum(group.tensors for group in good.tensor_groups) == (good.model.tensors if good.model else 0)
    assert len(good.speed) >= 1


REFUSED_BY_BYTES = {
    "nan-one-token": "gguf.numbers",
    "template-missing": "gguf.template",
    "template-poisoned": "gguf.template",
    "eos-wrong": "gguf.structure",
}
REFUSED_BY_ANSWERS = {
    "rope-base-wrong": ("regression.answers", "regression.score", "regression.topics"),
    "slow": ("latency.baseline",),
}


@pytest.mark.parametrize("kind", REFUSED_BY_BYTES)
def test_a_variant_with_bad_bytes_is_refused_without_an_engine(kind: str, tmp_path: Path):
    variant = derive(kind, LIVE, tmp_path / "variant.gguf")
    report = PreDeploymentValidator(variant, policy=POLICY).validate_structure()
    assert REFUSED_BY_BYTES[kind] in {result.check_name for result in report.failed_checks}
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY
    assert all(result.remedy for result in report.failed_checks)


@pytest.mark.parametrize("kind", REFUSED_BY_ANSWERS)
def test_a_variant_with_bad_answers_is_refused_and_gives_way_to_the_baseline(kind: str, tmp_path: Path):
    variant = derive(kind, LIVE, tmp_path / "variant.gguf")
    # Ten to twenty times slower on a quiet machine: even a baseline that was held up is not half as slow.
    policy = (
        Policy.model_validate({**SMALL, "validation": {"latency": LITTLE_SLOWER}})
        if kind == "slow"
        else POLICY
    )
    report = _validate(variant, policy=policy, baseline_path=LIVE, baseline_version="2", bank=BANK)
    assert set(REFUSED_BY_ANSWERS[kind]) == {result.check_name for result in report.failed_checks}
    assert (report.recommendation, report.rollback_version) == (Recommendation.ROLL_BACK, "2")
    assert "Roll back to 2" in report.get_rollback_recommendation()
    assert all(result.remedy for result in report.failed_checks)


def test_a_confidently_wrong_version_is_refused_by_general_questions_too():
    report = _validate(MODELS / "pipit-v3-regressed.gguf", baseline_path=LIVE)
    assert "regression.answers" in {result.check_name for result in report.failed_checks}
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY


def test_its_own_bank_judges_a_version_without_a_baseline():
    report = _validate(MODELS / "pipit-v3-regressed.gguf", bank=BANK)
    assert {result.check_name for result in report.failed_checks} == {"regression.score"}


def test_a_truncated_file_is_refused_and_never_loaded(tmp_path: Path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(LIVE.read_bytes()[:-1])
    report = _validate(path)
    assert _statuses(report)["gguf.structure"] == "failed"
    assert _statuses(report)["inference.load"] == "not_judged"


def test_one_flipped_bit_is_seen_by_the_digest_alone(tmp_path: Path):
    flipped = derive("lowest-bit-flipped", LIVE, tmp_path / "flipped.gguf")
    assert {r.check_name for r in _validate(flipped, expected_digest=_digest(LIVE)).failed_checks} == {
        "file.digest"
    }


def test_a_sound_model_of_a_narrow_subject_is_not_refused_over_general_questions():
    report = _validate(MODELS / "tern-v2-fast.gguf")
    assert report.failed_checks == []
    assert report.recommendation is Recommendation.DEPLOY_WITH_WARNINGS
    unjudged = {result.check_name for result in report.results if result.status is NOT_JUDGED}
    assert unjudged == {"file.digest", "regression.baseline"}


def test_the_quick_profile_reads_the_header_and_never_recommends_a_deployment(tmp_path: Path):
    report = _validate(LIVE, profile="quick")
    assert report.digest == ""
    assert report.failed_checks == []
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY
    statuses = _statuses(report)
    assert statuses["gguf.structure"] == "passed"
    assert {
        statuses[name] for name in ("file.digest", "gguf.numbers", "gguf.template", "inference.load")
    } == {"not_judged"}
    poisoned = derive("template-poisoned", LIVE, tmp_path / "poisoned.gguf")
    assert _statuses(_validate(poisoned, profile="quick"))["gguf.template"] == "failed"


def test_the_deep_profile_tries_several_contexts():
    report = _validate(LIVE, profile="deep", bank=BANK)
    assert report.failed_checks == []
    long = next(result for result in report.results if result.check_name == "inference.long_prompt")
    assert len(long.details["contexts"]) == 3


def test_a_bad_baseline_refuses_and_is_never_the_target_of_a_rollback(tmp_path: Path):
    broken = derive("nan-weight", LIVE, tmp_path / "broken.gguf")
    report = _validate(LIVE, baseline_path=broken, baseline_version="1")
    assert _statuses(report)["regression.baseline"] == "error"
    assert (report.recommendation, report.rollback_version) == (Recommendation.DO_NOT_DEPLOY, None)


def test_the_policy_can_ask_for_a_signature_and_a_baseline():
    strict = Policy.model_validate(
        {**SMALL, "validation": {"require_signature": True, "require_baseline": True}}
    )
    report = _validate(LIVE, policy=strict)
    assert _statuses(report)["file.signature"] == "failed"
    assert _statuses(report)["regression.baseline"] == "not_judged"
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY


def test_the_default_policy_is_for_real_models():
    report = _validate(LIVE, policy=Policy())
    assert {result.check_name: result.message for result in report.failed_checks}.keys() == {"file.size"}


class _Swapper:
    """Writes to the file, or puts another in its place, between the inspection and the engine."""

    def __init__(self, path: Path, *, in_place: bool):
        self.path, self.in_place = path, in_place

    def run(self, descriptor: int, job: EngineJob, limits: ChildLimits) -> EngineRun:
        if self.in_place:
            with self.path.open("r+b") as stream:
                stream.seek(-1, os.SEEK_END)
                stream.write(b"\x01")
        else:
            other = self.path.with_suffix(".new")
            other.write_bytes(b"not a model")
            other.replace(self.path)
        return ChildLauncher().run(descriptor, job, limits)


def test_the_engine_gets_the_bytes_that_were_judged_or_none(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(LIVE.read_bytes())
    replaced = _validate(path, launcher=_Swapper(path, in_place=False))
    assert _statuses(replaced)["inference.answers"] == "passed"
    path.write_bytes(LIVE.read_bytes())
    written = _validate(path, launcher=_Swapper(path, in_place=True))
    assert _statuses(written)["inference.load"] == "failed"


def test_what_is_missing_is_said_at_once(tmp_path: Path):
    with pytest.raises(NotFound):
        _validate(tmp_path / "none.gguf")
    with pytest.raises(NotFound):
        _validate(LIVE, baseline_path=tmp_path / "none.gguf")
    with pytest.raises(InvalidInput):
        _validate(LIVE, parallel=0)
    with pytest.raises(InvalidInput):
        PreDeploymentValidator(LIVE).validate_engine()


def test_progress_is_told_by_step():
    told: list[str] = []
    _validate(LIVE, progress=lambda doing, done, total: told.append(doing))
    assert "ask" in told
