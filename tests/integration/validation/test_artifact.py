"""The whole validation over real files, in real confined processes."""

import hashlib
import os
from pathlib import Path

import pytest

from deployments.demo.variants import KINDS, derive
from tests.unit.gguf.writer import STRING, tiny_llama
from tidegate.domain import Gate, InvalidInput, NotFound, Policy, Verdict, fold
from tidegate.gguf import has_errors, inspect_file
from tidegate.validation import (
    STRUCTURE_CHECKS,
    Recommendation,
    ValidationReport,
    to_markdown,
    validate_artifact,
)

MODELS = Path(__file__).parents[3] / "deployments" / "demo" / "models"
POLICY = Policy.model_validate({"artifact": {"min_bytes": 64 * 1024}})
SOURCE = MODELS / "pipit-v2-fast.gguf"
ONLY_RENDERING_SHOWS = ("template-drops-system",)
REFUSED_HERE = ("structure", "numbers", "template")


def _validate(path: Path, policy: Policy = POLICY, digest: str | None = None) -> ValidationReport:
    return validate_artifact(path, policy, expected_digest=digest, context_tokens=256, parallel=4)


def _verdicts(report: ValidationReport) -> dict[str, str]:
    return {row.check: row.verdict.value for row in report.evidence}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    path.write_bytes(tiny_llama(width=64, inner=128).encode())
    return path


@pytest.mark.parametrize("model", sorted(MODELS.glob("*.gguf")), ids=lambda path: path.stem)
def test_every_demonstration_model_passes_without_a_finding(model: Path):
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    report = _validate(model, digest=digest)
    assert report.findings == ()
    assert report.recommendation is Recommendation.DEPLOY
    assert report.digest == digest
    assert fold(Gate.STRUCTURE, report.evidence, STRUCTURE_CHECKS).verdict is Verdict.PASS


@pytest.mark.parametrize("kind", KINDS)
def test_every_damaged_variant_is_refused_by_its_content_and_harmless_ones_are_not(kind: str, tmp_path: Path):
    variant = derive(kind, SOURCE, tmp_path / "variant.gguf")
    descriptor = os.open(variant, os.O_RDONLY)
    try:
        found = inspect_file(descriptor).findings
    finally:
        os.close(descriptor)
    if KINDS[kind].refused_by in REFUSED_HERE and kind not in ONLY_RENDERING_SHOWS:
        assert has_errors(found)
    elif KINDS[kind].refused_by == "none":
        assert not has_errors(found)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("empty", "gguf.structure"),
        ("array-count-huge", "gguf.structure"),
        ("offset-wraps", "gguf.structure"),
        ("nan-one-token", "gguf.numbers"),
        ("zero-matrix", "gguf.numbers"),
        ("template-bomb", "gguf.template"),
        ("template-drops-system", "gguf.template"),
    ],
)
def test_a_hostile_file_is_refused_by_the_right_check_with_a_remedy(kind: str, check: str, tmp_path: Path):
    report = _validate(derive(kind, SOURCE, tmp_path / "variant.gguf"))
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY
    assert _verdicts(report)[check] == "fail"
    assert fold(Gate.STRUCTURE, report.evidence, STRUCTURE_CHECKS).verdict is Verdict.FAIL
    assert all(found.remedy for found in report.findings)
    assert to_markdown(report).isascii()


@pytest.mark.parametrize("kind", ["slow", "metadata-changed"])
def test_a_harmless_variant_may_be_deployed(kind: str, tmp_path: Path):
    report = _validate(derive(kind, SOURCE, tmp_path / "variant.gguf"))
    assert report.recommendation is Recommendation.DEPLOY


def test_progress_and_memory_are_reported(tiny: Path):
    report = _validate(tiny)
    assert report.memory is not None
    assert report.memory.total_bytes > report.memory.weights_bytes > 0
    assert report.model is not None
    assert report.model.architecture == "llama"
    assert ValidationReport.model_validate_json(report.as_json()) == report


def test_another_digest_fails_integrity_only(tiny: Path):
    report = _validate(tiny, digest="0" * 64)
    assert _verdicts(report) == {**dict.fromkeys(STRUCTURE_CHECKS, "pass"), "file.digest": "fail"}


def test_limits_of_the_policy_are_enforced(tiny: Path):
    small = Policy.model_validate({"artifact": {"min_bytes": 10, "max_bytes": 20, "max_memory_bytes": 1000}})
    assert _verdicts(_validate(tiny, small))["file.size"] == "fail"
    assert _verdicts(_validate(tiny, small))["gguf.memory"] == "fail"
    assert _verdicts(_validate(tiny, Policy()))["file.size"] == "fail"


def test_a_context_longer_than_trained_is_a_warning(tiny: Path):
    report = validate_artifact(tiny, POLICY, expected_digest=None, context_tokens=4096, parallel=1)
    assert [found.check for found in report.findings] == ["M-CONTEXT"]
    assert report.recommendation is Recommendation.DEPLOY_WITH_WARNINGS


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/zero")):
        assert _validate(path).recommendation is Recommendation.DO_NOT_DEPLOY
    with pytest.raises(NotFound):
        _validate(tmp_path / "missing")
    with pytest.raises(InvalidInput):
        _validate(Path("a\0b"))
    with pytest.raises(InvalidInput):
        validate_artifact(tmp_path, POLICY, expected_digest=None, context_tokens=0, parallel=1)


def test_a_sparse_file_with_a_header_beyond_every_model_is_refused(tmp_path: Path):
    path = tmp_path / "huge.gguf"
    words = tiny_llama().with_pair("general.note", STRING, "x")
    path.write_bytes(words.encode())
    raw = bytearray(path.read_bytes())
    place = bytes(raw).index(b"general.note") + len("general.note") + 4
    raw[place : place + 8] = (150 * 1024**2).to_bytes(8, "little")
    path.write_bytes(raw)
    os.truncate(path, 200 * 1024**2)
    report = _validate(path)
    assert report.recommendation is Recommendation.DO_NOT_DEPLOY
    assert "H-HUGE" in {found.check for found in report.findings}
