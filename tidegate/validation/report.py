"""The result of validating one artifact: findings by category, evidence rows, and a recommendation."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tidegate.domain import Evidence, Verdict
from tidegate.gguf import Category, Severity

REPORT_VERSION = 1


class Recommendation(StrEnum):
    DEPLOY = "deploy"
    DEPLOY_WITH_WARNINGS = "deploy_with_warnings"
    DO_NOT_DEPLOY = "do_not_deploy"


class ReportedFinding(BaseModel):
    """One finding as it goes into reports; see `tidegate.gguf.Finding`."""

    model_config = ConfigDict(frozen=True)

    check: str
    severity: Severity
    category: Category
    message: str
    explanation: str
    remedy: str
    offset: int | None = Field(default=None, description="Byte in the file where the trouble begins.")
    subject: str = ""


class MemoryReport(BaseModel):
    """Estimated bytes of one set."""

    model_config = ConfigDict(frozen=True)

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    overhead_bytes: int
    total_bytes: int
    context_tokens: int
    parallel: int
    is_upper_bound: bool


class ModelSummary(BaseModel):
    """What the header says the model is. Texts come from the file: escape them where they are shown."""

    model_config = ConfigDict(frozen=True)

    architecture: str
    name: str
    parameters: int
    tensors: int
    tensor_types: tuple[str, ...]
    blocks: int | None = None
    width: int | None = None
    trained_context: int | None = None
    vocabulary: int | None = None


class CategoryResult(BaseModel):
    """Verdict of one category with what it is based on."""

    model_config = ConfigDict(frozen=True)

    category: Category
    check: str = Field(description="Id of the evidence row.")
    verdict: Verdict
    summary: str
    findings: tuple[ReportedFinding, ...] = ()


class ValidationReport(BaseModel):
    """Everything found out about a file. `evidence` is what the structure gate folds."""

    model_config = ConfigDict(frozen=True)

    version: int = REPORT_VERSION
    path: str
    digest: str
    expected_digest: str | None
    size_bytes: int
    recommendation: Recommendation
    categories: tuple[CategoryResult, ...]
    evidence: list[Evidence]
    memory: MemoryReport | None = None
    model: ModelSummary | None = None
    policy_digest: str
    wall_seconds: float = Field(description="Time the validation took.")

    @property
    def findings(self) -> tuple[ReportedFinding, ...]:
        return tuple(found for category in self.categories for found in category.findings)

    def as_json(self) -> str:
        """Stable, indented JSON."""
        return self.model_dump_json(indent=2)

    def as_data(self) -> dict[str, Any]:
        return self.model_dump(mode="json")
