"""How far a candidate's next tokens are from its baseline's, for the files of a store: measured once per pair."""

from tidegate.domain import Evidence, InvalidInput, MeasurementKind, NotFound, Policy, ServiceRef
from tidegate.drift import (
    DriftOptions,
    DriftReport,
    TextSet,
    general_texts,
    judge_drift,
    measure_drift,
    read_texts,
    texts_of_bank,
)
from tidegate.drift.filing import measurement_id, measurement_of, report_of
from tidegate.drift.report import SetName
from tidegate.drift.running import Progress
from tidegate.steps.artifacts import artifact_path, policy_bank
from tidegate.steps.ports import Ports

UNCHANGED_SUFFIX = "-must-not-change.jsonl"


def drift_of(
    ports: Ports,
    ref: ServiceRef,
    candidate_digest: str,
    baseline_digest: str,
    *,
    policy: Policy | None = None,
    options: DriftOptions | None = None,
    progress: Progress | None = None,
) -> DriftReport:
    """Compare two stored files along the texts of a policy, else the service's. A pair that was compared before is not compared again:
    files of one digest do not change.

    Raises: Transient when a file is not in this host's store, Refused when structure refuses one, NotFound and
    InvalidInput for texts that cannot be read.
    """
    chosen = options or DriftOptions(context_tokens=ports.service(ref).context_tokens)
    sets = texts_of(ports, policy or ports.service(ref).policy)
    identity = measurement_id(
        baseline_digest,
        candidate_digest,
        {name: texts.digest for name, texts in sets.items()},
        chosen.deciding(),
    )
    identity = f"{identity}-{ref.org}"
    kept = _kept(ports, identity)
    if kept is not None:
        return kept
    report = measure_drift(
        artifact_path(ports, baseline_digest),
        artifact_path(ports, candidate_digest),
        sets,
        chosen,
        expected=(baseline_digest, candidate_digest),
        progress=progress,
        clock=ports.clock,
    )
    if not report.problem:
        # With the organization: what one had compared says nothing to another.
        ports.ledger.record_measurement(measurement_of(identity, report, ref))
    return report


def drift_evidence(
    ports: Ports,
    ref: ServiceRef,
    candidate_digest: str,
    baseline_digest: str,
    *,
    options: DriftOptions | None = None,
) -> list[Evidence]:
    """Rows for what the service's policy has limits for. Raises: as `drift_of`."""
    report = drift_of(ports, ref, candidate_digest, baseline_digest, options=options)
    return judge_drift(report, ports.service(ref).policy.drift)


def texts_of(ports: Ports, policy: Policy) -> dict[SetName, TextSet]:
    """Texts of a policy beside its question bank (`BANK-must-not-change.jsonl`), else the general ones; what is
    meant to change are the bank's questions with their answers.

    Raises: NotFound, InvalidInput.
    """
    own = ports.settings.banks_dir / f"{policy.quality.bank}{UNCHANGED_SUFFIX}"
    unchanged = read_texts([own], own.stem) if own.is_file() else general_texts()
    asked = texts_of_bank(policy_bank(ports, policy))
    sets: dict[SetName, TextSet] = {"must_not_change": unchanged}
    if asked.texts:
        sets["meant_to_change"] = asked
    return sets


def _kept(ports: Ports, identity: str) -> DriftReport | None:
    """By its whole id: the beginning of an id would find what an organization with a longer name had compared."""
    try:
        found = ports.ledger.measurement(identity, kind=MeasurementKind.DRIFT)
    except (NotFound, InvalidInput):
        return None
    return report_of(found) if found.id == identity else None
