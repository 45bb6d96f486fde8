"""What a candidate's header says otherwise than its baseline's, read by a confined child and checked here."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined
from tidegate.validation.report import ReportedFinding

MODULE = "tidegate.validation.difference_child"
WALL_S, CPU_S = 600.0, 60
OPEN_FILES = 64


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChangedKey(_Said):
    """One metadata key or tensor; a side where it does not exist is an empty text."""

    name: str
    old: str
    new: str


class ChangedTemplate(_Said):
    """One chat template that is not the same; the lines are those of a unified diff."""

    key: str
    summary: str
    lines: tuple[str, ...] = ()


class ChangedTokenizer(_Said):
    """What differs in words, with examples."""

    changed: tuple[str, ...]
    examples: tuple[str, ...] = ()


class Difference(_Said):
    """Everything that differs; for an adapter only the findings, which say how it fits the baseline."""

    problem: str = Field(default="", description="Why nothing was compared.")
    findings: tuple[ReportedFinding, ...] = ()
    templates: tuple[ChangedTemplate, ...] = ()
    tokenizer: ChangedTokenizer | None = None
    metadata: tuple[ChangedKey, ...] = ()
    tensors: tuple[ChangedKey, ...] = ()
    metadata_changes: int = 0
    tensor_changes: int = 0


def read_difference_of(candidate: Mapping[str, int], baseline: Mapping[str, int]) -> Difference:
    """Compare two artifacts by the open descriptors of their files. Whatever happens to the child is data."""
    files = (*candidate.values(), *baseline.values())
    limits = ChildLimits(wall_s=WALL_S, cpu_s=CPU_S, open_files=OPEN_FILES + 2 * len(files))
    request = {"candidate": dict(candidate), "baseline": dict(baseline)}
    return read_said(run_confined(MODULE, request, limits, inherit=files))


def read_said(outcome: ChildOutcome) -> Difference:
    """Pure: a result is read as if the child could have been taken over."""
    if outcome.result is None:
        return Difference(problem=f"the comparison gave no result: {outcome.problem}")
    try:
        return Difference.model_validate(outcome.result)
    except ValidationError as error:
        return Difference(problem=f"the comparison cannot be read ({error.errors()[0]['type']})")
