"""Validation of files outside any release: structure here, inference where GPUs are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.domain import Evidence, ServiceRef, TidegateError, Verdict
from tidegate.steps.artifacts import check_structure, file_subject
from tidegate.steps.gate_report import MARKS
from tidegate.steps.pipeline import refuse_own_files
from tidegate.steps.ports import Ports
from tidegate.steps.reporting import markdown_table
from tidegate.validation import ENGINE_RESULTS, EnginePart, not_judged, with_engine_part


@dataclass(frozen=True)
class FileResult:
    """What is known about one file. Without rows of a gate nothing passed."""

    path: str
    digest: str
    recommendation: str
    evidence: tuple[Evidence, ...]

    @property
    def may_be_deployed(self) -> bool:
        return bool(self.evidence) and all(row.verdict is Verdict.PASS for row in self.evidence)

    @property
    def refusing(self) -> tuple[str, ...]:
        """Ids of the checks that keep it from being deployed."""
        return tuple(row.check for row in self.evidence if row.verdict is not Verdict.PASS)

    @property
    def reason(self) -> str:
        """The first of what is wrong; empty when nothing is."""
        wrong = [row.summary for row in self.evidence if row.verdict is Verdict.FAIL]
        wrong += [row.summary for row in self.evidence if row.verdict not in (Verdict.PASS, Verdict.FAIL)]
        if wrong:
            return wrong[0] + (f" ({len(wrong) - 1} more)" if len(wrong) > 1 else "")
        return "" if self.evidence else self.recommendation


def check_file(ports: Ports, ref: ServiceRef, path: str) -> FileResult:
    """Check one file by the service's policy. A file that cannot even be read is a result, not an error."""
    ports.service(ref)
    refuse_own_files(ports, Path(path))
    try:
        stored = ports.store.add(Path(path))
    except TidegateError as error:
        if error.is_retryable:
            raise
        return FileResult(path, "", f"do_not_deploy: {error}", ())
    return check_stored(ports, ref, path, stored.digest)


def check_stored(ports: Ports, ref: ServiceRef, name: str, digest: str) -> FileResult:
    """The same of what is in the store already. `name` is what people call it."""
    structure = check_structure(ports, ref, digest)
    if not structure.passed:
        part = EnginePart(
            results=tuple(not_judged(*ENGINE_RESULTS, why="the file was refused before it was loaded"))
        )
    else:
        assert ports.gpu is not None, "wiring.load() always sets the GPU runner"
        # With the policy: under another one the same file may be refused.
        attempt = f"validate-{ports.service(ref).policy.digest[:12]}"
        job = ports.gpu.start("inference", file_subject(ref, digest), attempt)
        part = EnginePart.model_validate(job.wait().get("part", {}))
    report = with_engine_part(structure, part)
    return FileResult(name, digest, report.recommendation, tuple(report.evidence))


def files_markdown(results: Sequence[FileResult]) -> str:
    """One section per file, worst news first within it."""
    parts = ["# Validation", ""]
    for result in results:
        verdict = "may be deployed" if result.may_be_deployed else "must not be deployed"
        parts += [
            f"## {Path(result.path).name} {verdict}",
            "",
            f"`{result.digest or result.recommendation}`",
            "",
        ]
        rows = sorted(result.evidence, key=lambda row: row.verdict is Verdict.PASS)
        table = [
            {
                "check": row.check,
                "verdict": MARKS[row.verdict],
                "what was found": row.summary,
                "what to do": row.remedy,
            }
            for row in rows
        ]
        parts += [markdown_table(["check", "verdict", "what was found", "what to do"], table), ""]
    return "\n".join(parts)
