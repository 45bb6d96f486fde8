"""Any two versions of a model beside each other: what differs in the files, in the answers, in the speed."""

from dataclasses import dataclass
from typing import Any

from tidegate.domain import InvalidInput, ModelVersion, NotFound, ServiceRef
from tidegate.steps.artifacts import artifact_path, service_bank
from tidegate.steps.ports import Ports
from tidegate.validation import PreDeploymentValidator, ValidationReport

ALIASES = ("champion", "candidate", "previous")
BETWEEN = ".."


@dataclass(frozen=True)
class VersionComparison:
    """The candidate's validation with the base as its baseline."""

    base: ModelVersion
    candidate: ModelVersion
    report: ValidationReport


def named_version(ports: Ports, ref: ServiceRef, name: str) -> ModelVersion:
    """A version by MODEL:VERSION, or by an alias of the service.

    Raises: NotFound, InvalidInput.
    """
    if name in ALIASES:
        held = ports.ledger.get_alias(ref, name)
        if held is None:
            raise NotFound(f"{ref} has no {name} yet.", remedy="See: tidegate models list.", field="version")
        return held
    model, colon, version = name.partition(":")
    if not colon or not model or not version:
        raise InvalidInput(
            f"'{name}' names no version.",
            remedy=f"Write MODEL:VERSION, or one of: {', '.join(ALIASES)}.",
            field="version",
        )
    return ports.ledger.get_version(ref.org, model, version)


def compare_versions(
    ports: Ports, ref: ServiceRef, base: str, candidate: str, attempt: str
) -> VersionComparison:
    """Validate the candidate against the base by the service's policy and question bank, where GPUs are.

    `attempt` names the run: the same one again finds the work of its first try.

    Raises: NotFound, InvalidInput; Transient when a file is not in the store or the work was lost.
    """
    ports.service(ref)
    old, new = named_version(ports, ref, base), named_version(ports, ref, candidate)
    assert ports.gpu is not None, "wiring.load() always sets the GPU runner"
    subject = f"{ref}@{old.digest}{BETWEEN}{new.digest}"
    found = ports.gpu.start("compare", subject, attempt).wait()
    return VersionComparison(old, new, ValidationReport.model_validate(found["report"]))


def compare_files(ports: Ports, subject: str) -> dict[str, Any]:
    """The work itself, on the host that has the accelerator. Raises: InvalidInput, NotFound, Transient."""
    service, _, digests = subject.partition("@")
    old, between, new = digests.partition(BETWEEN)
    if not between:
        raise InvalidInput(
            f"'{subject}' names no two files.",
            remedy="Write ORGANIZATION/SERVICE@DIGEST..DIGEST.",
            field="subject",
        )
    ref = ServiceRef.parse(service)
    config = ports.service(ref)
    before, after = (ports.ledger.version_by_digest(ref.org, digest) for digest in (old, new))
    if before is None or after is None:
        # A digest alone would let one organization read what another one registered.
        raise NotFound(
            f"{ref.org} has no such version.", remedy="See: tidegate models list.", field="subject"
        )
    validator = PreDeploymentValidator(
        artifact_path(ports, new),
        model_name=after.name,
        version=after.version,
        baseline_path=artifact_path(ports, old),
        baseline_version=before.label,
        policy=config.policy,
        expected_digest=new,
        context_tokens=config.context_tokens,
        parallel=config.parallel,
        bank=service_bank(ports, ref),
        max_memory_bytes=config.max_memory_bytes,
        must_serve=True,
        clock=ports.clock,
    )
    return {"report": validator.validate_all().model_dump(mode="json")}


def comparison_markdown(found: VersionComparison) -> str:
    """The candidate's report under a title that says what it is beside."""
    from tidegate.validation.markdown import to_markdown

    verdict = "may replace" if found.report.passed else "must not replace"
    title = f"# {found.candidate.label} {verdict} {found.base.label}"
    same = "\nBoth names stand for the same file.\n" if found.base.digest == found.candidate.digest else ""
    return f"{title}\n{same}\n{to_markdown(found.report)}"
