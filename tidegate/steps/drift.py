"""How far a candidate's next tokens are from its baseline's, for the files of a store: measured once per pair."""

from tidegate.domain import Evidence, NotFound, ServiceRef
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
from tidegate.steps.artifacts import artifact_path, service_bank
from tidegate.steps.ports import Ports

UNCHANGED_SUFFIX = "-must-not-change.jsonl"


def drift_of(
    ports: Ports,
    ref: ServiceRef,
    candidate_digest: str,
    baseline_digest: str,
    *,
    options: DriftOptions | None = None,
    progress: Progress | None = None,
) -> DriftReport:
    """Compare two stored files along the service's texts. A pair that was compared before is not compared again:
    files of one digest do not change.

    Raises: Transient when a file is not in this host's store, Refused when structure refuses one, NotFound and
    InvalidInput for texts that cannot be read.
    """
    chosen = options or DriftOptions(context_tokens=ports.service(ref).context_tokens)
    sets = service_texts(ports, ref)
    identity = measurement_id(
        baseline_digest,
        candidate_digest,
        {name: texts.digest for name, texts in sets.items()},
        chosen.deciding(),
    )
    kept = _kept(ports, f"{identity}-{ref.org}")
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
        ports.ledger.record_measurement(measurement_of(f"{identity}-{ref.org}", report, ref))
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


def service_texts(ports: Ports, ref: ServiceRef) -> dict[SetName, TextSet]:
    """Texts of the service beside its question bank (`BANK-must-not-change.jsonl`), else the general ones; what is
    meant to change are the bank's questions with their answers.

    Raises: NotFound, InvalidInput.
    """
    bank = ports.service(ref).policy.quality.bank
    own = ports.settings.banks_dir / f"{bank}{UNCHANGED_SUFFIX}"
    unchanged = read_texts([own], own.stem) if own.is_file() else general_texts()
    asked = texts_of_bank(service_bank(ports, ref))
    sets: dict[SetName, TextSet] = {"must_not_change": unchanged}
    if asked.texts:
        sets["meant_to_change"] = asked
    return sets


def _kept(ports: Ports, identity: str) -> DriftReport | None:
    try:
        return report_of(ports.ledger.measurement(identity))
    except NotFound:
        return None
