"""Judges the bytes of one artifact: digest, structure, size, memory, numbers, chat template.

The bytes are read by a confined child; this process only judges what the child reports. It starts no
engine. A child that dies, hangs or babbles is a failed check, never a passed one.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tidegate.domain import InvalidInput, NotFound, Policy
from tidegate.gguf import Category, Finding, Severity, finding, parse_name
from tidegate.safetensors import ArtifactKind, list_folder
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined
from tidegate.validation.levels import at_level
from tidegate.validation.report import (
    CATEGORY_OF,
    MemoryReport,
    ModelSummary,
    ReportedFinding,
    TensorGroup,
    ValidationReport,
    ValidationResult,
    ValidationStatus,
    recommend,
    summarize,
)
from tidegate.validation.template_probe import probe_template

CHECK_OF: dict[Category, str] = {
    Category.INTEGRITY: "file.digest",
    Category.FORMAT: "gguf.structure",
    Category.SIZE: "file.size",
    Category.MEMORY: "gguf.memory",
    Category.NUMBERS: "gguf.numbers",
    Category.TEMPLATE: "gguf.template",
}
STRUCTURE_CHECKS: frozenset[str] = frozenset(CHECK_OF.values())

FIXED_WALL_S = 60.0
FIXED_CPU_S = 30
SLOWEST_BYTES_PER_S = 20 * 1024**2
SLOWEST_BYTES_PER_CPU_S = 100 * 1024**2
MOST_PARTS = 256

ByteProgress = Callable[[int, int], None]
Judged = tuple[ValidationStatus, str]


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
    numbers_were_scanned: bool = False
    is_header_only: bool = False
    is_rendered: bool = False
    """Whether the template was rendered, not only read."""
    is_broken: bool = False
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
    """Open descriptors by name when the file is the first of several; see `open_parts`."""


def validate_artifact(
    path: str | Path,
    policy: Policy,
    *,
    expected_digest: str | None,
    context_tokens: int,
    parallel: int,
    is_on_gpu: bool = False,
    progress: ByteProgress | None = None,
) -> ValidationReport:
    """Judge the bytes of the file at `path`: what the structure gate of a release asks for, and no more.

    Args:
        path: A regular file, or the folder of an adapter or model; symbolic links to it are followed.
        policy: Limits on size and memory.
        expected_digest: SHA-256 that the file must have; None leaves integrity `not_judged`.
        context_tokens: Context of each sequence, for the memory estimate.
        parallel: Sequences at once, for the memory estimate.
        is_on_gpu: Count what a GPU needs beside the weights and the cache.
        progress: Called with bytes done and in all while the file is read.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file may not be read, or context or parallel is below 1.
    """
    if context_tokens < 1 or parallel < 1:
        raise InvalidInput("context_tokens and parallel must be at least 1.", field="context_tokens")
    started = time.monotonic()
    descriptor = open_artifact(path)
    parts = open_parts(path)
    try:
        job = InspectionJob(Path(path).name, context_tokens, parallel, is_on_gpu, parts=parts)
        seen = inspect_open(descriptor, job, progress)
    finally:
        for opened in (descriptor, *parts.values()):
            os.close(opened)
    render(seen)
    judged = structure_results(seen, policy, expected_digest)
    results = tuple(at_level(result, policy.validation) for result in judged)
    return ValidationReport(
        model_path=str(path),
        timestamp=datetime.now(UTC),
        digest=seen.digest,
        expected_digest=expected_digest,
        size_bytes=seen.size_bytes,
        recommendation=recommend(results),
        summary=summarize(results),
        results=results,
        memory=seen.memory,
        model=seen.model,
        tensor_groups=seen.tensor_groups,
        policy_digest=policy.digest,
        wall_seconds=time.monotonic() - started,
    )


def open_artifact(path: str | Path) -> int:
    """An open descriptor of the file.

    Raises: NotFound, InvalidInput.
    """
    try:
        # Without O_NONBLOCK opening a named pipe would wait for ever.
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", remedy="Check the path.", field="path") from error
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The file {str(path)!r} cannot be opened: {error}.",
            remedy="Name a readable model file.",
            field="path",
        ) from error


def open_parts(path: str | Path) -> dict[str, int]:
    """Open descriptors of all parts that are there, by name, when this is the first part of a split model.

    Nothing for any other file, and for a set that is larger than any known one.
    """
    name = parse_name(Path(path).name)
    if name is None or name.number != 1 or name.count > MOST_PARTS:
        return {}
    opened: dict[str, int] = {}
    for sibling in name.siblings:
        # A missing part is a finding of the inspection, not a reason to give up.
        with suppress(NotFound, InvalidInput):
            opened[sibling] = open_artifact(Path(path).parent / sibling)
    return opened


def inspect_open(descriptor: int, job: InspectionJob, progress: ByteProgress | None = None) -> Inspected:
    """Have a confined child read the file. Trouble with its content is among the findings, whatever it is."""
    size, is_readable = _size(descriptor)
    if len(job.parts) > 1:
        size = sum(_size(part)[0] for part in job.parts.values())
    if not is_readable:
        return Inspected(findings=[finding("F-KIND", "This is neither a regular file nor a folder.")])
    outcome = run_confined(
        "tidegate.validation.child",
        {**asdict(job), "descriptor": descriptor},
        child_limits(size),
        inherit=(descriptor, *job.parts.values()),
        on_progress=progress,
    )
    seen = _read(outcome)
    seen.size_bytes = size
    return seen


def _size(descriptor: int) -> tuple[int, bool]:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return sum(entry.size for entry in list_folder(descriptor).entries), True
    return (status.st_size, True) if stat.S_ISREG(status.st_mode) else (0, False)


def render(seen: Inspected) -> None:
    """Render the template in a confined child, unless it is known to be bad, and add what was found."""
    if seen.template is None or seen.has_errors(Category.TEMPLATE):
        return
    seen.findings += probe_template(seen.template)
    seen.is_rendered = True


def child_limits(size: int) -> ChildLimits:
    """What the process that reads an artifact of this size may use."""
    return ChildLimits(
        wall_s=FIXED_WALL_S + size / SLOWEST_BYTES_PER_S,
        cpu_s=FIXED_CPU_S + size // SLOWEST_BYTES_PER_CPU_S,
    )


def _read(outcome: ChildOutcome) -> Inspected:
    """Read a result as if the child could have been taken over: every field is checked."""
    problem = outcome.problem
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
        template = {name: str(result["template"][name]) for name in ("source", "bos_token", "eos_token")}
    return Inspected(
        digest=str(result["digest"]),
        findings=[Finding(**dict(row)) for row in rows],
        memory=None if result["memory"] is None else MemoryReport.model_validate(result["memory"]),
        model=None if result["model"] is None else ModelSummary.model_validate(result["model"]),
        template=template,
        tokenizer={str(name): str(value) for name, value in dict(result["tokenizer"]).items()},
        tensor_groups=tuple(TensorGroup.model_validate(group) for group in result["tensor_groups"]),
        numbers_were_scanned=result["numbers_were_scanned"] is True,
        is_header_only=result["is_header_only"] is True,
        kind=ArtifactKind(result["kind"]),
        files=[_file(row) for row in result["files"]],
    )


def _file(row: dict[str, Any]) -> dict[str, Any]:
    return {"path": str(row["path"]), "digest": str(row["digest"]), "size_bytes": int(row["size_bytes"])}


def structure_results(seen: Inspected, policy: Policy, expected_digest: str | None) -> list[ValidationResult]:
    """One result for each of `STRUCTURE_CHECKS`. What was not looked at is not judged."""
    findings = [*seen.findings, *_policy_findings(seen, policy, expected_digest)]
    judged = {
        Category.INTEGRITY: _integrity(seen, expected_digest),
        Category.FORMAT: _format(seen),
        Category.SIZE: (ValidationStatus.PASSED, f"{seen.size_bytes} bytes."),
        Category.MEMORY: _memory(seen),
        Category.NUMBERS: _numbers(seen),
        Category.TEMPLATE: _template(seen),
    }
    unasked = set[Category]()
    if expected_digest is None and not seen.is_header_only:
        unasked.add(Category.INTEGRITY)
    if seen.is_other_kind:
        unasked |= {Category.MEMORY, Category.TEMPLATE}
    results = [_result(category, *judged[category], findings) for category in CHECK_OF]
    about = {"artifact": seen.kind.value, "files": seen.files}
    return [
        result.model_copy(
            update={
                "is_needed": category not in unasked or result.status is not ValidationStatus.NOT_JUDGED,
                "details": about if category is Category.FORMAT else {},
            }
        )
        for category, result in zip(CHECK_OF, results, strict=True)
    ]


def _policy_findings(seen: Inspected, policy: Policy, expected_digest: str | None) -> Iterator[Finding]:
    limits, size = policy.artifact, seen.size_bytes
    if size < limits.min_bytes:
        yield finding("Z-SMALL", f"The file has {size} bytes; the policy wants {limits.min_bytes} or more.")
    if size > limits.max_bytes:
        yield finding("Z-LARGE", f"The file has {size} bytes; the policy allows {limits.max_bytes}.")
    if expected_digest is not None and seen.digest and seen.digest != expected_digest:
        yield finding("I-DIGEST", f"SHA-256 is {seen.digest}, expected {expected_digest}.")
    if seen.memory is not None and seen.memory.total_bytes > limits.max_memory_bytes:
        text = (
            f"The estimate is {seen.memory.total_bytes} bytes; the policy allows {limits.max_memory_bytes}."
        )
        yield finding("M-LIMIT", text)
    trained = seen.model.trained_context if seen.model else None
    wanted = seen.memory.context_tokens if seen.memory else None
    if trained is not None and wanted is not None and wanted > trained:
        yield finding("M-CONTEXT", f"The service asks for {wanted} tokens; trained were {trained}.")


def _integrity(seen: Inspected, expected_digest: str | None) -> Judged:
    if seen.is_header_only:
        return ValidationStatus.NOT_JUDGED, "Not judged: only the header was read."
    if seen.is_broken or not seen.digest:
        return ValidationStatus.ERROR, "The digest could not be computed."
    if expected_digest is None:
        return ValidationStatus.NOT_JUDGED, f"No digest was expected; SHA-256 is {seen.digest}."
    return ValidationStatus.PASSED, f"SHA-256 is {seen.digest}, as registered."


def _format(seen: Inspected) -> Judged:
    model = seen.model
    if model is None:
        return ValidationStatus.FAILED, "The header could not be read to its end."
    return (
        ValidationStatus.PASSED,
        f"{model.tensors} tensors, {model.parameters} parameters, architecture {model.architecture}.",
    )


def _memory(seen: Inspected) -> Judged:
    memory = seen.memory
    if memory is None and seen.is_other_kind:
        return ValidationStatus.NOT_JUDGED, "Memory is estimated for GGUF models only."
    if memory is None:
        return ValidationStatus.NOT_JUDGED, "Not estimated: the structure is not sound."
    return ValidationStatus.PASSED, (
        f"{memory.total_bytes} bytes for {memory.parallel} sequences of {memory.context_tokens} tokens, "
        f"{memory.kv_cache_bytes} of them for the key-value cache."
    )


def _numbers(seen: Inspected) -> Judged:
    if seen.is_header_only:
        return ValidationStatus.NOT_JUDGED, "Not judged: only the header was read."
    if not seen.numbers_were_scanned:
        return ValidationStatus.NOT_JUDGED, "Not scanned: the layout is not sound."
    return ValidationStatus.PASSED, "Every number is finite."


def _template(seen: Inspected) -> Judged:
    if seen.is_other_kind:
        return ValidationStatus.NOT_JUDGED, "Templates are rendered for GGUF models only."
    if seen.template is None:
        return ValidationStatus.NOT_JUDGED, "Not rendered: there is no sound template."
    if not seen.is_rendered:
        return (
            ValidationStatus.NOT_JUDGED,
            "Read and nothing found, but not rendered: only that shows what it leaves out.",
        )
    return ValidationStatus.PASSED, "The template writes every message and nothing of its own that matters."


def _result(
    category: Category, status: ValidationStatus, message: str, findings: list[Finding]
) -> ValidationResult:
    own = tuple(ReportedFinding(**asdict(found)) for found in findings if found.category is category)
    errors = [found for found in own if found.severity is Severity.ERROR]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        status, message = ValidationStatus.FAILED, f"{errors[0].check}: {errors[0].message}{more}"
    elif own and status is ValidationStatus.PASSED:
        status, message = ValidationStatus.WARNING, f"{message} Warnings: {len(own)}."
    return ValidationResult(
        category=CATEGORY_OF[category],
        check_name=CHECK_OF[category],
        status=status,
        message=message,
        remedy=errors[0].remedy if errors else "",
        findings=own,
    )
