"""The result of validating one artifact: what every check found, in eight categories, and a recommendation.

The JSON of a report is a published format (docs/schemas/validation-report.json): add fields, never rename.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain import Evidence, Gate, Verdict
from tidegate.gguf import Category, Severity

SCHEMA_VERSION = 2
FINDINGS_IN_EVIDENCE = 10

Profile = Literal["quick", "standard", "deep"]


class ValidationStatus(StrEnum):
    """What one check says. `not_judged` means that nobody looked: it is never a pass."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    NOT_JUDGED = "not_judged"
    ERROR = "error"


class ValidationCategory(StrEnum):
    FILE_INTEGRITY = "file_integrity"
    FORMAT = "format"
    SIZE = "size"
    MEMORY = "memory"
    INFERENCE = "inference"
    RESPONSE_QUALITY = "response_quality"
    LATENCY = "latency"
    REGRESSION = "regression"


class Recommendation(StrEnum):
    DEPLOY = "deploy"
    DEPLOY_WITH_WARNINGS = "deploy_with_warnings"
    DO_NOT_DEPLOY = "do_not_deploy"
    ROLL_BACK = "roll_back"


CATEGORY_OF: dict[Category, ValidationCategory] = {
    Category.INTEGRITY: ValidationCategory.FILE_INTEGRITY,
    Category.FORMAT: ValidationCategory.FORMAT,
    Category.NUMBERS: ValidationCategory.FORMAT,
    Category.TEMPLATE: ValidationCategory.FORMAT,
    Category.SIZE: ValidationCategory.SIZE,
    Category.MEMORY: ValidationCategory.MEMORY,
}
"""The category of the report for a category of the file's rules."""

GATE_OF: dict[ValidationCategory, Gate] = {
    ValidationCategory.FILE_INTEGRITY: Gate.STRUCTURE,
    ValidationCategory.FORMAT: Gate.STRUCTURE,
    ValidationCategory.SIZE: Gate.STRUCTURE,
    ValidationCategory.MEMORY: Gate.STRUCTURE,
    ValidationCategory.INFERENCE: Gate.INFERENCE,
    ValidationCategory.RESPONSE_QUALITY: Gate.INFERENCE,
    ValidationCategory.LATENCY: Gate.INFERENCE,
    ValidationCategory.REGRESSION: Gate.INFERENCE,
}
"""The gate of a release that folds the rows of a category."""

VERDICT_OF: dict[ValidationStatus, Verdict] = {
    ValidationStatus.PASSED: Verdict.PASS,
    ValidationStatus.WARNING: Verdict.PASS,
    ValidationStatus.FAILED: Verdict.FAIL,
    ValidationStatus.NOT_JUDGED: Verdict.NOT_JUDGED,
    ValidationStatus.ERROR: Verdict.ERROR,
}
"""A warning lets a file through, with its text in the row."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReportedFinding(_Frozen):
    """One finding as it goes into reports; see `tidegate.gguf.Finding`."""

    check: str
    severity: Severity
    category: Category
    message: str
    explanation: str
    remedy: str
    offset: int | None = Field(default=None, description="Byte in the file where the trouble begins.")
    subject: str = ""


class ValidationResult(_Frozen):
    """What one check found."""

    category: ValidationCategory
    check_name: str = Field(description="Stable id, such as 'gguf.structure'; also that of the evidence row.")
    status: ValidationStatus
    message: str = Field(description="One sentence with the numbers that matter.")
    remedy: str = ""
    details: dict[str, Any] = Field(default_factory=dict)
    findings: tuple[ReportedFinding, ...] = ()
    is_needed: bool = Field(
        default=True,
        description="False when nobody gave what the check compares with, such as a digest or a baseline: "
        "'not_judged' is then only a warning.",
    )

    @property
    def is_refusing(self) -> bool:
        """Keeps the file from being deployed."""
        if self.status is ValidationStatus.NOT_JUDGED:
            return self.is_needed
        return self.status in (ValidationStatus.FAILED, ValidationStatus.ERROR)


class ValidationSummary(_Frozen):
    """Numbers of checks by status. `overall_status` is the worst of them."""

    total_checks: int
    passed: int
    warnings: int
    failed: int
    not_judged: int
    errors: int
    overall_status: ValidationStatus


class MemoryReport(_Frozen):
    """Estimated bytes of one set."""

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    overhead_bytes: int
    total_bytes: int
    context_tokens: int
    parallel: int
    is_upper_bound: bool
    gpu_bytes: int = Field(default=0, description="Of the total, what has to fit on a GPU; 0 without one.")
    cross_check_bytes: int | None = Field(
        default=None, description="What the engine itself says it would allocate, when it was asked."
    )


class GpuFit(_Frozen):
    """Whether one set fits one kind of GPU, and for how much."""

    gpu: str
    memory_gib: float
    price_usd_per_hour: float | None = None
    fits: bool
    headroom_bytes: int = Field(description="Bytes left beside the set; negative when it does not fit.")


class ModelSummary(_Frozen):
    """What the header says the model is. Texts come from the file: escape them where they are shown."""

    architecture: str
    name: str
    parameters: int
    tensors: int
    tensor_types: tuple[str, ...]
    blocks: int | None = None
    width: int | None = None
    trained_context: int | None = None
    vocabulary: int | None = None


class TensorGroup(_Frozen):
    """Tensors of one purpose and type together, for the map of the file."""

    kind: str
    type: str
    tensors: int
    bytes: int


class SpeedSample(_Frozen):
    """One measured answer of the engine on the machine where it ran."""

    prompt: str
    prompt_tokens: int
    tokens: int
    ttft_ms: float
    tokens_per_second: float


class TestQuery(_Frozen):
    """One question that the model was asked, and what for."""

    __test__ = False

    id: str
    prompt: str
    purpose: str


class TestResponse(_Frozen):
    """The answer to the query of the same id. The text comes from the model: escape it where it is shown."""

    __test__ = False

    id: str
    text: str
    finish: str
    tokens: int
    ttft_ms: float | None = None
    tokens_per_second: float | None = None


class ValidationReport(_Frozen):
    """Everything found out about a file."""

    schema_version: int = SCHEMA_VERSION
    model_path: str
    model_name: str = ""
    version: str = ""
    baseline_version: str | None = None
    timestamp: datetime
    profile: Profile = "standard"
    digest: str = Field(description="SHA-256 of the file; empty when it was not read to its end.")
    expected_digest: str | None = None
    size_bytes: int
    policy_digest: str
    recommendation: Recommendation
    rollback_version: str | None = Field(
        default=None, description="Version to serve instead, for 'roll_back'."
    )
    summary: ValidationSummary
    results: tuple[ValidationResult, ...]
    test_queries: tuple[TestQuery, ...] = ()
    test_responses: tuple[TestResponse, ...] = ()
    memory: MemoryReport | None = None
    gpu_fit: tuple[GpuFit, ...] = ()
    model: ModelSummary | None = None
    tensor_groups: tuple[TensorGroup, ...] = ()
    speed: tuple[SpeedSample, ...] = ()
    baseline: dict[str, Any] | None = Field(
        default=None, description="Difference to the baseline: template, tokenizer, metadata and scores."
    )
    wall_seconds: float = Field(description="Time the validation took.")

    @property
    def passed(self) -> bool:
        """May be deployed, perhaps with warnings."""
        return self.recommendation in (Recommendation.DEPLOY, Recommendation.DEPLOY_WITH_WARNINGS)

    @property
    def is_fine_at_a_glance(self) -> bool:
        """Profile `quick` found nothing that refuses the file. That never suffices to deploy it."""
        return self.profile == "quick" and not self.failed_checks

    @property
    def failed_checks(self) -> list[ValidationResult]:
        """Checks that refuse the file: those that failed and those that could not be made."""
        refusing = (ValidationStatus.FAILED, ValidationStatus.ERROR)
        return [result for result in self.results if result.status in refusing]

    @property
    def findings(self) -> tuple[ReportedFinding, ...]:
        return tuple(found for result in self.results for found in result.findings)

    @property
    def evidence(self) -> list[Evidence]:
        """Rows for the gates of a release; `GATE_OF` says which gate folds which category.

        What nobody asked for has no row: a gate that requires it then says that evidence is missing.
        """
        return evidence_of_results(self.results, self.digest)

    def get_rollback_recommendation(self) -> str:
        """What to do now, in one or two sentences."""
        reasons = "; ".join(f"{result.check_name}: {result.message}" for result in self.failed_checks[:3])
        if self.recommendation is Recommendation.ROLL_BACK:
            return f"Roll back to {self.rollback_version}. {reasons}"
        if self.recommendation is Recommendation.DO_NOT_DEPLOY:
            unjudged = [result.check_name for result in self.results if result.is_refusing]
            reasons = reasons or (
                f"Not judged: {', '.join(unjudged[:5])}" if unjudged else "Nothing was checked"
            )
            return f"Do not deploy; leave the live version as it is. {reasons}"
        if self.recommendation is Recommendation.DEPLOY_WITH_WARNINGS:
            return "No rollback is needed. Read the warnings before the deployment."
        return "No rollback is needed."

    def as_json(self) -> str:
        """Stable, indented JSON."""
        return self.model_dump_json(indent=2)

    def as_data(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    def save_json(self, path: str | Path) -> Path:
        """Write the JSON; a reader sees the old file or the whole new one. Returns the path."""
        return write_whole(Path(path), self.as_json() + "\n")

    def save_markdown(self, path: str | Path) -> Path:
        """Write the Markdown report; a reader sees the old file or the whole new one. Returns the path."""
        from tidegate.validation.markdown import to_markdown

        return write_whole(Path(path), to_markdown(self))


def summarize(results: Iterable[ValidationResult]) -> ValidationSummary:
    """Count by status. No result at all is `not_judged`."""
    given = tuple(results)
    counted = Counter(result.status for result in given)
    ranked = {_overall(result) for result in given}
    worst = next((status for status in _WORST_FIRST if status in ranked), ValidationStatus.NOT_JUDGED)
    return ValidationSummary(
        total_checks=counted.total(),
        passed=counted[ValidationStatus.PASSED],
        warnings=counted[ValidationStatus.WARNING],
        failed=counted[ValidationStatus.FAILED],
        not_judged=counted[ValidationStatus.NOT_JUDGED],
        errors=counted[ValidationStatus.ERROR],
        overall_status=worst,
    )


_WORST_FIRST = (
    ValidationStatus.FAILED,
    ValidationStatus.ERROR,
    ValidationStatus.NOT_JUDGED,
    ValidationStatus.WARNING,
    ValidationStatus.PASSED,
)


def _overall(result: ValidationResult) -> ValidationStatus:
    is_unasked = result.status is ValidationStatus.NOT_JUDGED and not result.is_needed
    return ValidationStatus.WARNING if is_unasked else result.status


def recommend(results: Iterable[ValidationResult]) -> Recommendation:
    """Fail-closed: whatever failed, could not be made, or was not judged though it is needed, refuses."""
    given = tuple(results)
    if not given or any(result.is_refusing for result in given):
        return Recommendation.DO_NOT_DEPLOY
    if all(result.status is ValidationStatus.PASSED and not result.findings for result in given):
        return Recommendation.DEPLOY
    return Recommendation.DEPLOY_WITH_WARNINGS


def evidence_of_results(results: Iterable[ValidationResult], digest: str) -> list[Evidence]:
    """Rows of every result but those that nobody asked for."""
    asked = (r for r in results if r.is_needed or r.status is not ValidationStatus.NOT_JUDGED)
    return [evidence_of_result(result, digest) for result in asked]


def evidence_of_result(result: ValidationResult, digest: str) -> Evidence:
    """One row of the release's gates from one result of the report."""
    shown = result.findings[:FINDINGS_IN_EVIDENCE]
    return Evidence(
        gate=GATE_OF[result.category],
        check=result.check_name,
        verdict=VERDICT_OF[result.status],
        summary=result.message,
        remedy=result.remedy,
        data={
            **result.details,
            "digest": digest,
            "findings": [found.model_dump(mode="json", exclude={"explanation"}) for found in shown],
            "total_findings": len(result.findings),
        },
    )


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write beside the target, then rename: an interrupted write leaves nothing half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode())
        # mkstemp makes files for their owner alone; a report is for everyone who may see the folder.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path
