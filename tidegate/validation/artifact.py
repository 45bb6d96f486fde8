"""Judges the bytes of one artifact: digest, structure, size, memory, numbers, chat template.

The bytes are read by a confined child; this process only judges what the child reports. It starts no
engine. A child that dies, hangs or babbles is a failed check, never a passed one.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tidegate.domain import InvalidInput, Policy
from tidegate.domain.plain import amount, plural
from tidegate.domain.plain import size as sized
from tidegate.gguf import Category, Finding, Severity, finding
from tidegate.safetensors import list_folder
from tidegate.validation.confinement import ChildLimits, run_confined
from tidegate.validation.inspected import Inspected, InspectionJob, read_outcome
from tidegate.validation.levels import at_level
from tidegate.validation.opened import opened
from tidegate.validation.report import (
    CATEGORY_OF,
    ReportedFinding,
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

AGAIN = "Validate it again on a machine that has time and memory for it; this says nothing about the file."
FIXED_WALL_S = 300.0
FIXED_CPU_S = 30
OPEN_FILES = 64
SLOWEST_BYTES_PER_S = 20 * 1024**2
SLOWEST_BYTES_PER_CPU_S = 100 * 1024**2

ByteProgress = Callable[[int, int], None]
Judged = tuple[ValidationStatus, str]


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
        raise InvalidInput(
            "context_tokens and parallel must be at least 1.",
            remedy="Give both as whole numbers of 1 or more.",
            field="context_tokens",
        )
    started = time.monotonic()
    with opened(path) as artifact:
        job = InspectionJob(artifact.name, context_tokens, parallel, is_on_gpu, parts=artifact.parts)
        seen = inspect_open(artifact.descriptor, job, progress)
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
        gpu_fit=seen.gpu_fit,
        tensor_groups=seen.tensor_groups,
        policy_digest=policy.digest,
        wall_seconds=time.monotonic() - started,
    )


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
        child_limits(size, len(job.parts)),
        inherit=(descriptor, *job.parts.values()),
        on_progress=progress,
    )
    seen = read_outcome(outcome)
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
    probe = probe_template(seen.template)
    seen.findings += probe.findings
    seen.is_rendered, seen.unrendered = not probe.problem, probe.problem


def child_limits(size: int, files: int = 1) -> ChildLimits:
    """What the process that reads an artifact of this size may use."""
    return ChildLimits(
        wall_s=FIXED_WALL_S + size / SLOWEST_BYTES_PER_S,
        cpu_s=FIXED_CPU_S + size // SLOWEST_BYTES_PER_CPU_S,
        open_files=OPEN_FILES + 2 * files,
    )


def structure_results(seen: Inspected, policy: Policy, expected_digest: str | None) -> list[ValidationResult]:
    """One result for each of `STRUCTURE_CHECKS`. What was not looked at is not judged."""
    findings = [*seen.findings, *_policy_findings(seen, policy, expected_digest)]
    judged = {
        Category.INTEGRITY: _integrity(seen, expected_digest),
        Category.FORMAT: _format(seen),
        Category.SIZE: (ValidationStatus.PASSED, f"{sized(seen.size_bytes)}."),
        Category.MEMORY: _memory(seen),
        Category.NUMBERS: _numbers(seen),
        Category.TEMPLATE: _template(seen),
    }
    if seen.unfinished:
        unread = ValidationStatus.NOT_JUDGED, "Not judged: the file was not read to its end."
        judged |= dict.fromkeys((Category.MEMORY, Category.NUMBERS, Category.TEMPLATE), unread)
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
        yield finding(
            "Z-SMALL", f"The file has {sized(size)}; the policy wants {sized(limits.min_bytes)} or more."
        )
    if size > limits.max_bytes:
        yield finding("Z-LARGE", f"The file has {sized(size)}; the policy allows {sized(limits.max_bytes)}.")
    if expected_digest is not None and seen.digest and seen.digest != expected_digest:
        yield finding("I-DIGEST", f"SHA-256 is {seen.digest}, expected {expected_digest}.")
    if seen.memory is not None and seen.memory.total_bytes > limits.max_memory_bytes:
        text = (
            f"The estimate is {sized(seen.memory.total_bytes)}; "
            f"the policy allows {sized(limits.max_memory_bytes)}."
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
    if seen.unfinished:
        return ValidationStatus.ERROR, f"The file was not read to its end: {seen.unfinished}."
    if model is None:
        return ValidationStatus.FAILED, "The header could not be read to its end."
    return (
        ValidationStatus.PASSED,
        f"{model.tensors} tensors, {amount(model.parameters)} parameters, architecture {model.architecture}.",
    )


def _memory(seen: Inspected) -> Judged:
    memory = seen.memory
    if memory is None and seen.is_other_kind:
        return ValidationStatus.NOT_JUDGED, "Memory is estimated for GGUF models only."
    if memory is None:
        return ValidationStatus.NOT_JUDGED, "Not estimated: the structure is not sound."
    return ValidationStatus.PASSED, (
        f"{sized(memory.total_bytes)} for {plural(memory.parallel, 'sequence')} of {memory.context_tokens} tokens, "
        f"{sized(memory.kv_cache_bytes)} of it for the key-value cache."
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
    if seen.unrendered:
        return ValidationStatus.ERROR, f"Rendering the template was not finished: {seen.unrendered}."
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
        remedy=errors[0].remedy if errors else AGAIN if status is ValidationStatus.ERROR else "",
        findings=own,
    )
