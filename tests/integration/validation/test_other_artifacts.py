"""Folders, adapters and pickles through the confined child: judged as one artifact, refused with reason and remedy."""

import pickle
from pathlib import Path

import pytest

from tests.unit.gguf.test_lora import ADAPTER, PAIRS, QUERY, matrix
from tests.unit.gguf.writer import File
from tests.unit.safetensors.writer import inspect, write_adapter
from tidegate.domain import Policy
from tidegate.validation import (
    PreDeploymentValidator,
    Recommendation,
    ValidationReport,
    ValidationResult,
    ValidationStatus,
    validate_artifact,
)

BASE = Path(__file__).parents[3] / "deployments" / "demo" / "models" / "pipit-v2.gguf"
BASE_WIDTH = 128
POLICY = Policy.model_validate({"artifact": {"min_bytes": 1}})


def _validate(path: Path) -> ValidationReport:
    return validate_artifact(path, POLICY, expected_digest=None, context_tokens=256, parallel=1)


def _refusals(report: ValidationReport) -> list[str]:
    return [
        found.check for result in report.results for found in result.findings if found.severity == "error"
    ]


def test_an_adapter_folder_may_be_deployed_and_the_report_lists_its_files(tmp_path: Path):
    report = _validate(write_adapter(tmp_path / "adapter"))
    assert _refusals(report) == []
    assert report.recommendation in (Recommendation.DEPLOY, Recommendation.DEPLOY_WITH_WARNINGS)
    assert report.digest == inspect(tmp_path / "adapter").digest
    assert report.model is not None
    assert report.model.tensors == 8
    details = next(result.details for result in report.results if result.check_name == "gguf.structure")
    assert details["artifact"] == "peft_adapter"
    assert [file["path"] for file in details["files"]] == ["adapter_config.json", "adapter_model.safetensors"]


def test_an_adapter_in_gguf_may_be_deployed(tmp_path: Path):
    path = tmp_path / "adapter.gguf"
    path.write_bytes(ADAPTER.encode())
    report = _validate(path)
    assert _refusals(report) == []
    assert report.recommendation is not Recommendation.DO_NOT_DEPLOY


def test_a_pickle_in_a_folder_refuses_the_whole_folder(tmp_path: Path):
    folder = write_adapter(tmp_path / "adapter")
    (folder / "training_args.bin").write_bytes(pickle.dumps({"lr": 1}))
    report = _validate(folder)
    assert _refusals(report) == ["PK-PICKLE"]
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY


@pytest.mark.parametrize("profile", ["quick", "standard"])
def test_the_whole_validation_of_an_adapter_starts_no_engine_and_refuses_nothing(
    profile: str, tmp_path: Path
):
    report = PreDeploymentValidator(
        write_adapter(tmp_path / "adapter"), policy=POLICY, profile=profile
    ).validate_all()
    assert _refusals(report) == []
    assert report.test_responses == ()
    if profile == "standard":
        assert report.recommendation is not Recommendation.DO_NOT_DEPLOY


def _results(path: Path, **other: object) -> dict[str, ValidationResult]:
    report = PreDeploymentValidator(path, policy=POLICY, **other).validate_all()  # pyright: ignore[reportArgumentType] - told by name
    return {result.check_name: result for result in report.results}


def _adapter(path: Path, width: int) -> Path:
    matrices = matrix(QUERY + ".lora_a", (width, 4)), matrix(QUERY + ".lora_b", (4, width))
    path.write_bytes(File(PAIRS, matrices).encode())
    return path


def test_an_adapter_that_fits_its_base_model_is_sound_but_no_service_can_serve_it(tmp_path: Path):
    path = _adapter(tmp_path / "adapter.gguf", BASE_WIDTH)
    report = PreDeploymentValidator(path, policy=POLICY, baseline_path=BASE).validate_all()
    results = {result.check_name: result for result in report.results}
    assert results["file.base_model"].status is ValidationStatus.PASSED
    assert results["file.kind"].status is ValidationStatus.WARNING
    assert report.recommendation is Recommendation.DEPLOY_WITH_WARNINGS
    assert report.test_responses == ()
    refused = PreDeploymentValidator(path, policy=POLICY, must_serve=True).validate_structure()
    assert [result.check_name for result in refused.failed_checks] == ["file.kind"]
    assert "llama-export-lora" in refused.failed_checks[0].remedy


def test_an_adapter_that_does_not_fit_its_base_model_is_refused(tmp_path: Path):
    results = _results(_adapter(tmp_path / "adapter.gguf", BASE_WIDTH // 2), baseline_path=BASE)
    assert results["file.base_model"].status is ValidationStatus.FAILED
    assert "do not fit" in results["file.base_model"].message


def test_a_folder_of_one_model_is_validated_as_that_model_with_the_engine(tmp_path: Path):
    (tmp_path / "model.gguf").write_bytes(BASE.read_bytes())
    (tmp_path / "README.md").write_text("# A model\n")
    results = _results(tmp_path)
    assert results["file.kind"].status is ValidationStatus.PASSED
    assert results["inference.answers"].status is ValidationStatus.PASSED
