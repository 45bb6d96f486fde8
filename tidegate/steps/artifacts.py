"""Checks of an artifact by digest, for a release or for `validate`: structure here, inference where GPUs are."""

from tidegate.domain import InvalidInput, Policy, ServiceRef, Transient, Verdict
from tidegate.quality import Bank, find_bank, read_bank
from tidegate.steps.ports import Ports
from tidegate.validation import (
    ENGINE_RESULTS,
    STRUCTURE_CHECKS,
    EnginePart,
    PreDeploymentValidator,
    ValidationReport,
    not_judged,
)
from tidegate.validation.queries import by_topic_in_turn

PROMPTS_FOR_INFERENCE = 6


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
    report = _validator(ports, ref, digest).validate_structure()
    passed = {row.check for row in report.evidence if row.verdict is Verdict.PASS}
    outcome = {"passed": passed >= STRUCTURE_CHECKS}
    ports.ledger.record_result("structure", _structure_key(ports, ref, digest), outcome)
    return report


def check_file_inference(ports: Ports, ref: ServiceRef, digest: str) -> EnginePart:
    """Load the file once in a limited child, ask it and measure it. What did not pass the structural gate is not
    loaded."""
    structure = ports.ledger.result("structure", _structure_key(ports, ref, digest))
    if structure is None or not structure["passed"]:
        why = "the file did not pass the structural gate, so it was not loaded"
        return EnginePart(results=tuple(not_judged(*ENGINE_RESULTS, why=why)))
    return _validator(ports, ref, digest).validate_engine()


def _validator(ports: Ports, ref: ServiceRef, digest: str) -> PreDeploymentValidator:
    """As the service's policy wants it, with short questions from its own bank."""
    service = ports.service(ref)
    questions = by_topic_in_turn(service_bank(ports, ref).questions)
    return PreDeploymentValidator(
        artifact_path(ports, digest),
        policy=service.policy,
        expected_digest=digest,
        context_tokens=service.context_tokens,
        parallel=service.parallel,
        prompts=[question.prompt for question in questions[:PROMPTS_FOR_INFERENCE]],
        max_memory_bytes=service.max_memory_bytes,
        must_serve=True,
        clock=ports.clock,
    )


def service_bank(ports: Ports, ref: ServiceRef) -> Bank:
    """The question bank that the service's policy names. Raises: NotFound, InvalidInput."""
    return policy_bank(ports, ports.service(ref).policy)


def policy_bank(ports: Ports, policy: Policy) -> Bank:
    """The question bank that this policy names; for a release the one it was planned with. Raises: NotFound,
    InvalidInput."""
    return read_bank(find_bank(ports.settings.banks_dir, policy.quality.bank))


def prompts_of(bank: Bank) -> tuple[str, ...]:
    """What a load sends from a bank: each question's last turn."""
    return tuple(question.prompt for question in bank.questions)


def tags_of(bank: Bank) -> dict[str, tuple[str, ...]]:
    """Topic and tags of each prompt, as slices of a load."""
    found: dict[str, dict[str, None]] = {}
    for question in bank.questions:
        found.setdefault(question.prompt, {}).update(dict.fromkeys((question.topic, *question.tags)))
    return {prompt: tuple(tags) for prompt, tags in found.items()}


def _structure_key(ports: Ports, ref: ServiceRef, digest: str) -> str:
    """With the service: what one organization had checked says nothing to another."""
    return f"{ref}|{ports.service(ref).policy.digest}|{digest}"
