"""Validates one artifact: digest, structure, size, memory, numbers, chat template.

The bytes are read by a confined child; this process only judges what the child reports. It starts no
engine. A child that dies, hangs or babbles is a failed check, never a passed one.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tidegate.domain import Evidence, Gate, InvalidInput, NotFound, Policy, Verdict
from tidegate.gguf import TEMPLATE_FACTS, Category, Finding, Severity, finding
from tidegate.validation.confinement import ChildLimits, ChildOutcome, run_confined
from tidegate.validation.report import (
    CategoryResult,
    MemoryReport,
    ModelSummary,
    Recommendation,
    ReportedFinding,
    ValidationReport,
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
FINDINGS_IN_EVIDENCE = 10

Progress = Callable[[int, int], None]
Judged = tuple[Verdict, str]


def validate_artifact(
    path: str | Path,
    policy: Policy,
    *,
    expected_digest: str | None,
    context_tokens: int,
    parallel: int,
    is_on_gpu: bool = False,
    progress: Progress | None = None,
) -> ValidationReport:
    """Judge the file at `path`. Trouble with its content is in the report, whatever that content is.

    Args:
        path: A regular file; symbolic links are followed.
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
    descriptor = _open(Path(path))
    try:
        size, is_regular = _size(descriptor)
        limits = _limits(size)
        request = {"context_tokens": context_tokens, "parallel": parallel, "is_on_gpu": is_on_gpu}
        if is_regular:
            outcome = run_confined(
                "tidegate.validation.child", request, limits, stdin=descriptor, on_progress=progress
            )
            seen = _Seen.of(outcome)
        else:
            seen = _Seen.of_finding(finding("F-KIND", "This is not a regular file."))
    finally:
        os.close(descriptor)
    if seen.template is not None and not _errors(seen.findings, Category.TEMPLATE):
        seen.findings += probe_template(seen.template)
    return _report(str(path), size, seen, policy, expected_digest, context_tokens, time.monotonic() - started)


def _open(path: Path) -> int:
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


def _size(descriptor: int) -> tuple[int, bool]:
    status = os.fstat(descriptor)
    return (status.st_size, True) if stat.S_ISREG(status.st_mode) else (0, False)


def _limits(size: int) -> ChildLimits:
    return ChildLimits(
        wall_s=FIXED_WALL_S + size / SLOWEST_BYTES_PER_S,
        cpu_s=FIXED_CPU_S + size // SLOWEST_BYTES_PER_CPU_S,
    )


class _Seen:
    """What the child reported, or why it could not."""

    def __init__(self) -> None:
        self.digest = ""
        self.findings: list[Finding] = []
        self.memory: MemoryReport | None = None
        self.model: ModelSummary | None = None
        self.template: dict[str, str] | None = None
        self.numbers_were_scanned = False
        self.is_broken = False

    @classmethod
    def of_finding(cls, found: Finding) -> "_Seen":
        seen = cls()
        seen.findings = [found]
        return seen

    @classmethod
    def of(cls, outcome: ChildOutcome) -> "_Seen":
        """Read a result as if the child could have been taken over: every field is checked."""
        problem = outcome.problem
        if outcome.result is not None:
            try:
                return cls._read(outcome.result)
            except (ValidationError, KeyError, TypeError, ValueError) as error:
                problem = f"its result cannot be read ({type(error).__name__})"
        seen = cls.of_finding(finding("F-CHILD", f"The inspection gave no result: {problem}."))
        seen.is_broken = True
        return seen

    @classmethod
    def _read(cls, result: dict[str, Any]) -> "_Seen":
        seen = cls()
        seen.digest = str(result["digest"])
        rows = [ReportedFinding.model_validate(row) for row in result["findings"]]
        seen.findings = [Finding(**dict(row)) for row in rows]
        if len([row for row in rows if row.severity is Severity.ERROR]) != result["errors"]:
            raise ValueError("the number of errors does not agree")
        seen.memory = None if result["memory"] is None else MemoryReport.model_validate(result["memory"])
        seen.model = None if result["model"] is None else ModelSummary.model_validate(result["model"])
        if result["template"] is not None:
            seen.template = {name: str(result["template"][name]) for name in TEMPLATE_FACTS}
        seen.numbers_were_scanned = result["numbers_were_scanned"] is True
        return seen


def _report(
    path: str,
    size: int,
    seen: _Seen,
    policy: Policy,
    expected_digest: str | None,
    context_tokens: int,
    wall_seconds: float,
) -> ValidationReport:
    seen.findings += _policy_findings(size, seen, policy, expected_digest, context_tokens)
    judged = {
        Category.INTEGRITY: _integrity(seen, expected_digest),
        Category.FORMAT: _format(seen),
        Category.SIZE: (Verdict.PASS, f"{size} bytes."),
        Category.MEMORY: _memory(seen),
        Category.NUMBERS: _numbers(seen),
        Category.TEMPLATE: _template(seen),
    }
    categories = tuple(_category(category, *judged[category], seen.findings) for category in CHECK_OF)
    return ValidationReport(
        path=path,
        digest=seen.digest,
        expected_digest=expected_digest,
        size_bytes=size,
        recommendation=recommend(categories),
        categories=categories,
        evidence=[_evidence(category, seen.digest) for category in categories],
        memory=seen.memory,
        model=seen.model,
        policy_digest=policy.digest,
        wall_seconds=wall_seconds,
    )


def _policy_findings(
    size: int, seen: _Seen, policy: Policy, expected_digest: str | None, context_tokens: int
) -> Iterator[Finding]:
    limits = policy.artifact
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
    if trained is not None and seen.memory is not None and context_tokens > trained:
        yield finding("M-CONTEXT", f"The service asks for {context_tokens} tokens; trained were {trained}.")


def _integrity(seen: _Seen, expected_digest: str | None) -> Judged:
    if seen.is_broken or not seen.digest:
        return Verdict.ERROR, "The digest could not be computed."
    if expected_digest is None:
        return Verdict.NOT_JUDGED, f"No digest was expected; SHA-256 is {seen.digest}."
    return Verdict.PASS, f"SHA-256 is {seen.digest}, as registered."


def _format(seen: _Seen) -> Judged:
    model = seen.model
    if model is None:
        return Verdict.FAIL, "The header could not be read to its end."
    return (
        Verdict.PASS,
        f"{model.tensors} tensors, {model.parameters} parameters, architecture {model.architecture}.",
    )


def _memory(seen: _Seen) -> Judged:
    memory = seen.memory
    if memory is None:
        return Verdict.NOT_JUDGED, "Not estimated: the structure is not sound."
    return Verdict.PASS, (
        f"{memory.total_bytes} bytes for {memory.parallel} sequences of {memory.context_tokens} tokens, "
        f"{memory.kv_cache_bytes} of them for the key-value cache."
    )


def _numbers(seen: _Seen) -> Judged:
    if not seen.numbers_were_scanned:
        return Verdict.NOT_JUDGED, "Not scanned: the layout is not sound."
    return Verdict.PASS, "Every number is finite."


def _template(seen: _Seen) -> Judged:
    if seen.template is None:
        return Verdict.NOT_JUDGED, "Not rendered: there is no sound template."
    return Verdict.PASS, "The template writes every message and nothing of its own that matters."


def _category(category: Category, verdict: Verdict, summary: str, findings: list[Finding]) -> CategoryResult:
    own = tuple(ReportedFinding(**asdict(found)) for found in findings if found.category is category)
    errors = [found for found in own if found.severity is Severity.ERROR]
    if errors:
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        verdict, summary = Verdict.FAIL, f"{errors[0].check}: {errors[0].message}{more}"
    elif own and verdict is Verdict.PASS:
        summary += f" Warnings: {len(own)}."
    return CategoryResult(
        category=category, check=CHECK_OF[category], verdict=verdict, summary=summary, findings=own
    )


def _evidence(result: CategoryResult, digest: str) -> Evidence:
    shown = result.findings[:FINDINGS_IN_EVIDENCE]
    return Evidence(
        gate=Gate.STRUCTURE,
        check=result.check,
        verdict=result.verdict,
        summary=result.summary,
        remedy=next((found.remedy for found in shown if found.severity is Severity.ERROR), ""),
        data={
            "digest": digest,
            "findings": [found.model_dump(mode="json", exclude={"explanation"}) for found in shown],
            "total_findings": len(result.findings),
        },
    )


def _errors(findings: list[Finding], category: Category) -> bool:
    return any(found.category is category and found.severity is Severity.ERROR for found in findings)


def recommend(categories: tuple[CategoryResult, ...]) -> Recommendation:
    """Any check that failed or could not be made refuses; warnings are told.

    Integrity alone may stay unjudged: nobody said what the file should be.
    """
    wanted = {category.verdict for category in categories if category.category is not Category.INTEGRITY}
    refusing = {Verdict.FAIL, Verdict.ERROR}
    if wanted != {Verdict.PASS} or any(category.verdict in refusing for category in categories):
        return Recommendation.DO_NOT_DEPLOY
    if any(category.findings for category in categories):
        return Recommendation.DEPLOY_WITH_WARNINGS
    return Recommendation.DEPLOY
