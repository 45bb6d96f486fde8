"""What a confined child says about the bytes of an artifact. It may have been taken over: every field is checked."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from tidegate.gguf import TEMPLATE_FACTS, Category, Finding, Severity, finding
from tidegate.safetensors import ArtifactKind
from tidegate.validation.confinement import ChildOutcome
from tidegate.validation.report import GpuFit, MemoryReport, ModelSummary, ReportedFinding, TensorGroup


@dataclass(slots=True)
class Inspected:
    """What the child reported about the bytes, or why it could not."""

    size_bytes: int = 0
    digest: str = ""
    """Of the whole file; empty when it was not read to its end."""
    findings: list[Finding] = field(default_factory=list[Finding])
    memory: MemoryReport | None = None
    model: ModelSummary | None = None
    template: dict[str, str] | None = None
    tokenizer: dict[str, str] = field(default_factory=dict[str, str])
    tensor_groups: tuple[TensorGroup, ...] = ()
    gpu_fit: tuple[GpuFit, ...] = ()
    numbers_were_scanned: bool = False
    is_header_only: bool = False
    is_rendered: bool = False
    """Whether the template was rendered, not only read."""
    is_broken: bool = False
    unfinished: str = ""
    """Why the reading was not finished, where that says nothing about the file."""
    unrendered: str = ""
    """The same of rendering the template."""
    kind: ArtifactKind = ArtifactKind.GGUF_MODEL
    files: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Of a folder, with their digests."""

    @property
    def is_other_kind(self) -> bool:
        """An adapter or safetensors: it has no memory and template of its own to judge, and no engine here."""
        return self.kind not in (ArtifactKind.GGUF_MODEL, ArtifactKind.UNKNOWN)

    @property
    def is_split(self) -> bool:
        """Several files that make one model."""
        return self.kind is ArtifactKind.GGUF_MODEL and len(self.files) > 1

    def has_errors(self, *categories: Category) -> bool:
        """Errors of these categories, or of any."""
        return any(
            found.severity is Severity.ERROR and (not categories or found.category in categories)
            for found in self.findings
        )

    @property
    def is_sound(self) -> bool:
        """May be given to an engine: nothing about the bytes is wrong, and all of them were looked at."""
        harmful = (Category.INTEGRITY, Category.FORMAT, Category.NUMBERS, Category.TEMPLATE)
        is_whole = bool(self.digest) and self.numbers_were_scanned and self.template is not None
        is_model = self.kind is ArtifactKind.GGUF_MODEL and self.model is not None
        return is_whole and is_model and not self.is_broken and not self.has_errors(*harmful)


@dataclass(frozen=True, slots=True)
class InspectionJob:
    """How the bytes are looked at."""

    name: str = ""
    """Of the file: what is no GGUF file is known by its name too."""
    context_tokens: int | None = None
    """None: what the model was trained for, up to a usual context."""
    parallel: int = 1
    is_on_gpu: bool = False
    is_header_only: bool = False
    parts: dict[str, int] = field(default_factory=dict[str, int])
    """Open descriptors by name when the file is the first of several; see `open_whole`."""


def read_outcome(outcome: ChildOutcome) -> Inspected:
    """Read a result as if the child could have been taken over: every field is checked."""
    problem = outcome.problem
    if outcome.is_unfinished:
        return Inspected(is_broken=True, unfinished=problem)
    if outcome.result is not None:
        try:
            return _read_fields(outcome.result)
        except (ValidationError, KeyError, TypeError, ValueError) as error:
            problem = f"its result cannot be read ({type(error).__name__})"
    found = finding("F-CHILD", f"The inspection gave no result: {problem}.")
    return Inspected(findings=[found], is_broken=True)


def _read_fields(result: dict[str, Any]) -> Inspected:
    rows = [ReportedFinding.model_validate(row) for row in result["findings"]]
    if len([row for row in rows if row.severity is Severity.ERROR]) != result["errors"]:
        raise ValueError("the number of errors does not agree")
    template: dict[str, str] | None = None
    if result["template"] is not None:
        template = {name: str(result["template"][name]) for name in TEMPLATE_FACTS}
    return Inspected(
        digest=str(result["digest"]),
        findings=[Finding(**dict(row)) for row in rows],
        memory=None if result["memory"] is None else MemoryReport.model_validate(result["memory"]),
        model=None if result["model"] is None else ModelSummary.model_validate(result["model"]),
        template=template,
        tokenizer={str(name): str(value) for name, value in dict(result["tokenizer"]).items()},
        tensor_groups=tuple(TensorGroup.model_validate(group) for group in result["tensor_groups"]),
        gpu_fit=tuple(GpuFit.model_validate(row) for row in result["gpu_fit"]),
        numbers_were_scanned=result["numbers_were_scanned"] is True,
        is_header_only=result["is_header_only"] is True,
        kind=ArtifactKind(result["kind"]),
        files=[_file(row) for row in result["files"]],
    )


def _file(row: dict[str, Any]) -> dict[str, Any]:
    return {"path": str(row["path"]), "digest": str(row["digest"]), "size_bytes": int(row["size_bytes"])}
