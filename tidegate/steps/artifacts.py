"""Checks of an artifact by digest, for a release or for `validate`: structure here, inference where GPUs are."""

from tidegate.domain import Evidence, Gate, InvalidInput, ServiceRef, Transient, Verdict
from tidegate.quality import Bank, read_bank
from tidegate.steps.ports import Ports
from tidegate.validation import STRUCTURE_CHECKS, ValidationReport, check_inference, validate_artifact

PROMPTS_FOR_INFERENCE = 3


def file_subject(ref: ServiceRef, digest: str) -> str:
    """How a file is named in GPU work: `org/service@digest`."""
    return f"{ref}@{digest}"


def parse_file_subject(subject: str) -> tuple[ServiceRef, str]:
    """Raises: InvalidInput."""
    service, at, digest = subject.partition("@")
    if not at:
        raise InvalidInput(
            f"'{subject}' names no file.", remedy="Write ORGANIZATION/SERVICE@DIGEST.", field="subject"
        )
    return ServiceRef.parse(service), digest


def artifact_path(ports: Ports, digest: str) -> str:
    """Where the store keeps the file. Raises: Transient while it is not there."""
    path = ports.store.path_of(digest)
    if path is None:
        raise Transient(
            f"The artifact {digest[:12]} is not in this host's store.",
            remedy="Register it again with: tidegate models register.",
        )
    return path


def check_structure(ports: Ports, ref: ServiceRef, digest: str) -> ValidationReport:
    """Everything that can be said without loading the file. The outcome is kept: inference asks for it."""
    service = ports.service(ref)
    report = validate_artifact(
        artifact_path(ports, digest),
        service.policy,
        expected_digest=digest,
        context_tokens=service.context_tokens,
        parallel=service.parallel,
    )
    passed = {row.check for row in report.evidence if row.verdict is Verdict.PASS}
    outcome = {"passed": passed >= STRUCTURE_CHECKS}
    ports.ledger.record_result("structure", _structure_key(ports, ref, digest), outcome)
    return report


def check_file_inference(ports: Ports, ref: ServiceRef, digest: str) -> list[Evidence]:
    """Load the file in a limited child and ask it. A file that did not pass the structural gate is not loaded."""
    structure = ports.ledger.result("structure", _structure_key(ports, ref, digest))
    if structure is None or not structure["passed"]:
        return [
            Evidence(
                gate=Gate.INFERENCE,
                check="inference.load",
                verdict=Verdict.NOT_JUDGED,
                summary="the file did not pass the structural gate, so it was not loaded",
                remedy="Mend what the structural gate names.",
            )
        ]
    service = ports.service(ref)
    bank = service_bank(ports, ref)
    return check_inference(
        artifact_path(ports, digest),
        digest,
        prompts=[question.prompt for question in bank.questions[:PROMPTS_FOR_INFERENCE]],
        context_tokens=service.context_tokens,
        max_memory_bytes=service.max_memory_bytes,
    )


def service_bank(ports: Ports, ref: ServiceRef) -> Bank:
    """The question bank that the service's policy names. Raises: NotFound, InvalidInput."""
    return read_bank(ports.settings.banks_dir / f"{ports.service(ref).policy.quality.bank}.jsonl")


def _structure_key(ports: Ports, ref: ServiceRef, digest: str) -> str:
    """With the service: what one organization had checked says nothing to another."""
    return f"{ref}|{ports.service(ref).policy.digest}|{digest}"
